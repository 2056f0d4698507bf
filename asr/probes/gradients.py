"""How far back gradients reach: their size against the distance in time, at the random start and in trained models.

At the start. In: members of the family, seeds. Out: for each member and distance k the size of
``d output(t) / d input(t-k)``, relative to that at distance 0: the root mean square over random directions of the
output, hence the Frobenius norm of the Jacobian up to a constant. Each seed has its own weights, inputs and directions;
means and intervals are geometric, over seeds. In double precision, as 0.5 ** 200 is below what float32 holds.

The claim: in a plain network every step back multiplies the gradient by ``diag(1 - h²) U``, whose factors are below 1,
and it vanishes; along an LSTM's cell state it is only multiplied by the forget gate, about σ(forget bias) at the start.
Hochreiter 1991; Bengio, Simard & Frasconi 1994; Gers et al. 2000; Jozefowicz et al. 2015.

In trained models, on speech. In: models and a manifest. Out: for each model the size of ``d loss(t) / d input(t-k)``
against k, which is negative for inputs after the frame. The loss is that of the model's own best token at t, the input
is the output of subsampling. Relative to k = 0; means and intervals are geometric, over utterances.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.figures import new_figure, save_figure
from asr.models import AcousticModel
from asr.probes.changed_models import ModelEvaluator, Step
from asr.probes.members import LABELS, allow_backward, make_encoder
from asr.probes.record import Line, draw_lines, geometric_interval, mean_interval
from asr.seeds import derive_seed

RUN_UP = 20  # frames before the farthest one, so that the states are no longer those of the start
TINY = 1e-300  # a size of 0 has no logarithm
REACHES = (0.1, 0.001)


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientOptions:
    """``distance``: frames back at most. ``sequences`` inputs and ``directions`` of the output for each seed.

    ``input_scale``: the inputs' standard deviation. Small inputs leave a plain network's tanh in its linear part, where
    an orthogonal start keeps the gradient's size; there it is saturation that makes it vanish.
    """

    members: Sequence[str] = ("rnn", "gru", "lstm-0", "lstm-1", "lstm-2")
    seeds: Sequence[int] = tuple(range(1, 11))
    hidden_size: int = 128
    num_layers: int = 1
    distance: int = 200
    input_scale: float = 1.0
    sequences: int = 4
    directions: int = 8


def measure_gradients(options: GradientOptions, on_step: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """A row for each member: sizes by distance with intervals, and the reach of a tenth and of a thousandth."""
    rows = []
    for name in options.members:
        found = []
        for seed in options.seeds:
            torch.manual_seed(derive_seed(seed, "gradients", name))
            encoder = make_encoder(name, options.hidden_size, options.hidden_size, options.num_layers)
            found.append(relative(sizes_of(encoder, options, seed)))
            on_step()
        rows.append({"member": name, "label": LABELS[name]} | summarise(found))
    return {"seeds": options.seeds, "rows": rows}


def sizes_of(encoder: nn.Module, options: GradientOptions, seed: int) -> Tensor:
    """The size at distance 0, 1, ...: ``(distance + 1,)``, on standard normal inputs."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "gradient inputs"))
    frames = options.distance + 1 + RUN_UP
    shape = (options.sequences, frames, options.hidden_size)
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64).repeat(options.directions, 1, 1)
    return backward_sizes(encoder.double(), options.input_scale * inputs, generator)[: options.distance + 1]


