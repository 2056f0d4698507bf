"""Everything that a GPU is to show first, in order of value: is it right, and how fast is it.

In: a device. Out: one JSON file a part in --out, and a line a row on stdout. Rows are written as they are measured:
rerun to resume, and rows that are there are skipped. A part that has used up --limit-s stops before its next row.

1. smoke: every encoder in fp32, bf16 and fp16 against fp32 on the CPU: log-probabilities and gradients within BOUNDS.
2. throughput: training steps at 5 x 512 units per direction, 64 utterances of 15 s: packed ``nn.LSTM``, our stack, and
   our whole step (upload, features, SpecAugment, loss, clipping, update).

    make gpu
    python benchmarks/gpu.py --device cpu --toy --out /tmp/gpu      # the rehearsal, in fp32 alone
"""

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.ctc import ctc_loss  # noqa: E402
from asr.data.dataset import Batch  # noqa: E402
from asr.devices import PRECISIONS, allow_tf32, autocast, choose_device  # noqa: E402
from asr.features import LogMelConfig, SpecAugmentConfig, build_features  # noqa: E402
from asr.files import read_json_object, write_json  # noqa: E402
from asr.models import ENCODERS, AcousticModel, SubsamplingConfig, build_model_config  # noqa: E402
from asr.provenance import hardware  # noqa: E402
from asr.training.config import OptimizerConfig  # noqa: E402
from asr.training.distributed import Processes  # noqa: E402
from asr.training.objective import TrainedModel  # noqa: E402
from asr.training.step import Stepper, build_optimizer  # noqa: E402
from asr.training.trainer import FIRST_LOSS_SCALE  # noqa: E402
from benchmarks.lstm_step import N_MELS, VOCAB_SIZE, make_models  # noqa: E402

# The largest difference of a log-probability in nats, and that of all gradients as a share of their norm. Rounding
# units are 6e-8, 4e-3 and 5e-4; not yet seen on a GPU.
BOUNDS = {"fp32": (1e-3, 1e-3), "bf16": (0.5, 0.2), "fp16": (0.1, 0.05)}
RATE, FRAMES_PER_S, LABELS_PER_S = 16000, 100, 12


