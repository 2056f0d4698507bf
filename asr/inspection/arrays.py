"""An inspection as plain arrays with plain names, for people's own plots (`asr inspect --npz`).

In: an ``Inspection`` and what was heard. Out: arrays by name; NAMES says which, with their shapes.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asr.features import LogMel
from asr.inspection.inspect import Inspection

NAMES = """\
  times_s (frames,)                      the middle of each encoder frame, seconds from the start of the part
  log_probs (frames, vocab)              natural logarithms, as the model gave them; tokens (vocab,) names them
  log_mel (log_mel_frames, mels)         natural logarithms of power; log_mel_times_s (log_mel_frames,)
  words, word_start_s, word_end_s (words,)
  signals (signals,)                     names; signal_values (frames, signals): what the units are held against
  layerN_DIRECTION_forget_gate, ..._input_gate, ..._output_gate, ..._update_gate, ..._reset_gate, ..._candidate,
      ..._cell_state, ..._hidden (frames, units), as far as the cell has them; ..._projected (frames, projection)
  layerN_DIRECTION_half_life_s, ..._effective_half_life_s, ..._dead (units,)
  layerN_DIRECTION_correlation (units, signals), ..._correlation_bound (signals,)
  layerN_attention (heads, queries, keys)
DIRECTION is forward or backward; frame t is the recording's frame t in both."""


def named_arrays(inspection: Inspection, waveform: NDArray[np.float32], features: LogMel) -> dict[str, NDArray[Any]]:
    """Everything, by the names of NAMES."""
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
    """``(frames, signals)``; in a recording of one frame nothing varies, and there is no signal."""
    columns = list(inspection.signals.values())
    return np.stack(columns, axis=1) if columns else np.zeros((inspection.frames, 0))


def _log_mel(waveform: NDArray[np.float32], features: LogMel) -> dict[str, NDArray[Any]]:
    with torch.inference_mode():
        log_mel, _ = features.unnormalised(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    config = features.config
    samples = np.arange(log_mel.size(1)) * config.hop_length - config.edge_samples
    return {"log_mel": log_mel[0].numpy(), "log_mel_times_s": samples / config.sample_rate}