def backward_sizes(encoder: nn.Module, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """``(batch, frames, size)`` -> root mean square gradient of the last output, in a random direction for each row,
    with respect to each input, the last frame first: ``(frames,)``.
    """
    inputs = inputs.clone().requires_grad_(True)
    outputs = encoder(inputs, torch.full((len(inputs),), inputs.size(1)))[:, -1]
    directions = torch.randn(outputs.shape, generator=generator, dtype=inputs.dtype)
    (gradient,) = torch.autograd.grad((outputs * directions).sum(), inputs)
    return gradient.square().sum(dim=2).mean(dim=0).sqrt().flip(0)


def relative(sizes: Tensor) -> list[float]:
    """Sizes relative to that at distance 0, at least TINY."""
    return [max(size, TINY) for size in (sizes / sizes[0]).tolist()]


def summarise(found: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The curves of all seeds -> geometric mean and interval at each distance, and the reaches."""
    points = [geometric_interval(column) for column in zip(*found, strict=True)]
    reaches = {f"reach_{share:g}": mean_interval([float(reach(curve, share)) for curve in found]) for share in REACHES}
    return {
        "distance": list(range(len(points))),
        "size": [point.mean for point in points],
        "low": [point.low for point in points],
        "high": [point.high for point in points],
    } | {name: {"mean": one.mean, "low": one.low, "high": one.high} for name, one in reaches.items()}


def reach(curve: Sequence[float], share: float) -> int:
    """The farthest distance up to which the size never falls below ``share`` of that at distance 0."""
    return next((k for k, size in enumerate(curve) if size < share), len(curve)) - 1


def draw_gradients(found: dict[str, Any], path: Path) -> None:
    """Size against distance, on a logarithmic scale."""
    figure, (axes,) = new_figure()
    lines = [Line(row["label"], row["distance"], row["size"], row["low"], row["high"]) for row in found["rows"]]
    draw_lines(axes, lines)
    axes.set(
        yscale="log",
        ylim=(1e-12, 3),
        xlabel="distance in time k (frames)",
        ylabel="gradient of output t to input t-k, relative to k = 0",
        title=f"Gradient against distance at the random start ({len(found['seeds'])} seeds)",
    )
    axes.legend()
    save_figure(figure, path)


FRAMES = 8  # frames t per utterance
FEWEST = 10  # utterances needed to show a distance


def measure_speech_gradients(
    evaluators: Mapping[str, ModelEvaluator], distance: int, seed: int, on_step: Step = lambda: None
) -> dict[str, Any]:
    """A row for each model: distances in encoder frames and in seconds, sizes and intervals."""
    rows = []
    for label, evaluator in evaluators.items():
        sizes: dict[int, list[float]] = defaultdict(list)
        for number, utterance in enumerate(evaluator.utterances):
            generator = torch.Generator().manual_seed(derive_seed(seed, "moments", number))
            log_mel, frames = evaluator.log_mel(utterance)
            for k, size in frame_gradients(evaluator.model, log_mel, frames, distance, generator).items():
                sizes[k].append(max(size, TINY))
            on_step()
        rows.append({"label": label, "encoder": evaluator.model.config.name} | _summarise(sizes, evaluator))
    return {"seeds": [seed], "rows": rows, "moments_per_utterance": FRAMES}


def frame_gradients(
    model: AcousticModel, log_mel: Tensor, frames: Tensor, distance: int, generator: torch.Generator
) -> dict[int, float]:
    """One utterance: by distance k the root mean square over moments, relative to k = 0."""
    with torch.no_grad():
        inputs, lengths = model.subsampling(log_mel, frames)
    count = int(lengths[0])
    moments = torch.randperm(count, generator=generator)[:FRAMES]
    inputs = inputs.expand(len(moments), -1, -1).clone().requires_grad_(True)
    rows = torch.arange(len(moments))
    with allow_backward(model):
        logits = model.head(model.encoder(inputs, lengths.expand(len(moments))))
        loss = -torch.log_softmax(logits[rows, moments], dim=1).amax(dim=1).sum()
        (gradient,) = torch.autograd.grad(loss, inputs)
    # double before the square: in float32 that of a gradient below 1e-22 is 0, and 0 has no logarithm
    squares = gradient.cpu().double().square().sum(dim=2)  # (moments, frames)
    squares = squares / squares[rows, moments].clamp(min=TINY).unsqueeze(1)
    away = moments.unsqueeze(1) - torch.arange(count)  # k of each moment and frame
    return {
        k: float(squares[:, :count][away == k].mean().sqrt())
        for k in range(-distance, distance + 1)
        if bool((away == k).any())
    }


def _summarise(sizes: Mapping[int, list[float]], evaluator: ModelEvaluator) -> dict[str, Any]:
    fewest = min(FEWEST, len(evaluator.utterances))
    shown = [k for k in sorted(sizes) if len(sizes[k]) >= fewest]
    points = [geometric_interval(sizes[k]) for k in shown]
    factor = evaluator.model.subsampling.factor
    return {
        "distance": shown,
        "seconds": [k * factor * evaluator.frame_s for k in shown],
        "size": [point.mean for point in points],
        "low": [point.low for point in points],
        "high": [point.high for point in points],
        "utterances": [point.count for point in points],
    }


def draw_speech_gradients(found: dict[str, Any], path: Path) -> None:
    """Size against distance in seconds; earlier inputs to the right."""
    figure, (axes,) = new_figure()
    lines = []
    for row in found["rows"]:
        seen = [index for index, size in enumerate(row["size"]) if size > 1e-12]  # one direction has no future
        x, y, low, high = ([row[key][index] for index in seen] for key in ("seconds", "size", "low", "high"))
        lines.append(Line(row["label"], x, y, low, high))
    draw_lines(axes, lines)
    axes.axvline(0, color="#555555", linewidth=0.8)
    axes.set(
        yscale="log",
        xlabel="distance in time (s); to the left of 0 the input comes after the frame",
        ylabel="gradient of the frame's loss to the input, relative to k = 0",
        title="Gradient against distance in trained models, on speech",
    )
    axes.legend()
    save_figure(figure, path)
