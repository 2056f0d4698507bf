"""Computing time and memory of each encoder against length: forward, forward with backward, and as a stream.

In: recognisers, lengths, batch sizes. Out: rows of median seconds and of the memory that a computation adds at its
peak. All are measured in turn in one process, in another order each round, so that other load on the machine affects
all alike. ``stream`` is for encoders in one direction: blocks of ``BLOCK_S`` one after another, only the state carried
on. Its memory is what a recurrent network promises: the same for an hour as for a second. Only the encoder is in it.

Memory is measured in a pass of its own: on a GPU by torch's allocator; on a CPU as the highest sum of torch's
allocations and frees, as its profiler reports them. Weights are not in it, activations and gradients are.
"""

import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor, nn

from asr.cores import limited_cores
from asr.figures import new_figure, save_figure
from asr.models import AcousticModel, RecurrentLayer, RecurrentStack, build_model_config
from asr.probes.members import allow_backward, count_weights
from asr.probes.record import COLOURS, Line, draw_lines
from asr.schema import check

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler logs each of its starts

N_MELS, VOCAB_SIZE, FRAMES_PER_S = 80, 29, 100
FORWARD, TRAINING, STREAM = "forward", "forward_backward", "stream"
BLOCK_S = 1.0


class CostRow(TypedDict):
    """What one ``mode`` of one model costs at a batch size and a length: medians, and the range over the rounds."""

    model: str
    mode: str
    batch: int
    length_s: float
    seconds: float
    seconds_low: float
    seconds_high: float
    seconds_per_audio_s: float
    peak_mb: float
    parameters: int


Rows = list[CostRow]
CostKey = Literal["seconds", "peak_mb"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CostOptions:
    """``lengths_s`` of audio, ``batches`` (utterances at a time), ``rounds`` (computations of each)."""

    lengths_s: Sequence[float] = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
    batches: Sequence[int] = (1, 8)
    rounds: int = 5
    device: str = "cpu"
    seed: int = 1

    def __post_init__(self) -> None:
        least_s = 1 / FRAMES_PER_S
        check(
            min(self.lengths_s) >= least_s,
            f"a length of {min(self.lengths_s):g} s is less than one frame ({least_s:g} s)",
        )


def make_models(configs: Mapping[str, Mapping[str, Any]], options: CostOptions) -> dict[str, AcousticModel]:
    """The recognisers that ``configs`` describe, in evaluation mode (no dropout)."""
    models = {}
    for name, values in configs.items():
        torch.manual_seed(options.seed)
        model = AcousticModel(build_model_config(values), N_MELS, VOCAB_SIZE)
        models[name] = model.to(options.device).eval()
    return models


def measure_cost(
    models: Mapping[str, AcousticModel], options: CostOptions, on_rows: Callable[[Rows], None] = lambda rows: None
) -> Rows:
    """Every encoder at every batch size and length, shortest length first; ``on_rows`` as they come."""
    order, found = random.Random(options.seed), []
    for batch in options.batches:
        for length_s in sorted(options.lengths_s):
            rows = measure_shape(models, batch, length_s, options, order)
            on_rows(rows)
            found += rows
    return found


def measure_shape(
    models: Mapping[str, AcousticModel], batch: int, length_s: float, options: CostOptions, order: random.Random
) -> Rows:
    """All encoders on one input: rounds in turn, medians."""
    device, frames = torch.device(options.device), round(length_s * FRAMES_PER_S)
    inputs = {mels: torch.randn(batch, frames, mels, device=device) for mels in {one.n_mels for one in models.values()}}
    lengths = torch.full((batch,), frames, device=device)
    tasks: dict[tuple[str, str], Callable[[], Any]] = {}
    for name, model in models.items():
        tasks[name, FORWARD] = partial(compute, model, inputs[model.n_mels], lengths, FORWARD)
        tasks[name, TRAINING] = partial(compute, model, inputs[model.n_mels], lengths, TRAINING)
        if can_stream(model.encoder):
            tasks[name, STREAM] = partial(stream_noise, model, batch, length_s)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in tasks}
    # as many cores as torch threads: two directions would use a second one, whose memory the profiler does not see
    with limited_cores(torch.get_num_threads()):
        peaks = {key: peak_bytes(task, device) for key, task in tasks.items()}  # warms up, too
        for _ in range(options.rounds):
            for key in order.sample(list(tasks), len(tasks)):
                times[key].append(seconds_of(tasks[key], device))
    return [
        {
            "model": name,
            "mode": mode,
            "batch": batch,
            "length_s": length_s,
            "seconds": statistics.median(times[name, mode]),
            "seconds_low": min(times[name, mode]),
            "seconds_high": max(times[name, mode]),
            "seconds_per_audio_s": statistics.median(times[name, mode]) / (batch * length_s),
            "peak_mb": peaks[name, mode] / 1e6,
            "parameters": count_weights(models[name]),
        }
        for name, mode in tasks
    ]


def compute(model: AcousticModel, log_mel: Tensor, lengths: Tensor, mode: str) -> None:
    """One computation. The gradient is that of a sum of outputs: the loss is the same for all and not measured."""
    if mode == FORWARD:
        with torch.inference_mode():
            model(log_mel, lengths)
        return
    with allow_backward(model):
        model(log_mel, lengths)[0][..., 1].sum().backward()
    model.zero_grad(set_to_none=True)


