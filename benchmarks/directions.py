"""A training step with both directions of a layer on two cores, with fewer channels, in bf16.

In: sizes. Out: for each variant the median seconds of a step on stdout and the median of its ratios to the first one;
as JSON with --out. Steps are taken in turn in one process with one torch thread; a step is forward, CTC loss, backward,
clipping, AdamW. With --busy N other processes keep N cores busy meanwhile:

    OMP_NUM_THREADS=1 python benchmarks/directions.py --busy 2
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.cores import usable_cores  # noqa: E402
from asr.ctc.loss import ctc_loss  # noqa: E402
from asr.devices import autocast  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig, directions  # noqa: E402
from asr.provenance import processor_name  # noqa: E402
from asr.terminal import table  # noqa: E402

N_MELS, VOCAB_SIZE, FRAMES_PER_S, LABELS_PER_S = 80, 29, 100, 12
# cores, channels, precision; the first is what the others are compared with
VARIANTS: dict[str, tuple[int, int, str]] = {
    "one core": (1, 32, "fp32"),
    "two cores": (2, 32, "fp32"),
    "one core, 16 channels": (1, 16, "fp32"),
    "one core, 16 channels, bf16": (1, 16, "bf16"),
    "two cores, 16 channels, bf16": (2, 16, "bf16"),
}


def make_step(cores: int, channels: int, precision: str, options: argparse.Namespace) -> Callable[[], None]:
    """One optimizer step of 3 layers of 256 units per direction on random utterances of nearly one length."""
    generator = torch.Generator().manual_seed(options.seed)
    lengths = torch.linspace(0.95, 1, options.batch).mul(options.seconds * FRAMES_PER_S).long()
    log_mel = torch.randn(options.batch, int(lengths.max()), N_MELS, generator=generator)
    targets = [
        torch.randint(1, VOCAB_SIZE, (length * LABELS_PER_S // FRAMES_PER_S,), generator=generator).tolist()
        for length in lengths.tolist()
    ]
    torch.manual_seed(options.seed)
    config = BiLstmConfig(
        num_layers=3, hidden_size=256, layer_norm=True, dropout=0.3,
        subsampling=SubsamplingConfig(channels=channels, dropout=0.0),
    )  # fmt: skip
    model = AcousticModel(config, N_MELS, VOCAB_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        # not by the affinity: with one core, too, the system may choose which
        setattr(directions, "usable_cores", lambda: cores)  # noqa: B010 (no public name of that module)
        optimizer.zero_grad(set_to_none=True)
        with autocast(torch.device("cpu"), precision):
            log_probs, output_lengths = model(log_mel, lengths)
        ctc_loss(log_probs, output_lengths, targets).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    return step


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """``count`` processes that compute without end."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All variants in turn; medians of seconds, and of the ratios of the first one's seconds to theirs."""
    steps = {name: make_step(*variant, options) for name, variant in VARIANTS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    load = os.getloadavg()[0]
    with busy(options.busy):
        for round_ in range(-1, options.rounds):  # the first warms up
            for name in list(steps)[:: 1 if round_ % 2 else -1]:
                started_s = time.perf_counter()
                steps[name]()
                if round_ >= 0:
                    seconds[name].append(time.perf_counter() - started_s)
    first = seconds[next(iter(steps))]
    return {
        "seconds": {name: statistics.median(taken) for name, taken in seconds.items()},
        "ratio": {
            name: statistics.median(a / b for a, b in zip(first, taken, strict=True)) for name, taken in seconds.items()
        },
        "load_before": load,
        "cores": usable_cores(),
        "torch": torch.__version__,
        "processor": processor_name(),
        "options": {key: value for key, value in vars(options).items() if key != "out"},
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=10, help="utterances (default: 10)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of the longest utterance (default: 6)")
    parser.add_argument("--rounds", type=int, default=11, help="steps of each variant (default: 11)")
    parser.add_argument("--busy", type=int, default=0, help="busy processes meanwhile (default: 0)")
    parser.add_argument("--seed", type=int, default=1, help="of weights and data (default: 1)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options)
    if options.out:
        write_json(options.out, found)
    rows = [[name, f"{found['seconds'][name]:.3f}", f"{found['ratio'][name]:.2f}"] for name in VARIANTS]
    print(table(rows, ["variant", "seconds a step", "ratio"]))
    print(f"load before {found['load_before']:.1f}, {options.busy} busy processes; {found['processor']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
