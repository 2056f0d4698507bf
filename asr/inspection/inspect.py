"""One recording through a recogniser: gates, states and attention of its encoder, as records, arrays and tables.

In: a ``Recognizer`` and a waveform of at most LONGEST_S. Out: an ``Inspection``; the same as named arrays
(`asr inspect --npz`, NAMES lists them) and as rows of tables, for the terminal and the page. The recogniser runs as in
transcription, with hooks that store each layer's input and output; readable cells recompute these and are compared
with them; from the gates follow each unit's half-life and saturation, and the signals that it follows.
"""

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asr.errors import AsrError, AudioError
from asr.features import Features
from asr.inspection.capture import AttentionMap, capturing, find_parts, head_facts, read_captured
from asr.inspection.traces import Trace, UnitFacts, unit_facts
from asr.inspection.tracking import TOKEN, Tracking, sound_signals, token_signals, track, varying
from asr.recognition import Hypothesis, Recognizer

LONGEST_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """``traces`` with ``units`` and ``tracking`` in the same order (recurrent encoders), or ``maps`` (attention).

    ``log_probs`` ``(frames, vocab)`` natural logs, as the model gave them, before the speech gate; frame t of all is
    centred on ``first_s + t * frame_s`` seconds of the waveform. ``signals`` ``(frames,)`` by name: what the units are
    correlated with. ``hypothesis``: the result of `asr transcribe`, with word times.
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
    """Inspect all layers, or one ``layer`` (from 1), on ``waveform`` ``(samples,)`` at the recogniser's sample rate.

    Raises ModelError if there is no such layer or the encoder cannot be inspected; AudioError if the waveform is empty
    or longer than LONGEST_S.
    """
    duration_s = len(waveform) / recognizer.sample_rate
    if not 0 < duration_s <= LONGEST_S + 0.05:
        raise AudioError(
            f"a part of {duration_s:.1f} s cannot be inspected: give more than 0 and at most {LONGEST_S:g} s"
        )
    recognizer = copy.copy(recognizer)
    recognizer.pretrained = recognizer.pretrained.in_torch()  # nothing can look into an ONNX graph
    parts = find_parts(recognizer.model, layer)
    with capturing(recognizer.model, parts) as captured:
        (emissions,) = recognizer.emissions([waveform], workers=1)
    if isinstance(emissions, AsrError):
        raise emissions
    if captured.log_probs is None or captured.runs != 1:
        raise RuntimeError(f"the model ran {captured.runs} times over one recording")
    traces, maps = read_captured(captured)
    hypothesis = recognizer.decode(emissions)
    log_probs = captured.log_probs[0].float().cpu().numpy()
    rates = [1 if len(trace.hidden) == len(log_probs) else 2 for trace in traces]  # 2: a layer at half the frame rate
    units = [unit_facts(trace, rate * emissions.frame_s) for trace, rate in zip(traces, rates, strict=True)]
    traces = [trace.repeated(rate, len(log_probs)) for trace, rate in zip(traces, rates, strict=True)]
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
        units=units,
        tracking=[track(_state(trace), signals, emissions.frame_s, len(traces)) for trace in traces],
        maps=maps,
    )


def _state(trace: Trace) -> NDArray[np.floating[Any]]:
    """What is correlated with the signals: the cell state (bounded by tanh) if there is one, else the output."""
    state = trace.arrays.get("cell_state")
    return trace.hidden if state is None else np.tanh(state)


NAMES = """\
  times_s (frames,)                      the middle of each encoder frame, seconds from the start of the part
  log_probs (frames, vocab)              natural logarithms, as the model gave them; tokens (vocab,) names them
  log_mel (log_mel_frames, mels)         natural logarithms of power; log_mel_times_s (log_mel_frames,)
  words, word_start_s, word_end_s (words,)
  signals (signals,)                     names; signal_values (frames, signals): what the units are correlated with
  layerN_DIRECTION_forget_gate, ..._input_gate, ..._output_gate, ..._update_gate, ..._reset_gate, ..._candidate,
      ..._cell_state, ..._hidden (frames, units), as far as the cell has them; ..._projected (frames, projection)
  layerN_DIRECTION_half_life_s, ..._effective_half_life_s, ..._dead (units,)
  layerN_DIRECTION_correlation (units, signals), ..._correlation_bound (signals,)
  layerN_attention (heads, queries, keys)
DIRECTION is forward or backward; frame t is the recording's frame t in both."""