def can_stream(encoder: nn.Module) -> bool:
    """Whether it runs in one direction with torch's own cells, which take and return a state."""
    if not isinstance(encoder, RecurrentStack):
        return False
    directions = [layer.directions for layer in encoder.layers if isinstance(layer, RecurrentLayer)]
    return all(len(both) == 1 and isinstance(both[0], nn.RNNBase) for both in directions)


@torch.inference_mode()
def stream_blocks(encoder: nn.Module, blocks: Iterable[Tensor], use: Callable[[Tensor], Any]) -> None:
    """Blocks ``(batch, frames, input_size)`` in order through an encoder that ``can_stream``; ``use`` gets each output.

    Together they equal the output for the whole input (tested); only the layers' states are kept between blocks.
    """
    states: list[Any] = [None] * len(encoder.layers)  # type: ignore[arg-type]
    for block in blocks:
        hidden = block
        for index, (norm, layer) in enumerate(zip(encoder.norms, encoder.layers, strict=True)):  # type: ignore[arg-type]
            outputs, states[index] = layer.directions[0](norm(hidden), states[index])
            residual = encoder.residual and outputs.shape == hidden.shape
            hidden = outputs + hidden if residual else outputs
        use(encoder.final_norm(hidden))  # type: ignore[operator]


def stream_noise(model: AcousticModel, batch: int, length_s: float) -> None:
    """As many blocks of noise as ``length_s`` holds, made one after another and not kept."""
    subsampling = model.subsampling
    device = subsampling.linear.weight.device
    frames = max(1, round(min(BLOCK_S, length_s) * FRAMES_PER_S / subsampling.factor))
    blocks = max(1, round(length_s * FRAMES_PER_S / subsampling.factor / frames))
    made = (torch.randn(batch, frames, subsampling.output_size, device=device) for _ in range(blocks))
    stream_blocks(model.encoder, made, lambda output: None)


def seconds_of(task: Callable[[], Any], device: torch.device) -> float:
    """Wall seconds of ``task``, with the device synchronised."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start_s = time.perf_counter()
    task()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start_s


def peak_bytes(task: Callable[[], Any], device: torch.device) -> int:
    """The most that ``task`` holds at a time, beyond what was held before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        task()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        task()
    held = most = 0
    events = profile.profiler.kineto_results.events()
    changes = [(one.start_ns(), one.nbytes()) for one in events if one.name() == "[memory]"]
    for _, size in sorted(changes, key=lambda change: change[0]):
        held += size
        most = max(most, held)
    return most


def draw_cost(rows: Rows, path: Path) -> None:
    """Seconds on the left, memory on the right; a row for each mode and batch size. As wide as a page of text."""
    shapes = [(mode, batch) for mode in (TRAINING, FORWARD) for batch in sorted({row["batch"] for row in rows})]
    figure, axes = new_figure(len(shapes), 2, (8.0, 2.8 * len(shapes) + 0.8))
    for row, (mode, batch) in enumerate(shapes):
        places: tuple[tuple[int, CostKey, str], ...] = ((0, "seconds", "seconds"), (1, "peak_mb", "peak memory (MB)"))
        for column, key, label in places:
            draw_lines(axes[2 * row + column], _lines(rows, mode, batch, key), marker="o")
            title = f"{'training' if mode == TRAINING else 'transcription'}, batch {batch}"
            axes[2 * row + column].set(xscale="log", yscale="log", xlabel="length (s)", ylabel=label, title=title)
    _legend_below(figure, axes[0])
    save_figure(figure, path)


def _legend_below(figure: Any, axes: Any) -> None:
    """One legend for all axes, which hold the same lines."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)


def draw_stream(rows: Rows, path: Path) -> None:
    """One utterance as a whole and as a stream (dashed): seconds and memory; one colour per model."""
    batch = min(row["batch"] for row in rows)
    kinds = ((FORWARD, ", whole", "-"), (STREAM, ", stream (encoder alone)", "--"))
    names = dict.fromkeys(row["model"] for row in rows)
    colours = {
        f"{name}{tail}": COLOURS[number % len(COLOURS)] for number, name in enumerate(names) for _, tail, _ in kinds
    }
    figure, axes = new_figure(1, 2, (8.0, 4.4))
    keys: tuple[CostKey, CostKey] = ("seconds", "peak_mb")
    for place, key in zip(axes, keys, strict=True):
        for mode, tail, dashes in kinds:
            lines = _lines(rows, mode, batch, key)
            shown = [Line(f"{line.label}{tail}", line.x, line.y, dashes=dashes) for line in lines]
            draw_lines(place, shown, colours, marker="o")
        place.set(xscale="log", yscale="log", xlabel="length (s)")
    axes[0].set(ylabel="seconds", title="time, one utterance")
    axes[1].set(ylabel="peak memory (MB)", title="memory, one utterance")
    _legend_below(figure, axes[0])
    save_figure(figure, path)


def _lines(rows: Rows, mode: str, batch: int, key: CostKey) -> list[Line]:
    chosen = [row for row in rows if row["mode"] == mode and row["batch"] == batch]
    return [
        Line(name, [row["length_s"] for row in own], [row[key] for row in own])
        for name in dict.fromkeys(row["model"] for row in chosen)
        for own in [[row for row in chosen if row["model"] == name]]
    ]
