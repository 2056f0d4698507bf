"""How much of the gradient arrives from far: its size against the distance in time that it travels back.

In: members of the family at their random start, seeds. Out: for each member and distance k the size of
``d output(t) / d input(t-k)``, relative to that at distance 0: the root mean square over random directions of the
output, hence the Frobenius norm of the Jacobian up to a constant. Each seed has weights, inputs and directions of its
own; means and intervals are geometric, over seeds. In double precision: 0.5 to the 200th is below what float32 holds.

The claim: in a plain network every step back multiplies the gradient by ``diag(1 - h²) U``, whose factors are below 1,
and it vanishes; along an LSTM's cell state it is only multiplied by the forget gate, about σ(forget bias) at the start.
Hochreiter 1991; Bengio, Simard & Frasconi 1994; Gers et al. 2000; Jozefowicz et al. 2015.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.probes.draw import Line, draw_lines, new_figure, save_figure
from asr.probes.members import LABELS, make_encoder
from asr.probes.record import geometric_interval, mean_interval
from asr.seeds import derive_seed

RUN_UP = 20  # frames before the farthest one, so that the states are no longer those of the start
TINY = 1e-300  # a size of 0 has no logarithm
REACHES = (0.1, 0.001)


@dataclass(kw_only=True, slots=True)
class GradientSettings:
    """``distance``: frames back at most. ``sequences`` inputs and ``directions`` of the output for each seed.

    ``input_scale``: the inputs' standard deviation. Small ones leave a plain network's tanh in its linear part, where
    an orthogonal start passes the gradient on whole; it is saturation that makes it vanish there.
    """

    members: list[str] = field(default_factory=lambda: ["rnn", "gru", "lstm-0", "lstm-1", "lstm-2"])
    seeds: list[int] = field(default_factory=lambda: list(range(1, 11)))
    hidden_size: int = 128
    num_layers: int = 1
    distance: int = 200
    input_scale: float = 1.0
    sequences: int = 4
    directions: int = 8


def measure_gradients(settings: GradientSettings, on_step: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """A row for each member: sizes by distance with intervals, and how far a tenth and a thousandth reach."""
    rows = []
    for name in settings.members:
        found = []
        for seed in settings.seeds:
            torch.manual_seed(derive_seed(seed, "gradients", name))
            encoder = make_encoder(name, settings.hidden_size, settings.hidden_size, settings.num_layers)
            found.append(relative(sizes_of(encoder, settings, seed)))
            on_step()
        rows.append({"member": name, "label": LABELS[name]} | summarise(found))
    return {"seeds": settings.seeds, "rows": rows}


def sizes_of(encoder: nn.Module, settings: GradientSettings, seed: int) -> Tensor:
    """The size at distance 0, 1, ...: ``(distance + 1,)``, on standard normal inputs."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "gradient inputs"))
    frames = settings.distance + 1 + RUN_UP
    shape = (settings.sequences, frames, settings.hidden_size)
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64).repeat(settings.directions, 1, 1)
    return backward_sizes(encoder.double(), settings.input_scale * inputs, generator)[: settings.distance + 1]


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
    """Sizes as shares of that at distance 0, never quite 0."""
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
        title=f"What arrives of the gradient at the random start ({len(found['seeds'])} seeds)",
    )
    axes.legend()
    save_figure(figure, path)
