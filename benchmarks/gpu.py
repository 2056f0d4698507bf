"""Everything that a GPU is to show first, in order of value: is it right, and how fast is it.

In: a device. Out: one JSON file a part in --out, and a line a row on stdout. Rows are written as they are measured:
rerun to resume, and rows that are there are skipped. A call ends within --limit-s.

1. smoke: every encoder in fp32, bf16 and fp16 against fp32 on the CPU: log-probabilities and gradients within BOUNDS.
2. throughput: training steps at 5 x 512 units per direction, 64 utterances of 15 s: packed ``nn.LSTM``, our stack (on
   two streams and on one), and our whole step (upload, features, SpecAugment, loss, clipping, update); their ratios.
3. english: the English starter, trained by recipes/english with training=gpu and evaluated (gpu_english.py).
4. scaling: seconds and memory of a whole step by batch, length, layers and units.

    make gpu DATA=data/english                                    # without DATA: parts 1, 2 and 4
    python benchmarks/gpu.py --data data/english --bring results  # the same without make; see gpu_pack.py
    python benchmarks/gpu.py --device cpu --toy --out /tmp/gpu    # the rehearsal, in fp32 alone
"""

import argparse
import copy
import dataclasses
import faulthandler
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

from asr.ctc.loss import ctc_loss  # noqa: E402
from asr.data.dataset import Batch  # noqa: E402
from asr.devices import PRECISIONS, allow_tf32, autocast, choose_device  # noqa: E402
from asr.features import LogMelConfig, SpecAugmentConfig, build_features  # noqa: E402
from asr.files import read_json_object, write_json, write_text  # noqa: E402
from asr.models import ENCODERS, AcousticModel, SubsamplingConfig, build_model_config, directions  # noqa: E402
from asr.provenance import hardware  # noqa: E402
from asr.scoring.markdown import markdown_table  # noqa: E402
from asr.training.config import OptimizerConfig  # noqa: E402
from asr.training.distributed import Processes  # noqa: E402
from asr.training.objective import TrainedModel  # noqa: E402
from asr.training.step import Stepper, build_optimizer  # noqa: E402
from asr.training.trainer import FIRST_LOSS_SCALE  # noqa: E402
from benchmarks.gpu_english import add_arguments, bring, run_english  # noqa: E402
from benchmarks.lstm_step import N_MELS, VOCAB_SIZE, make_models  # noqa: E402

# The largest difference of a log-probability in nats, and that of all gradients as a share of their norm. Rounding
# units are 6e-8, 4e-3 and 5e-4; not yet seen on a GPU.
BOUNDS = {"fp32": (1e-3, 1e-3), "bf16": (0.5, 0.2), "fp16": (0.1, 0.05)}
RATE, LABELS_PER_S = 16000, 12
HUNG = "it was begun and did not end: a hang or a crash"
SHOWN = ("step_s", "audio_s_per_s", "peak_gb", "million_weights")


class Part:
    """One part's rows, in ``path``: each is computed once, while there is time."""

    def __init__(self, path: Path, about: dict[str, Any], deadline_s: float, most_s: float = 150.0) -> None:
        self.path, self.about, self.deadline_s, self.most_s = path, about, deadline_s, most_s
        before = read_json_object(path) if path.exists() else {}
        self.rows: dict[str, Any] = before["rows"] if before.get("about") == about else {}
        self.complete = True

    @property
    def seconds_left(self) -> float:
        """Until the call has to end."""
        return self.deadline_s - time.monotonic()

    def row(self, name: str, measure: Callable[[], dict[str, Any] | None], watched: bool = True) -> None:
        """Measure the row ``name`` unless it is there; one that ``measure`` could not finish (None) is not kept.

        A row that fails holds its error, and the others go on. Where a ``watched`` row takes longer than ``most_s``
        this process ends, as a GPU that hangs cannot be interrupted; such a row is not tried again.
        """
        error = self.rows.get(name, {}).get("error")
        if name in self.rows and error in (None, HUNG):
            return
        if self.seconds_left <= 0:
            self.complete = False
            return
        if watched:
            self.rows[name] = {"error": HUNG}
            self._write()
            faulthandler.dump_traceback_later(self.most_s, exit=True)
        try:
            found = measure()
        except (RuntimeError, ValueError) as failure:
            found = {"error": str(failure).splitlines()[0]}
        finally:
            faulthandler.cancel_dump_traceback_later()
        if found is None:
            self.rows.pop(name, None)
            self.complete = False
        else:
            self.rows[name] = found
            print(f"{self.path.stem}: {name}: {found}", flush=True)
        self._write()

    def _write(self) -> None:
        write_json(self.path, {"about": self.about, "rows": self.rows})

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


