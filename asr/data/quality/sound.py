"""Checks of sound: decoding errors, silence, clipping, offset, narrow bandwidth, mixtures, and equal recordings.

In: utterances. Out: `SoundStatistics` for each (a few numbers and a fingerprint, never the samples), or the error that
says why it cannot be decoded; and findings about them. Sound is measured at the file's own rate and before channels are
mixed, because resampling and mixing hide clipping and bandwidth. Decoding takes most of the time.

The bandwidth is the frequency up to which a recording holds sound: telephone audio may have been upsampled, and MP3
cuts off the top. Speech falls off gently towards half its sampling rate, to -30 to -60 dB of its strongest band; a
codec or a resampler leaves a cliff with next to nothing above it (LibriSpeech as MP3: 80 dB within 500 Hz, to -105
dB). Both conditions are required: short utterances of some voices fall by 30 dB within 500 Hz too, but only to -50 dB
(AN4, synthetic voices).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio.load import mixed, open_recording
from asr.data.manifest import Utterance
from asr.data.quality.findings import Finding, list_counts, manifest_finding, utterance_finding
from asr.errors import AudioError, AudioPartError, without_locals

LONGEST_S = 600.0  # of a longer utterance the first ten minutes are decoded
_FRAME_S = 0.02
_FULL_SCALE = 0.999
_FLAT = 1e-4  # samples so close to the file's own peak, relative to it, are on a clipped top
_FLAT_RUN = 3
_SILENCE_DB = -60.0  # of full scale
_BELOW_SPEECH_DB = 35.0

BAND_HZ = 250.0
_LOWEST_HZ = 1_500.0
_CLIFF_DB = 25.0
_NOTHING_DB = -65.0  # of the strongest band
_SIDE_BANDS = 2  # compared below the edge, and left out above it

_SILENT_PEAK = 0.001  # -60 dB of full scale
_MOSTLY_SILENT = 0.15  # of an utterance's time is sound; LibriSpeech's least is about 0.4
_MOSTLY_SILENT_S = 2.0
_CLIPPED_RUNS = 5
_CLIPPED_SHARE = 0.0005
_OFFSET = 0.01
_OFFSET_OF_LEVEL = 0.25
_NARROW = 0.6  # of half the sampling rate; telephone at 16 kHz is 0.45, MP3 of low rate 0.75
_MIX_SHARE = 0.05
_MIX_UTTERANCES = 5
_MIX_HZ = 1_000.0
STEP_HZ = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundStatistics:
    """Measures of one utterance's sound.

    Attributes:
        peak: largest absolute sample, 1 is full scale.
        clipped: samples in runs of at least 3 at full scale, or at the recording's own flat top.
        flat_tops: how many such runs there are.
        seconds: decoded.
        active_s: of these, at most 35 dB below the loudest and above -60 dB of full scale.
        offset: mean of the samples (DC).
        level: root mean square about that mean.
        bandwidth_hz: the frequency up to which there is sound.
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


Sounds = Mapping[str, SoundStatistics | AudioError]


def analyse_all(
    utterances: Sequence[Utterance], *, threads: int = 2, on_utterance: Callable[[float], None] = lambda seconds: None
) -> Sounds:
    """Decode and measure each utterance; by its id, a `SoundStatistics` or the error.

    Args:
        utterances: of one manifest, ids distinct.
        threads: utterances decoded at a time.
        on_utterance: called with the duration in seconds of each after it was decoded.
    """

    def one(utterance: Utterance) -> SoundStatistics | AudioError:
        try:
            return analyse(utterance)
        except AudioError as error:
            return without_locals(error)

    found: dict[str, SoundStatistics | AudioError] = {}
    with ThreadPoolExecutor(threads) as pool:
        for utterance, sound in zip(utterances, pool.map(one, utterances), strict=True):
            found[utterance.id] = sound
            on_utterance(utterance.duration_s)
    return found


