"""Loading, streaming and probing recordings: mono float32 at one rate, as everything else uses it.

In: a path, a rate, and optionally a span and a channel. Out: `(samples,)`, whole or in blocks of bounded memory, or the
facts of a recording without decoding it. A part equals the slice of the whole, because the resampler sees the sound
around the part and keeps the phase of the whole. The first bytes of a file decide which reader opens it, libsndfile
(`Recording`) or FFmpeg (`MediaRecording`); both have the same interface.
"""

import contextlib
import functools
import importlib.metadata
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from asr.audio.head import AudioPath, check_finite, media_kind, note, read_head, shown
from asr.audio.media import OTHER, SEEKABLE, MediaRecording, media_part
from asr.audio.recording import MAX_RATE_HZ, MIN_RATE_HZ, Recording, UnknownFormatError, check_rate
from asr.audio.resample import CONTEXT_S, common_period, resample_blocks
from asr.audio.shards import as_file
from asr.audio.truncation import joined_kind, plain_wav
from asr.errors import AudioError, AudioFormatError, AudioPartError

AnyRecording = Recording | MediaRecording

# 8 h at 16 kHz are 1.8 GB. Longer recordings are streamed, or loaded in parts.
MAX_LOAD_S = 8 * 3600.0
# Manifests round durations; a span may end this far after the end of the file and is cut there.
END_TOLERANCE_S = 0.02
# Channels cancel where the power of their mean is below this share of theirs, over their number; independent ones: 1.
CANCELLED = 0.02
PARTS, PART_S = 20, 0.5  # of a recording, in which that is measured


class AudioInfo(NamedTuple):
    """Facts of one recording. `frames` counts samples per channel; `format` and `subtype` are named as in libsndfile.

    For a media file they name the container and the codec, such as `MP4` and `AAC`.
    """

    frames: int
    sample_rate: int
    channels: int
    duration_s: float
    format: str
    subtype: str


def load_audio(
    path: AudioPath,
    *,
    sample_rate: int = 16_000,
    start_s: float = 0.0,
    duration_s: float | None = None,
    channel: int | None = None,
    track: int | None = None,
    max_duration_s: float = MAX_LOAD_S,
) -> np.ndarray:
    """A recording, or a part of one, as a waveform.

    Args:
        path: any file that soundfile reads, or PyAV where it is installed, at 4 to 384 kHz; or one in a shard
            (asr/audio/shards.py).
        sample_rate: of the result, in Hz.
        start_s: where the part begins.
        duration_s: how long it lasts; None means to the end.
        channel: which one, from 0; None means the mean of all, or one of them where they cancel each other.
        track: which audio track of a container (mp4, mkv, ...), from 0; None means the one that FFmpeg finds best.
        max_duration_s: longest part to load, a protection against small files that decode to days of sound.

    Returns:
        float32 `(samples,)`, from sample `round(start_s * sample_rate)` to `round((start_s + duration_s) *
        sample_rate)` of the whole. Full scale is 1; lossy and float files may go beyond.

    Raises:
        AudioError: the file cannot be read whole, holds NaN or infinity, lacks the span or the channel, or is too long.
    """
    with open_recording(path, track) as recording:
        span = _plan(recording, sample_rate, start_s, duration_s)
        if span.samples / sample_rate > max_duration_s:
            raise AudioPartError(
                f"{shown(path)}: {span.samples / sample_rate / 3600:.2f} h were requested; at most "
                f"{max_duration_s / 3600:.2f} h are loaded at once. Give a start and a duration, or cut the file."
            )
        pieces = [piece for piece in _waveform(recording, span, sample_rate, channel) if len(piece)]
    if not pieces:
        raise AudioPartError(
            f"{shown(path)}: the part is shorter than one sample at {sample_rate:,} Hz. Request a longer one."
        )
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def load_part(path: AudioPath, start_s: float, duration_s: float) -> tuple[np.ndarray, int]:
    """A part to listen to, at the recording's own rate: float32 `(samples,)`, the mean of the channels or one of them
    where they cancel each other, and the rate in Hz.

    Of an MP4 or Matroska file, which may last hours, it decodes only what it needs, and its place in these is as exact
    as their times (`media_part`).

    Raises:
        AudioError: as `load_audio`.
    """
    with as_file(path) as file:
        kind = media_kind(read_head(file))
        if kind in SEEKABLE:
            samples, rate = media_part(file, kind, start_s, start_s + duration_s)
            if not len(samples):
                raise AudioPartError(f"{shown(path)}: the part from {start_s:.3f} s on is outside the recording.")
            check_rate(path, rate)
            return mixed(check_finite(path, samples)), rate
        rate = probe(file).sample_rate
        return load_audio(file, sample_rate=rate, start_s=start_s, duration_s=duration_s), rate