def run_smoke(part: Part, device: torch.device, options: argparse.Namespace) -> None:
    """Part 1."""
    toy: bool = options.toy
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


def run_throughput(part: Part, device: torch.device, options: argparse.Namespace) -> None:
    """Part 2: the systems take their steps in turn; ratios to packed ``nn.LSTM`` are medians over the rounds."""
    size = Size(layers=2, hidden_size=16, count=3, seconds=1) if options.toy else Size()
    rounds = 2 if options.toy else 20
    for precision in precisions(device):

        def measure(precision: str = precision) -> dict[str, Any]:
            allow_tf32(precision != "fp32")
            steps = make_steps(size, device, precision)
            losses = {name: step() for name, step in steps.items()}  # warms up, too
            taken = time_in_turn(steps, device, rounds)
            ratios = {
                name: [packed / one for packed, one in zip(taken["packed"], seconds, strict=True)]
                for name, seconds in taken.items()
            }
            medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
            return {
                "step_s": medians,
                "audio_s_per_s": {name: size.audio_s / median for name, median in medians.items()},
                "ratio_to_packed": {name: statistics.median(each) for name, each in ratios.items()},
                "ratio_quartiles": {name: statistics.quantiles(each, n=4)[::2] for name, each in ratios.items()},
                "losses": losses,
                "within": abs(losses["ours"] / losses["packed"] - 1) <= BOUNDS[precision][1],
            }

        part.row(precision, measure)


def make_steps(size: "Size", device: torch.device, precision: str) -> dict[str, Callable[[], float]]:
    """A step of each system, all with the same weights and batch; each returns its loss."""
    models = make_models(argparse.Namespace(seed=1, subsampling=4, layers=size.layers, hidden_size=size.hidden_size))
    batch, steps = make_batch(size), {}
    for name in ("packed", "ours"):
        stepper = make_stepper(models[name].to(device), device, precision)
        steps[name] = model_step(stepper, batch)
    if device.type == "cuda":
        steps["ours, one stream"] = one_stream(steps["ours"])
    whole = make_stepper(copy.deepcopy(models["ours"]), device, precision)
    return steps | {"whole step": whole_step(whole, batch)}


def one_stream(step: Callable[[], float]) -> Callable[[], float]:
    """``step`` with the two directions of a layer one after the other."""

    def run() -> float:
        directions.use_two_streams = False
        try:
            return step()
        finally:
            directions.use_two_streams = True

    return run


def run_scaling(part: Part, device: torch.device, options: argparse.Namespace) -> None:
    """Part 4: seconds and memory of a whole step by batch, length, layers and units, from the size of part 2."""
    base = Size(layers=2, hidden_size=16, count=3, seconds=1) if options.toy else Size()
    grid: dict[str, tuple[int, ...]] = {
        "count": (2, 3) if options.toy else (8, 16, 32, 64, 128, 256, 512),
        "seconds": (1, 2) if options.toy else (2, 5, 15, 30, 60),
        "layers": (1, 2) if options.toy else (1, 3, 5, 7),
        "hidden_size": (8, 16) if options.toy else (128, 256, 384, 512, 768, 1024),
    }
    precision = "fp16" if device.type == "cuda" else "fp32"
    allow_tf32(device.type == "cuda")
    for key, values in grid.items():
        for value in values:

            def measure(key: str = key, value: int = value) -> dict[str, Any]:
                return measure_size(dataclasses.replace(base, **{key: value}), device, precision, options.toy)

            part.row(f"{key} {value}", measure)
    rows = [[name, *(f"{row.get(key) or 0:.4g}" for key in SHOWN)] for name, row in part.rows.items()]
    write_text(part.path.with_suffix(".md"), f"{base}, {precision}\n\n{markdown_table(['', *SHOWN], rows)}\n")


