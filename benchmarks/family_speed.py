"""What each encoder costs against length: forward, with backward, and as a stream; single and in a batch.

In: encoders, lengths, batch sizes. Out: a JSON of median seconds per second of audio and of the memory that a
computation adds at its peak; a table on stdout. Every encoder has the sizes of its ``conf/model`` word (about as many
weights each), the recogniser around it is the same. How it is measured: asr/probes/cost.py; ``asr probe time`` draws
plots of the same figures.

    OMP_NUM_THREADS=1 python benchmarks/family_speed.py --out family_speed.json
    python benchmarks/family_speed.py --device cuda --lengths-s 1 10 60 --out family_speed_gpu.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
import yaml  # noqa: E402

from asr.files import write_json  # noqa: E402
from asr.probes.cost import CostSettings, make_models, measure_cost  # noqa: E402
from asr.training.run import processor_name  # noqa: E402


def print_rows(rows: list[dict[str, Any]]) -> None:
    """One line for each model and mode."""
    for row in rows:
        print(
            f"{row['model']:12} {row['mode']:17} batch {row['batch']:2} x {row['length_s']:5g} s:"
            f" {1000 * row['seconds_per_audio_s']:8.3f} ms per audio second, {row['peak_mb']:9.1f} MB",
            flush=True,
        )


def build_parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    words = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=words, default=words, help="words of conf/model (default: all)")
    parser.add_argument(
        "--lengths-s", nargs="+", type=float, default=[1, 2, 5, 10, 20, 40, 60], help="seconds of audio"
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], help="utterances at a time (default: 1 8)")
    parser.add_argument("--rounds", type=int, default=5, help="computations of each (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--changes", type=json.loads, default={}, help="e.g. '{\"hidden_size\": 64}' for every model")
    parser.add_argument("--seed", type=int, default=1, help="of weights and order (default: 1)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    return parser


def main() -> int:
    """Measure and say."""
    options = build_parser().parse_args()
    torch.set_num_threads(options.threads)
    words = {word: ROOT / "conf" / "model" / f"{word}.yaml" for word in options.models}
    configs = {word: yaml.safe_load(path.read_text(encoding="utf-8")) | options.changes for word, path in words.items()}
    keys = ("lengths_s", "batches", "rounds", "device", "seed")
    settings = CostSettings(**{key: getattr(options, key) for key in keys})
    rows = measure_cost(make_models(configs, settings), settings, print_rows)
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else processor_name()
    told = {key: value for key, value in vars(options).items() if key != "out"}
    if options.out:
        write_json(options.out, {"rows": rows, "options": told, "torch": torch.__version__, "processor": name})
    return 0


if __name__ == "__main__":
    sys.exit(main())
