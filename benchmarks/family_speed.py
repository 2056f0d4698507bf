"""What each encoder costs against length: forward, and forward with backward, single stream and in a batch.

In: encoders, lengths, batch sizes. Out: a JSON of median seconds per second of audio and of the memory that a
computation adds at its peak; a table on stdout. Every encoder has the sizes of its ``conf/model`` word (about as many
weights each), the recogniser around it is the same, and they are taken in turn, in one process, shortest length first
and in another order each round, so that whatever else the machine does falls on all alike:

    OMP_NUM_THREADS=1 python benchmarks/family_speed.py --out family_speed.json
    python benchmarks/family_speed.py --device cuda --lengths-s 1 10 60 --out family_speed_gpu.json

Memory is counted in a pass of its own: on a GPU by torch's allocator; on a CPU by what torch's allocations and frees,
as its profiler reports them, add up to at their highest. Weights are not in it, activations and gradients are.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would tell of each of its starts

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

import yaml  # noqa: E402
from lstm_step import processor_name  # noqa: E402

from asr.files import write_json  # noqa: E402
from asr.models import AcousticModel, build_model_config  # noqa: E402

N_MELS, VOCAB_SIZE, FRAMES_PER_S = 80, 29, 100
MODES = ("forward", "forward_backward")


def make_models(options: argparse.Namespace) -> dict[str, AcousticModel]:
    """The recognisers of the words asked for, in evaluation mode: dropout is no part of the question."""
    models = {}
    for word in options.models:
        values = yaml.safe_load((ROOT / "conf" / "model" / f"{word}.yaml").read_text(encoding="utf-8"))
        torch.manual_seed(options.seed)
        model = AcousticModel(build_model_config(values | options.changes), N_MELS, VOCAB_SIZE)
        models[word] = model.to(options.device).eval()
    return models


def compute(model: AcousticModel, log_mel: Tensor, lengths: Tensor, mode: str) -> None:
    """One computation. The gradient is that of a sum: the loss is the same for all and no part of the question."""
    if mode == "forward":
        with torch.inference_mode():
            model(log_mel, lengths)
        return
    model(log_mel, lengths)[0][..., 1].sum().backward()
    model.zero_grad(set_to_none=True)


def seconds_of(task: Callable[[], None], device: torch.device) -> float:
    """Wall seconds of ``task``, waited for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start_s = time.perf_counter()
    task()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start_s


def peak_bytes(task: Callable[[], None], device: torch.device) -> int:
    """The most that ``task`` holds at a time, beyond what was held before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        task()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        task()
    held = most = 0
    events = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [(one.start_ns(), one.nbytes()) for one in events if one.name() == "[memory]"]
    for _, size in sorted(changes, key=lambda change: change[0]):
        held += size
        most = max(most, held)
    return most


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every encoder at every batch size and length."""
    models, order = make_models(options), random.Random(options.seed)
    rows: list[dict[str, Any]] = []
    for batch in options.batches:
        for length_s in options.lengths_s:
            found = measure_shape(models, batch, length_s, options, order)
            print_rows(found)
            rows += found
    return rows


def measure_shape(
    models: dict[str, AcousticModel], batch: int, length_s: float, options: argparse.Namespace, order: random.Random
) -> list[dict[str, Any]]:
    """All encoders on one input: rounds in turn, medians."""
    device, frames = torch.device(options.device), round(length_s * FRAMES_PER_S)
    log_mel = torch.randn(batch, frames, N_MELS, device=device)
    lengths = torch.full((batch,), frames, device=device)
    tasks = {
        (word, mode): partial(compute, model, log_mel, lengths, mode)
        for word, model in models.items()
        for mode in MODES
    }
    peaks = {key: peak_bytes(task, device) for key, task in tasks.items()}  # warms up, too
    times: dict[tuple[str, str], list[float]] = {key: [] for key in tasks}
    for _ in range(options.rounds):
        for key in order.sample(list(tasks), len(tasks)):
            times[key].append(seconds_of(tasks[key], device))
    return [
        {
            "model": word,
            "mode": mode,
            "batch": batch,
            "length_s": length_s,
            "seconds": statistics.median(times[word, mode]),
            "seconds_per_audio_s": statistics.median(times[word, mode]) / (batch * length_s),
            "peak_mb": peaks[word, mode] / 1e6,
            "parameters": sum(one.numel() for one in models[word].parameters()),
        }
        for word, mode in tasks
    ]


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
    rows = measure(options)
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else processor_name()
    told = {key: value for key, value in vars(options).items() if key != "out"}
    if options.out:
        write_json(options.out, {"rows": rows, "options": told, "torch": torch.__version__, "processor": name})
    return 0


if __name__ == "__main__":
    sys.exit(main())