def analyse(utterance: Utterance) -> SoundStatistics:
    """Decode and measure one utterance. Raises AudioError if it cannot be decoded or is outside its recording."""
    with open_recording(utterance.audio) as recording:
        rate = recording.sample_rate
        start = round(utterance.start_s * rate)
        stop = min(recording.frames, start + round(min(utterance.duration_s, LONGEST_S) * rate))
        channel = utterance.channel
        if start >= stop or (channel is not None and channel >= recording.channels):
            raise AudioPartError(f"{utterance.audio}: does not contain the span or the channel of {utterance.id}.")
        samples = np.concatenate(list(recording.blocks(start, stop)))  # (frames, channels)
        facts = (recording.channels, str(recording.format), str(recording.subtype))
    if channel is not None:
        samples = samples[:, channel : channel + 1]
    return _measured(samples, rate, *facts)


def _measured(samples: NDArray[np.float32], rate: int, channels: int, form: str, subtype: str) -> SoundStatistics:
    mono: NDArray[np.float32] = np.ascontiguousarray(mixed(samples))
    tops = [flat_tops(column) for column in samples.T]
    offset = float(mono.mean(dtype=np.float64))
    centred = mono - np.float32(offset)
    return SoundStatistics(
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
    """Samples in runs of at least 3 at full scale or at the waveform's own peak, and the number of runs.

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


def spectrum_size(sample_rate: int) -> int:
    """Samples in a frame of 32 ms, even."""
    return 2 * round(0.016 * sample_rate)


def power_spectrum(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """The mean power of `(samples,)` at each frequency from 0 to half the rate: `(size / 2 + 1,)`, not scaled."""
    size = spectrum_size(sample_rate)
    padded = np.pad(waveform, (0, max(0, size - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    window = np.hanning(size).astype(np.float32)
    total = np.zeros(size // 2 + 1)
    for start in range(0, len(frames), 1_024):  # bounded memory
        total += (np.abs(np.fft.rfft(frames[start : start + 1_024] * window, axis=1)) ** 2).sum(axis=0)
    return total / len(frames)


def bandwidth_hz(power: NDArray[np.float64], sample_rate: int) -> float:
    """The frequency above which (almost) nothing is left, or half the rate where sound goes up to there.

    `power`: `(bins,)` as `power_spectrum` gives it.
    """
    half_hz = sample_rate / 2
    count = int(half_hz / BAND_HZ)
    edges = np.round(np.arange(count + 1) * BAND_HZ / half_hz * (len(power) - 1)).astype(int)
    if not power.any() or count <= _LOWEST_HZ / BAND_HZ:
        return half_hz
    bands = np.add.reduceat(power, edges[:-1]) / np.diff(edges)
    levels = 10 * np.log10(bands + bands.max() * 1e-14)  # 140 dB down is nothing
    best_drop, found = _CLIFF_DB, half_hz
    for edge in range(int(_LOWEST_HZ / BAND_HZ), count - _SIDE_BANDS):
        below = levels[edge - _SIDE_BANDS : edge].mean()
        above = levels[edge + _SIDE_BANDS :].max()
        drop = float(below - above)
        if drop > best_drop and above - levels.max() < _NOTHING_DB:
            best_drop, found = drop, edge * BAND_HZ
    return found


def without_errors(sounds: Sounds) -> dict[str, SoundStatistics]:
    """The utterances that could be decoded."""
    return {identifier: sound for identifier, sound in sounds.items() if isinstance(sound, SoundStatistics)}


def sound_findings(utterances: Sequence[Utterance], sounds: Sounds) -> Iterator[Finding]:
    """Findings about the utterances that were decoded, then about the manifest as a whole."""
    for utterance in utterances:
        sound = sounds.get(utterance.id)
        if isinstance(sound, AudioError):
            yield utterance_finding("error", "sound that cannot be decoded", utterance.id, str(sound))
        elif sound is not None:
            yield from _level_findings(utterance.id, sound)
    decoded = without_errors(sounds)
    yield from _mixtures(decoded)
    yield from _same_sound(utterances, decoded)


def bandwidths(sounds: Mapping[str, SoundStatistics]) -> Counter[float]:
    """How many utterances hold sound up to each frequency, in steps of 500 Hz."""
    return Counter(STEP_HZ * round(sound.bandwidth_hz / STEP_HZ) for sound in sounds.values())


def _level_findings(identifier: str, sound: SoundStatistics) -> Iterator[Finding]:
    if sound.peak < _SILENT_PEAK:
        message = f"the largest sample is {sound.peak:.6f} of full scale"
        yield utterance_finding("warning", "silent", identifier, message)
        return
    if sound.active_s < _MOSTLY_SILENT * sound.seconds and sound.seconds > _MOSTLY_SILENT_S:
        message = f"only {sound.active_s:.1f} of {sound.seconds:.1f} s hold sound"
        yield utterance_finding("warning", "mostly silence", identifier, message)
    if sound.flat_tops >= _CLIPPED_RUNS and sound.clipped > _CLIPPED_SHARE * sound.seconds * sound.sample_rate:
        share = sound.clipped / (sound.seconds * sound.sample_rate)
        message = f"{sound.flat_tops:,} flat tops at {sound.peak:.2f} of full scale, {share:.2%} of all samples"
        yield utterance_finding("warning", "clipped", identifier, message)
    if abs(sound.offset) > max(_OFFSET, _OFFSET_OF_LEVEL * sound.level):
        message = f"the mean of the samples is {sound.offset:+.3f}, not 0; their level is {sound.level:.3f}"
        yield utterance_finding("warning", "offset (DC)", identifier, message)
    if sound.bandwidth_hz < _NARROW * sound.sample_rate / 2:
        message = f"nothing above {sound.bandwidth_hz:,.0f} Hz in {sound.sample_rate:,} Hz: upsampled telephone audio?"
        yield utterance_finding("warning", "narrow band", identifier, message)


def _mixtures(sounds: Mapping[str, SoundStatistics]) -> Iterator[Finding]:
    ways = (
        ("mixed sample rates", Counter(f"{sound.sample_rate:,} Hz" for sound in sounds.values())),
        ("mixed channels", Counter(f"{sound.channels} channels" for sound in sounds.values())),
    )
    for kind, counts in ways:
        if len(counts) > 1:
            yield manifest_finding("warning", kind, list_counts(counts))
    encodings = Counter(f"{sound.format} {sound.subtype}" for sound in sounds.values())
    if len(encodings) > 1:
        yield manifest_finding("note", "mixed encodings", list_counts(encodings))
    large = {hz for hz, count in bandwidths(sounds).items() if count >= max(_MIX_UTTERANCES, _MIX_SHARE * len(sounds))}
    if large and max(large) - min(large) >= _MIX_HZ:
        shown = list_counts(Counter({f"up to {hz:,.0f} Hz": count for hz, count in sorted(bandwidths(sounds).items())}))
        message = f"{shown}; a model may learn the channel instead of the speech"
        yield manifest_finding("warning", "mixed bandwidths", message)


def _same_sound(utterances: Sequence[Utterance], sounds: Mapping[str, SoundStatistics]) -> Iterator[Finding]:
    """The same samples in two files; the same stretch of one file is found without decoding."""
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        if (sound := sounds.get(utterance.id)) is not None and sound.peak >= _SILENT_PEAK:
            groups[sound.fingerprint].append(utterance)
    for first, *others in groups.values():
        elsewhere = [other for other in others if other.audio != first.audio]
        if not elsewhere:
            continue
        if len({utterance.text for utterance in (first, *elsewhere)}) == 1:
            for other in elsewhere:
                message = f"{other.audio} has the same samples as {first.audio} ({first.id})"
                yield utterance_finding("warning", "same sound twice", other.id, message)
        else:
            ids = (first.id, *(other.id for other in elsewhere))
            message = f"the same samples as {', '.join(ids[1:4])}; their texts differ, so one is wrong"
            yield Finding(
                severity="warning", kind="same sound with two texts", where=first.id, message=message, ids=ids
            )
