"""Hear utterances once and keep what tells good recordings from bad ones.

In: utterances. Out: a `Heard` each (a few numbers and a fingerprint, never the samples), or the error that says why it
could not be heard. Measured at the file's own rate and before channels are mixed, because resampling and mixing hide
clipping and bandwidth. Decoding takes most of the time.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio.opening import open_recording
from asr.data.doctor.bandwidth import bandwidth_hz, power_spectrum
from asr.data.utterance import Utterance
from asr.errors import AudioError

LONGEST_S = 600.0  # of a longer utterance the first ten minutes are heard
_FRAME_S = 0.02
_FULL_SCALE = 0.999
_FLAT = 1e-4  # samples so near to the file's own peak, relative to it, lie on a cut-off top
_FLAT_RUN = 3
_SILENCE_DB = -60.0  # of full scale
_BELOW_SPEECH_DB = 35.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one utterance sounds like.

    Attributes:
        peak: largest absolute sample, 1 is full scale.
        clipped: samples in runs of at least 3 at full scale, or at the recording's own flat top.
        flat_tops: how many such runs there are.
        seconds: heard.
        active_s: of these, not more than 35 dB below the loudest, nor below -60 dB of full scale.
        offset: mean of the samples (DC).
        level: root mean square about that mean.
        bandwidth_hz: up to where there is sound.
        sample_rate, channels, format, subtype: of the file.
        fingerprint: equal for equal samples of 16 bits, whatever the file's name and lossless format.
    """

    peak: float
    clipped: int
    flat_tops: int
    seconds: float
    active_s: float
    offset: float
    level: float
    bandwidth_hz: float
    sample_rate: int
    channels: int
    format: str
    subtype: str
    fingerprint: str


Sounds = Mapping[str, Heard | AudioError]


def listen_all(
    utterances: Sequence[Utterance], *, threads: int = 2, on_utterance: Callable[[float], None] = lambda seconds: None
) -> Sounds:
    """Hear each utterance; by its id, a `Heard` or the error.

    Args:
        utterances: of one manifest, ids distinct.
        threads: heard at a time.
        on_utterance: called with the seconds of each after it was heard.
    """

    def one(utterance: Utterance) -> Heard | AudioError:
        try:
            return listen(utterance)
        except AudioError as error:
            return error

    found: dict[str, Heard | AudioError] = {}
    with ThreadPoolExecutor(threads) as pool:
        for utterance, heard in zip(utterances, pool.map(one, utterances), strict=True):
            found[utterance.id] = heard
            on_utterance(utterance.duration_s)
    return found


def listen(utterance: Utterance) -> Heard:
    """Hear one utterance. Raises AudioError when it cannot be decoded or lies outside its recording."""
    with open_recording(utterance.audio) as recording:
        rate = recording.sample_rate
        start = round(utterance.start_s * rate)
        stop = min(recording.frames, start + round(min(utterance.duration_s, LONGEST_S) * rate))
        channel = utterance.channel
        if start >= stop or (channel is not None and channel >= recording.channels):
            raise AudioError(f"{utterance.audio}: does not hold the span or the channel of {utterance.id}.")
        samples = np.concatenate(list(recording.blocks(start, stop)))  # (frames, channels)
        facts = (recording.channels, str(recording.format), str(recording.subtype))
    if channel is not None:
        samples = samples[:, channel : channel + 1]
    return _measured(samples, rate, *facts)


def _measured(samples: NDArray[np.float32], rate: int, channels: int, form: str, subtype: str) -> Heard:
    mono: NDArray[np.float32] = np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
    tops = [flat_tops(column) for column in samples.T]
    offset = float(mono.mean(dtype=np.float64))
    centred = mono - np.float32(offset)
    return Heard(
        peak=float(np.abs(samples).max()),
        clipped=sum(clipped for clipped, _ in tops),
        flat_tops=sum(runs for _, runs in tops),
        seconds=len(mono) / rate,
        active_s=_active_s(centred, rate),
        offset=offset,
        level=float(mono.std(dtype=np.float64)),
        bandwidth_hz=bandwidth_hz(power_spectrum(centred, rate), rate),
        sample_rate=rate,
        channels=channels,
        format=form,
        subtype=subtype,
        fingerprint=_fingerprint(samples, rate),
    )


def flat_tops(waveform: NDArray[np.float32]) -> tuple[int, int]:
    """Samples in runs of at least 3 that lie at full scale or at the waveform's own peak, and the number of runs.

    A recording that was clipped and then made softer has its flat tops below full scale; each polarity has its own.
    """
    clipped = runs = 0
    for signed in (waveform, -waveform):
        top = float(signed.max())
        if top <= 0:
            continue
        flat = signed >= min(top * (1 - _FLAT), _FULL_SCALE)
        changes = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
        lengths = changes[1::2] - changes[::2]
        long = lengths[lengths >= _FLAT_RUN]
        clipped, runs = clipped + int(long.sum()), runs + len(long)
    return clipped, runs


def _active_s(waveform: NDArray[np.float32], rate: int) -> float:
    size = max(1, round(_FRAME_S * rate))
    count = max(1, len(waveform) // size)
    frames = waveform[: count * size].reshape(count, -1)
    levels = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-12)
    limit = max(_SILENCE_DB, float(np.percentile(levels, 98)) - _BELOW_SPEECH_DB)
    return float((levels > limit).sum() * frames.shape[1] / rate)


def _fingerprint(samples: NDArray[np.float32], rate: int) -> str:
    words = np.clip(np.round(samples * 32_768), -32_768, 32_767).astype("<i2")
    return hashlib.blake2b(words.tobytes(), digest_size=16, person=str(rate).encode()).hexdigest()
