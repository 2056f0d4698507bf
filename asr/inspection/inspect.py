"""One recording through a recogniser, and everything that its encoder did on the way.

In: a ``Recognizer`` and a waveform of at most LONGEST_S. Out: an ``Inspection``. The walk: the recogniser runs as it
does in transcription, with hooks that keep what each layer was given -> readable cells over that, checked against what
the layers gave -> each unit's memory, saturation, life -> what it follows.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, AudioError
from asr.inspection.attention import AttentionMap
from asr.inspection.caught import catching, find_parts, read_caught
from asr.inspection.signals import sound_signals, token_signals, varying
from asr.inspection.traces import Trace
from asr.inspection.tracking import Tracking, track
from asr.inspection.units import UnitFacts, unit_facts
from asr.recognition import Hypothesis, Recognizer
from asr.recognition.emissions import Emissions

LONGEST_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """``traces`` with ``units`` and ``tracking`` in the same order (recurrent encoders), or ``maps`` (attention).

    ``log_probs`` ``(frames, vocab)`` natural logs, as the model gave them, before the speech gate; frame t of all is
    centred on ``first_s + t * frame_s`` seconds of the waveform. ``signals`` ``(frames,)`` by name: what was looked
    for in the units. ``hypothesis``: what `asr transcribe` says, with word times.
    """

    kind: str
    frame_s: float
    first_s: float
    duration_s: float
    tokens: tuple[str, ...]
    hypothesis: Hypothesis
    log_probs: NDArray[np.float32] = field(repr=False)
    signals: dict[str, NDArray[np.floating[Any]]] = field(repr=False)
    traces: list[Trace]
    units: list[UnitFacts]
    tracking: list[Tracking]
    maps: list[AttentionMap]

    @property
    def frames(self) -> int:
        """Encoder frames."""
        return len(self.log_probs)

    @property
    def deviation(self) -> float:
        """The largest difference between any readable cell's output and the model's."""
        return max([one.deviation for one in self.traces] + [one.deviation for one in self.maps])

    @property
    def times_s(self) -> NDArray[np.floating[Any]]:
        """The middles of the frames, ``(frames,)``."""
        times: NDArray[np.floating[Any]] = self.first_s + np.arange(self.frames) * self.frame_s
        return times


def inspect_waveform(recognizer: Recognizer, waveform: NDArray[np.float32], *, layer: int | None = None) -> Inspection:
    """Look into ``recognizer`` while it hears ``(samples,)`` at its own rate; all layers, or one of them (from 1).

    Raises ModelError where there is no such layer or the encoder cannot be looked into; AudioError where the waveform
    is empty or longer than LONGEST_S.
    """
    duration_s = len(waveform) / recognizer.sample_rate
    if not 0 < duration_s <= LONGEST_S + 0.05:
        raise AudioError(f"{duration_s:.1f} s are too much or too little to look into: 0 to {LONGEST_S:g} s can be")
    parts = find_parts(recognizer.model, layer)
    with catching(recognizer.model, parts) as caught:
        emissions = _heard(recognizer, waveform)
    if caught.log_probs is None or caught.runs != 1:
        raise RuntimeError(f"the model ran {caught.runs} times over one recording")
    traces, maps = read_caught(caught)
    hypothesis = recognizer.decode(emissions)
    log_probs = caught.log_probs[0].float().cpu().numpy()
    times_s = np.arange(len(log_probs)) * emissions.frame_s - emissions.edge_s
    signals = token_signals(log_probs, recognizer.tokenizer.tokens)
    if emissions.level is not None and len(emissions.level.values):
        sound = sound_signals(waveform, recognizer.sample_rate, emissions.level, hypothesis.words, times_s)
        signals = varying({**sound, **signals})
    return Inspection(
        kind=recognizer.model.config.name,
        frame_s=emissions.frame_s,
        first_s=-emissions.edge_s,
        duration_s=duration_s,
        tokens=tuple(recognizer.tokenizer.tokens),
        hypothesis=hypothesis,
        log_probs=log_probs,
        signals=signals,
        traces=traces,
        units=[unit_facts(trace, emissions.frame_s) for trace in traces],
        tracking=[track(_followed(trace), signals, emissions.frame_s, len(traces)) for trace in traces],
        maps=maps,
    )


def _heard(recognizer: Recognizer, waveform: NDArray[np.float32]) -> Emissions:
    (emissions,) = recognizer.emissions([waveform], workers=1)
    if isinstance(emissions, AsrError):
        raise emissions
    return emissions


def _followed(trace: Trace) -> NDArray[np.floating[Any]]:
    """What of a unit is held against the signals: its memory where it has one apart from its output, bounded."""
    state = trace.arrays.get("cell_state")
    return trace.hidden if state is None else np.tanh(state)
