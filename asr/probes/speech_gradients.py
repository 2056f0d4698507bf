"""The same of trained models: from how far the gradient of what they say about a frame arrives in real speech.

In: trained models and a manifest. Out: for each model the size of ``d loss(t) / d input(t-k)`` against k, negative for
what comes after the frame; the loss is that of the model's own best token at t, the input what subsampling hands to
the encoder. Relative to k = 0; means and intervals are geometric, over utterances.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.models import AcousticModel
from asr.probes.draw import Line, draw_lines, new_figure, save_figure
from asr.probes.gradients import TINY
from asr.probes.listening import Listener, Step
from asr.probes.members import allow_backward
from asr.probes.record import geometric_interval
from asr.seeds import derive_seed

FRAMES = 8  # moments t looked at in each utterance
FEWEST = 10  # utterances that a distance needs to be shown


def measure_speech_gradients(
    listeners: Mapping[str, Listener], distance: int, seed: int, on_step: Step = lambda: None
) -> dict[str, Any]:
    """A row for each model: distances in encoder frames and in seconds, sizes and intervals."""
    rows = []
    for label, listener in listeners.items():
        sizes: dict[int, list[float]] = defaultdict(list)
        for number, utterance in enumerate(listener.utterances):
            generator = torch.Generator().manual_seed(derive_seed(seed, "moments", number))
            log_mel, frames = listener.log_mel(utterance)
            for k, size in frame_gradients(listener.model, log_mel, frames, distance, generator).items():
                sizes[k].append(max(size, TINY))
            on_step()
        rows.append({"label": label, "encoder": listener.model.config.name} | _summarise(sizes, listener))
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


def _summarise(sizes: Mapping[int, list[float]], listener: Listener) -> dict[str, Any]:
    fewest = min(FEWEST, len(listener.utterances))
    shown = [k for k in sorted(sizes) if len(sizes[k]) >= fewest]
    points = [geometric_interval(sizes[k]) for k in shown]
    factor = listener.model.subsampling.factor
    return {
        "distance": shown,
        "seconds": [k * factor * listener.frame_s for k in shown],
        "size": [point.mean for point in points],
        "low": [point.low for point in points],
        "high": [point.high for point in points],
        "utterances": [point.count for point in points],
    }


def draw_speech_gradients(found: dict[str, Any], path: Path) -> None:
    """Size against distance in seconds; the past to the right."""
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
        title="What arrives of the gradient in trained models, on speech",
    )
    axes.legend()
    save_figure(figure, path)