class Part:
    """One part's rows, in ``path``: each is computed once, while there is time."""

    def __init__(self, path: Path, about: dict[str, Any], limit_s: float) -> None:
        self.path, self.about, self.deadline = path, about, time.monotonic() + limit_s
        before = read_json_object(path) if path.exists() else {}
        self.rows: dict[str, Any] = before["rows"] if before.get("about") == about else {}
        self.complete = True

    def row(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure the row ``name`` unless it is there. A row that fails holds its error, and the others go on."""
        if name in self.rows and "error" not in self.rows[name]:
            return
        if time.monotonic() > self.deadline:
            self.complete = False
            return
        try:
            self.rows[name] = measure()
        except (RuntimeError, ValueError) as error:
            self.rows[name] = {"error": str(error).splitlines()[0]}
        write_json(self.path, {"about": self.about, "rows": self.rows})
        print(f"{self.path.stem}: {name}: {self.rows[name]}", flush=True)

    @property
    def good(self) -> bool:
        """Every row is there, without an error and within its bounds."""
        return self.complete and all("error" not in row and row.get("within", True) for row in self.rows.values())


def precisions(device: torch.device) -> Iterator[str]:
    """Those that ``device`` computes in."""
    yield from PRECISIONS if device.type == "cuda" else ("fp32",)


def differences(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], precision: str) -> dict[str, Any]:
    """Log-probabilities and gradients (flat) against those expected, and whether both are within BOUNDS."""
    nats = (found[0] - expected[0]).abs().max().item()
    share = ((found[1] - expected[1]).norm() / expected[1].norm()).item()
    bounds = BOUNDS[precision]
    return {"nats": nats, "gradient": share, "within": nats <= bounds[0] and share <= bounds[1]}  # NaN is not


def run_smoke(part: Part, device: torch.device, toy: bool) -> None:
    """Part 1."""
    size, frames, batch = (16, 40, 3) if toy else (256, 600, 16)
    generator = torch.Generator().manual_seed(1)
    log_mel = torch.randn(batch, frames, N_MELS, generator=generator)
    lengths = torch.linspace(frames // 2, frames, batch).long()
    for name in ENCODERS:

        def compute(where: torch.device, precision: str, name: str = name) -> tuple[Tensor, Tensor]:
            torch.manual_seed(1)
            subsampling = SubsamplingConfig(channels=4 if toy else 32, output_size=size, dropout=0.0)
            values = {"name": name, "num_layers": 2, "hidden_size": size, "dropout": 0.0, "subsampling": subsampling}
            model = AcousticModel(build_model_config(values), N_MELS, VOCAB_SIZE).to(where)
            with autocast(where, precision):
                log_probs, _ = model(log_mel.to(where), lengths.to(where))
            targets = [[1, 2, 3]] * batch
            scale = FIRST_LOSS_SCALE if precision == "fp16" else 1.0
            (ctc_loss(log_probs, model.output_lengths(lengths), targets).mean() * scale).backward()
            gradients = [one.grad.flatten() / scale for one in model.parameters() if one.grad is not None]
            return log_probs.detach().cpu(), torch.cat(gradients).cpu()

        expected: list[tuple[Tensor, Tensor]] = []  # computed where a row needs it

        def compare(precision: str, compute: Any = compute, expected: Any = expected) -> dict[str, Any]:
            if not expected:
                expected.append(compute(torch.device("cpu"), "fp32"))
            allow_tf32(precision != "fp32")
            return differences(compute(device, precision), expected[0], precision)

        for precision in precisions(device):
            part.row(f"{name} {precision}", functools.partial(compare, precision))


def run_throughput(part: Part, device: torch.device, toy: bool) -> None:
    """Part 2."""
    sizes = {"layers": 2, "hidden_size": 16} if toy else {"layers": 5, "hidden_size": 512}
    count, seconds, rounds = (3, 1, 2) if toy else (64, 15, 20)
    samples = torch.full((count,), seconds * RATE)
    waveforms = torch.randn(count, seconds * RATE, generator=torch.Generator().manual_seed(1)) * 0.1
    targets = [[1 + index % (VOCAB_SIZE - 1) for index in range(seconds * LABELS_PER_S)]] * count
    batch = Batch(waveforms, samples, targets, list(range(count)))
    for precision in precisions(device):
        allow_tf32(precision != "fp32")
        for system in ("packed", "ours", "whole step"):

            def measure(system: str = system, precision: str = precision) -> dict[str, Any]:
                models = make_models(argparse.Namespace(seed=1, subsampling=4, **sizes))
                model = models["packed" if system == "packed" else "ours"].to(device)
                stepper = make_stepper(model, device, precision)
                step = whole_step(stepper, batch) if system == "whole step" else model_step(stepper, batch)
                return time_steps(step, device, rounds, count * seconds)

            part.row(f"{system} {precision}", measure)


def make_stepper(model: AcousticModel, device: torch.device, precision: str) -> Stepper:
    """The training step of ``model``, as a run makes it."""
    scaler = torch.amp.GradScaler(device.type, init_scale=FIRST_LOSS_SCALE, enabled=precision == "fp16")
    return Stepper(
        features=build_features(LogMelConfig(n_mels=N_MELS)).to(device),
        model=TrainedModel(model.train()),
        optimizer=build_optimizer(model, OptimizerConfig()),
        scaler=scaler,
        processes=Processes(0, 1, device),
        spec_augment=SpecAugmentConfig(),
        clip_norm=5.0,
        precision=precision,
        seed=1,
        ids=[str(index) for index in range(10**4)],
    )


def whole_step(stepper: Stepper, batch: Batch) -> Callable[[], float]:
    """All that training does between two batches; returns the loss."""
    pinned = batch.pin_memory() if stepper.processes.pins else batch
    return lambda: stepper.step([pinned], 0, len(batch.indices)).loss


def model_step(stepper: Stepper, batch: Batch) -> Callable[[], float]:
    """Forward, loss and backward from features that are on the device; returns the loss."""
    device, model = stepper.processes.device, stepper.model
    with torch.no_grad():
        log_mel, frames = stepper.features(batch.waveforms.to(device), batch.lengths.to(device))
    lengths = stepper._acoustic_model.output_lengths(stepper.features.frame_lengths(batch.lengths))

    def step() -> float:
        model.zero_grad(set_to_none=True)
        with autocast(device, stepper.precision):
            (log_probs,), _ = model(log_mel, frames)
        loss = ctc_loss(log_probs, lengths, batch.targets).mean()
        stepper.scaler.scale(loss).backward()
        return loss.detach().item()

    return step


def time_steps(step: Callable[[], float], device: torch.device, rounds: int, audio_s: float) -> dict[str, Any]:
    """Median seconds of a step, after two that warm up, with the loss of the first."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    loss, _ = step(), step()
    seconds = []
    for _ in range(rounds):
        wait()
        began = time.perf_counter()
        step()
        wait()
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    memory = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    return {"step_s": median, "audio_s_per_s": audio_s / median, "loss": loss, "peak_gb": memory}


PARTS: dict[str, Callable[[Part, torch.device, bool], None]] = {"smoke": run_smoke, "throughput": run_throughput}


def main() -> int:
    """Run the parts; 1 where a row failed, is out of bounds, or had no time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default: cuda)")
    parser.add_argument("--toy", action="store_true", help="sizes for a rehearsal on the CPU")
    parser.add_argument("--limit-s", type=float, default=600.0, help="seconds after which a part stops (default: 600)")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "gpu", help="folder of the JSON files")
    options = parser.parse_args()
    if unknown := [one for one in options.parts if one not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    device = choose_device(options.device)
    about = {"device": hardware(device), "torch": torch.__version__, "toy": options.toy}
    options.out.mkdir(parents=True, exist_ok=True)
    good = True
    for name in options.parts:
        part = Part(options.out / f"{name}.json", about, options.limit_s)
        PARTS[name](part, device, options.toy)
        print(f"{name}: {'good' if part.good else 'NOT GOOD, or not complete: rerun to resume'}", flush=True)
        good = good and part.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