def named_arrays(inspection: Inspection, waveform: NDArray[np.float32], features: Features) -> dict[str, NDArray[Any]]:
    """All arrays, by the names in NAMES."""
    words = inspection.hypothesis.words
    arrays: dict[str, NDArray[Any]] = {
        "times_s": inspection.times_s,
        "log_probs": inspection.log_probs,
        "tokens": np.array(inspection.tokens),
        **_log_mel(waveform, features),
        "words": np.array([word.text for word in words], dtype=np.str_),
        "word_start_s": np.array([word.start_s for word in words], dtype=np.float64),
        "word_end_s": np.array([word.end_s for word in words], dtype=np.float64),
        "signals": np.array(list(inspection.signals), dtype=np.str_),
        "signal_values": _columns(inspection),
    }
    for trace, units, tracking in zip(inspection.traces, inspection.units, inspection.tracking, strict=True):
        arrays |= {f"{trace.name}_{name}": values for name, values in trace.arrays.items()}
        arrays[f"{trace.name}_dead"] = units.dead
        if units.half_life_s is not None and units.effective_half_life_s is not None:
            arrays[f"{trace.name}_half_life_s"] = units.half_life_s
            arrays[f"{trace.name}_effective_half_life_s"] = units.effective_half_life_s
        arrays[f"{trace.name}_correlation"] = tracking.correlation
        arrays[f"{trace.name}_correlation_bound"] = tracking.bound
    return arrays | {one.name: one.weights for one in inspection.maps}


def _columns(inspection: Inspection) -> NDArray[Any]:
    """``(frames, signals)``; a recording of one frame has no signals, as nothing varies in it."""
    columns = list(inspection.signals.values())
    return np.stack(columns, axis=1) if columns else np.zeros((inspection.frames, 0))


def _log_mel(waveform: NDArray[np.float32], features: Features) -> dict[str, NDArray[Any]]:
    with torch.inference_mode():
        batch, lengths = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
        log_mel, _ = features.unnormalised(features.levelled(batch, lengths), lengths)
    config = features.config
    times_s = np.arange(log_mel.size(1)) * config.hop_length / config.sample_rate + config.first_frame_s
    return {"log_mel": log_mel[0].numpy(), "log_mel_times_s": times_s}


Rows = tuple[list[str], list[list[str]]]
_MOST_FOLLOWED = 6


def layer_rows(inspection: Inspection) -> Rows:
    """A row per layer and direction: medians over units, shares over units and frames, in percent open / closed."""
    if not inspection.traces:
        return [], []
    gates = inspection.traces[0].gates
    remembers = inspection.traces[0].keep_gate is not None
    header = ["layer", "direction", "units"]
    header += ["half-life", "effective"] if remembers else []
    header += [f"{gate.removesuffix('_gate')} open/closed" for gate in gates] + ["dead", "following"]
    rows = []
    for trace, units, tracking in zip(inspection.traces, inspection.units, inspection.tracking, strict=True):
        count = trace.hidden.shape[1]
        following = sum(bool(tracking.found(unit)) for unit in range(count))
        row = [str(trace.layer), trace.direction, str(count)]
        if units.half_life_s is not None and units.effective_half_life_s is not None:
            row += [seconds(np.median(units.half_life_s)), seconds(np.median(units.effective_half_life_s))]
        row += [f"{percent(units.right[gate])}/{percent(units.left[gate])} %" for gate in gates]
        rows.append([*row, str(int(units.dead.sum())), str(following)])
    return header, rows


def followed_rows(inspection: Inspection) -> Rows:
    """The units with the highest correlation to a signal, a few per layer and direction."""
    rows = []
    for trace, tracking, units in zip(inspection.traces, inspection.tracking, inspection.units, strict=True):
        for name, unit, r in tracking.best()[:_MOST_FOLLOWED]:
            bound = tracking.bound[tracking.signals.index(name)]
            memory = "" if units.half_life_s is None else seconds(units.half_life_s[unit])
            cells = [f"{trace.layer} {trace.direction}", signal_name(name), str(unit), signed(r), f"{bound:.2f}"]
            rows.append([*cells, memory])
    return ["layer", "follows", "unit", "r", "chance below", "half-life"], rows


def head_rows(inspection: Inspection) -> Rows:
    """A row per attention head."""
    rows = []
    for one in inspection.maps:
        for head, weights in enumerate(one.weights, start=1):
            facts = head_facts(weights, inspection.frame_s)
            shares = [f"{100 * share:.0f} %" for share in (facts.before, facts.itself, facts.after)]
            rows.append([str(one.layer), str(head), seconds(facts.distance_s), *shares, f"{facts.frames:.1f}"])
    return ["layer", "head", "distance", "before", "itself", "after", "frames"], rows


def signal_name(name: str) -> str:
    """The signal's name for display: ``token ␣`` for the token of a space."""
    return f"{TOKEN}␣" if name in (f"{TOKEN} ", f"{TOKEN}▁") else name


def seconds(value: float | np.floating[Any]) -> str:
    """``35 ms``, ``2.03 s``, ``∞``."""
    if not math.isfinite(value):
        return "∞"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def percent(shares: NDArray[np.floating[Any]]) -> str:
    """The mean of shares, in percent without a sign."""
    return f"{100 * float(shares.mean()):.0f}"


def signed(r: float) -> str:
    """A correlation with its sign: ``+0.79``, ``−0.79``."""
    return f"{r:+.2f}".replace("-", "−")