def stream_audio(
    path: AudioPath,
    *,
    sample_rate: int = 16_000,
    block_s: float = 30.0,
    channel: int | None = None,
    track: int | None = None,
) -> Iterator[np.ndarray]:
    """A recording of any length, block by block, with one resampler for all of them.

    Args:
        path: any file that soundfile reads, or PyAV where it is installed, at 4 to 384 kHz.
        sample_rate: of the blocks, in Hz.
        block_s: length of every block but the last.
        channel: which one, from 0; None means the mean of all, or one of them where they cancel each other.
        track: which audio track of a container (mp4, mkv, ...), from 0; None means the one that FFmpeg finds best.

    Yields:
        float32 `(round(block_s * sample_rate),)`, the last one shorter. Joined they equal `load_audio` exactly.

    Raises:
        AudioError: as `load_audio`; damage is found when the stream reaches it, and there is no limit of length.
    """
    block_samples = round(block_s * sample_rate)
    if block_samples < 1:
        raise AudioPartError(f"{shown(path)}: blocks of {block_s} s are shorter than one sample. Request longer ones.")
    with open_recording(path, track) as recording:
        span = _plan(recording, sample_rate, 0.0, None)
        waiting: list[np.ndarray] = []
        samples = 0
        for piece in _waveform(recording, span, sample_rate, channel):
            waiting.append(piece)
            samples += len(piece)
            if samples >= block_samples:
                joined = np.concatenate(waiting)
                full = samples - samples % block_samples
                for start in range(0, full, block_samples):
                    yield joined[start : start + block_samples].copy()
                waiting, samples = [joined[full:].copy()], samples - full
        if samples:
            yield np.concatenate(waiting)


def probe(path: AudioPath, track: int | None = None) -> AudioInfo:
    """Length, rate, channels and format of a recording.

    Args:
        path: the recording.
        track: as for `load_audio`.

    Returns:
        Its facts; `duration_s` is `frames / sample_rate`. The last sample of a FLAC file is decoded, because a cut one
        still declares its full length.

    Raises:
        AudioError: absent, a folder, a pipe, unreadable, empty, not audio, cut short, or with an impossible header.
    """
    with as_file(path) as file:
        head = read_head(file)
        plain = None if track else plain_wav(head, os.path.getsize(file))
        if plain and MIN_RATE_HZ <= plain[1] <= MAX_RATE_HZ:  # several times faster than by libsndfile
            frames, rate, channels, subtype = plain
            return AudioInfo(frames, rate, channels, frames / rate, "WAV", subtype)
        with _opened(file, track, head) as recording:
            if recording.format == "FLAC":
                recording.check_last_frame()
            frames, rate = recording.frames, recording.sample_rate
            kind = recording.format, recording.subtype
            return AudioInfo(frames, rate, recording.channels, frames / rate, *kind)


@functools.cache
def decoder_versions() -> tuple[str, ...]:
    """The versions of what computes the samples that `load_audio` returns; with others they may differ slightly."""
    try:
        pyav = importlib.metadata.version("av")
    except importlib.metadata.PackageNotFoundError:
        pyav = "absent"
    return (soundfile.__libsndfile_version__, soxr.__version__, pyav)


@contextlib.contextmanager
def open_recording(path: AudioPath, track: int | None = None) -> Iterator[AnyRecording]:
    """Open and check a recording of any kind, also one in a shard; `track` as for `load_audio`.

    Raises:
        AudioError: it cannot be read, or PyAV is needed; the message says what, why and what to do.
    """
    with as_file(path) as file, _opened(file, track, read_head(file)) as recording:
        yield recording


def _opened(path: AudioPath, track: int | None, head: bytes) -> AnyRecording:
    kind = media_kind(head) or joined_kind(path, head)
    if kind is not None or track:
        return _media_recording(path, kind or OTHER, track)
    try:
        return Recording(path, head)
    except UnknownFormatError as error:
        unknown = error
    try:
        return _media_recording(path, OTHER, track)
    except AudioError as second:
        more = " Or install PyAV, which reads more: pip install 'asr-bilstm[media]'." if "PyAV" in str(second) else ""
        raise AudioFormatError(f"{unknown}{more}") from None


def _media_recording(path: AudioPath, kind: str, track: int | None) -> MediaRecording:
    recording = MediaRecording(path, kind, track)
    try:
        check_rate(path, recording.sample_rate)
    except BaseException:
        recording.close()
        raise
    return recording


@dataclass(frozen=True, slots=True)
class _Span:
    """Which input frames to decode, and which of the resampled samples to keep."""

    first_frame: int
    stop_frame: int
    skip: int
    samples: int