def measure_size(size: "Size", device: torch.device, precision: str, toy: bool) -> dict[str, Any]:
    """The whole step at ``size``, or that it does not fit into memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    values = argparse.Namespace(seed=1, subsampling=4, layers=size.layers, hidden_size=size.hidden_size)
    try:
        model = make_models(values)["ours"].to(device)
        step = whole_step(make_stepper(model, device, precision), make_batch(size))
        for _ in range(2):  # warms up
            step()
        seconds = statistics.median(time_in_turn({"": step}, device, 2 if toy else 10)[""])
    except torch.OutOfMemoryError:
        return {"fits": False}
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    weights = sum(one.numel() for one in model.parameters()) / 1e6
    return {"step_s": seconds, "audio_s_per_s": size.audio_s / seconds, "peak_gb": peak, "million_weights": weights}


@dataclasses.dataclass(frozen=True)
class Size:
    """A step's: ``count`` utterances of ``seconds``, ``layers`` of ``hidden_size`` units per direction."""

    layers: int = 5
    hidden_size: int = 512
    count: int = 64
    seconds: int = 15

    @property
    def audio_s(self) -> int:
        """Seconds of audio in a step."""
        return self.count * self.seconds


def make_batch(size: Size) -> Batch:
    """Noise, and as many labels as speech has."""
    samples = torch.full((size.count,), size.seconds * RATE)
    waveforms = torch.randn(size.count, size.seconds * RATE, generator=torch.Generator().manual_seed(1)) * 0.1
    targets = [[1 + index % (VOCAB_SIZE - 1) for index in range(size.seconds * LABELS_PER_S)]] * size.count
    return Batch(waveforms, samples, targets, list(range(size.count)))


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


def time_in_turn(steps: dict[str, Callable[[], float]], device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Seconds of each of ``rounds`` steps of each system, in turn, in one order and in the other."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    taken: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds):
        for name in list(steps)[:: 1 if round_ % 2 else -1]:
            wait()
            began = time.perf_counter()
            steps[name]()
            wait()
            taken[name].append(time.perf_counter() - began)
    return taken


PARTS: dict[str, Callable[[Part, torch.device, argparse.Namespace], None]] = {
    "smoke": run_smoke,
    "throughput": run_throughput,
    "english": run_english,
    "scaling": run_scaling,
}


def build_parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default: cuda)")
    parser.add_argument("--toy", action="store_true", help="sizes for a rehearsal on the CPU")
    parser.add_argument("--limit-s", type=float, default=570.0, help="seconds after which a call ends (default: 570)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs" / "gpu", help="folder of the results and of the English run"
    )
    add_arguments(parser)
    return parser


def main() -> int:
    """Run the parts; 1 where a row failed, is out of bounds, or had no time."""
    parser = build_parser()
    options = parser.parse_args()
    deadline_s = time.monotonic() + options.limit_s
    if unknown := [one for one in options.parts if one not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    device = choose_device(options.device)
    about = {"device": hardware(device), "torch": torch.__version__, "toy": options.toy}
    options.out.mkdir(parents=True, exist_ok=True)
    good = True
    for name in options.parts:
        part = Part(options.out / f"{name}.json", about, deadline_s)
        PARTS[name](part, device, options)
        print(f"{name}: {'good' if part.good else 'NOT GOOD, or not complete: rerun to resume'}", flush=True)
        good = good and part.good
    if options.bring:
        print(bring(options.out, options.bring), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
