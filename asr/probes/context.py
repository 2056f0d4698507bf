"""How much context speech needs: a trained model hears recordings in pieces of N frames and nothing around them.

In: a trained model, a manifest, lengths N. Out: the word error rate at each N and of whole recordings. Every piece
begins with an empty state, and its edges see zeros; what the pieces give is joined before it is decoded. So a frame
hears its piece and no more: on average N/2 frames to either side, at a piece's edge all of them to one side. The model
was trained on whole recordings, and features are computed, and normalised, on whole ones. A word that two pieces hear
may be said twice: that is an error too.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.errors import UsageError
from asr.lengths import valid_mask
from asr.models import AcousticModel
from asr.probes.draw import Line, draw_lines, new_figure, said_of, save_figure
from asr.probes.listening import Listener, Step, measure_changes


class InPieces(nn.Module):
    """``model`` on pieces of ``frames`` log-mel frames, each on its own; joined, as it would give the whole."""

    def __init__(self, model: AcousticModel, frames: int) -> None:
        super().__init__()
        factor = model.subsampling.factor
        if frames < factor or frames % factor:
            raise UsageError(
                f"pieces of {frames} frames do not fit a model of {factor} frames per output frame; give multiples"
            )
        self.model, self.frames = model, frames
        self.subsampling = model.subsampling

    def forward(self, log_mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As ``AcousticModel``'s."""
        batch, longest, mels = log_mel.shape
        count = -(-longest // self.frames)
        padded = nn.functional.pad(log_mel, (0, 0, 0, count * self.frames - longest))
        starts = torch.arange(count, device=lengths.device) * self.frames
        inside = (lengths.unsqueeze(1) - starts).clamp(0, self.frames).flatten()  # (batch * count,)
        rows = padded.reshape(batch * count, self.frames, mels)
        heard = inside > 0
        log_probs, _ = self.model(rows[heard], inside[heard])  # (pieces, frames', vocab)
        whole = log_probs.new_zeros(batch * count, log_probs.size(1), log_probs.size(2))
        whole[heard] = log_probs
        lengths = self.model.output_lengths(lengths)
        joined = whole.reshape(batch, -1, log_probs.size(2))[:, : int(lengths.max())]
        return joined.masked_fill(~valid_mask(lengths, joined.size(1)).unsqueeze(2), 0.0), lengths


def measure_context(
    listeners: Sequence[Listener], frames: Sequence[int], on_step: Step = lambda: None
) -> dict[str, Any]:
    """A row for each N, with its seconds, and one for whole recordings (``frames`` None), the last."""
    for listener in listeners:
        for one in frames:
            InPieces(listener.model, one)  # refuses before anything is heard
    changes = {str(one): partial(InPieces, frames=one) for one in sorted(frames)}
    rows = measure_changes(listeners, {**changes, "whole": lambda model: model}, on_step)
    first = listeners[0]
    for row, count in zip(rows, [*sorted(frames), None], strict=True):
        row |= {"frames": count, "seconds": None if count is None else count * first.frame_s}
    return {"rows": rows, "longest_s": max(one.duration_s for one in first.utterances)}


def draw_context(found: dict[str, Any], path: Path) -> None:
    """WER against N; whole recordings as a level."""
    figure, (axes,) = new_figure()
    *cut, whole = found["rows"]
    columns = [[row[key] for row in cut] for key in ("seconds", "wer", "low", "high")]
    draw_lines(axes, [Line("pieces", *columns)], {"pieces": "#d62728"}, marker="o")
    axes.axhline(whole["wer"], color="#555555", linestyle="--", label=f"whole recordings: {whole['wer']:.2f} %")
    axes.set(
        xscale="log",
        xlabel="length of a piece (s)",
        ylabel="WER %",
        title=f"Speech with its context cut ({said_of(whole)})",
    )
    axes.minorticks_off()
    axes.set_xticks(columns[0], [f"{seconds:g}" for seconds in columns[0]])
    if len(whole["wers"]) > 1:
        for row in cut:
            axes.plot([row["seconds"]] * len(row["wers"]), row["wers"], ".", color="#333333", markersize=5)
    axes.set_ylim(bottom=0)
    axes.legend()
    save_figure(figure, path)