def _plan(recording: AnyRecording, to_rate: int, start_s: float, duration_s: float | None) -> _Span:
    if not MIN_RATE_HZ <= to_rate <= MAX_RATE_HZ:
        raise AudioError(f"sample_rate {to_rate:,} Hz is outside {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz. Use 16000.")
    _check_span(recording, start_s, duration_s)
    whole = math.ceil(recording.frames * to_rate / recording.sample_rate)
    first = round(start_s * to_rate)
    stop = whole if duration_s is None else min(whole, round((start_s + duration_s) * to_rate))
    from_rate = recording.sample_rate
    if from_rate == to_rate:
        return _Span(first, stop, 0, stop - first)
    frames_period, samples_period = common_period(from_rate, to_rate)
    # In whole numbers: a recording that is cut at a full second then gives the same bits as before.
    context = round(CONTEXT_S * from_rate * to_rate)
    period = max(0, first * from_rate - context) // to_rate // frames_period
    stop_frame = recording.frames if stop == whole else -((-stop * from_rate - context) // to_rate)
    return _Span(
        period * frames_period, min(recording.frames, stop_frame), first - period * samples_period, stop - first
    )


def _check_span(recording: AnyRecording, start_s: float, duration_s: float | None) -> None:
    name, file_s = shown(recording.path), recording.frames / recording.sample_rate
    if not (math.isfinite(start_s) and start_s >= 0):
        raise AudioPartError(f"{name}: start_s is {start_s}; it must be 0 or more seconds.")
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
        raise AudioPartError(f"{name}: duration_s is {duration_s}; it must be more than 0 seconds.")
    if start_s >= file_s or (duration_s is not None and start_s + duration_s > file_s + END_TOLERANCE_S):
        end = "its end" if duration_s is None else f"{start_s + duration_s:.3f} s"
        raise AudioPartError(
            f"{name}: the part from {start_s:.3f} s to {end} is outside the recording, which lasts {file_s:.3f} s. "
            "Correct start_s and duration_s (run: asr check MANIFEST)."
        )


def _waveform(recording: AnyRecording, span: _Span, to_rate: int, channel: int | None) -> Iterator[np.ndarray]:
    """The span's samples in pieces: decoded, mixed, resampled, and trimmed to the plan."""
    if channel is not None and not 0 <= channel < recording.channels:
        raise AudioPartError(
            f"{shown(recording.path)}: has no channel {channel}; it has {recording.channels} (the first is "
            "channel 0). "
            "Correct the channel, or give none to average them all."
        )
    if channel is None and recording.channels > 1:
        channel = _loudest_where_inverted(recording)
    mono = (_mix(block, channel) for block in recording.blocks(span.first_frame, span.stop_frame))
    position = 0
    for piece in resample_blocks(mono, recording.sample_rate, to_rate):
        start, stop = span.skip - position, span.skip + span.samples - position
        position += len(piece)
        yield piece[max(0, start) : max(0, stop)]


def _loudest_where_inverted(recording: AnyRecording) -> int | None:
    """The channel to take where the channels cancel each other, else None."""
    status = os.stat(recording.path)
    track = recording.track if isinstance(recording, MediaRecording) else None
    found = _cancelling(os.fspath(recording.path), status.st_size, status.st_mtime_ns, track)
    if found is not None:
        note(recording.path, f"its channels are inverted copies of each other; channel {found} is read, not their mean")
    return found


@functools.lru_cache(maxsize=1024)
def _cancelling(path: str, size: int, mtime_ns: int, track: int | None) -> int | None:
    """As above, measured on parts evenly spread over the recording, so that any part of it is mixed alike."""
    with open_recording(path, track) as recording:
        part, frames = round(PART_S * recording.sample_rate), recording.frames
        spread = isinstance(recording, Recording) and frames > 2 * PARTS * part
    starts = [round(place * (frames - part)) for place in np.linspace(0, 1, PARTS)] if spread else [0]
    mean_power, powers = 0.0, np.zeros(1)
    for start in starts:
        with open_recording(path, track) as recording:
            for block in recording.blocks(start, start + part if spread else frames):
                mean_power += _powers(block.mean(axis=1, keepdims=True))[0]
                powers = powers + _powers(block)
    return _loudest(powers) if _cancel(mean_power, powers) else None


def mixed(samples: np.ndarray) -> np.ndarray:
    """`(samples, channels)` in memory as `(samples,)`: their mean, or the loudest where they cancel each other."""
    mean = samples.mean(axis=1, dtype=np.float32)
    powers = _powers(samples)
    result: np.ndarray = samples[:, _loudest(powers)] if _cancel(_powers(mean[:, None])[0], powers) else mean
    return result


def _powers(block: np.ndarray) -> np.ndarray:
    """Of each channel, summed."""
    powers: np.ndarray = np.square(block, dtype=np.float64).sum(axis=0)
    return powers


def _cancel(mean_power: float, powers: np.ndarray) -> bool:
    return bool(mean_power < CANCELLED / len(powers) * powers.mean())


def _loudest(powers: np.ndarray) -> int:
    return int(powers.argmax())


def _mix(block: np.ndarray, channel: int | None) -> np.ndarray:
    """`(frames, channels)` to `(frames,)`."""
    if block.shape[1] == 1:
        return block[:, 0]
    if channel is not None:
        return np.ascontiguousarray(block[:, channel])
    mixed: np.ndarray = block.mean(axis=1, dtype=np.float32)
    return mixed
