"""Sound as it comes: from a pipe, raw or in a format that needs no seeking, or from the microphone.

In: an open binary stream, or the default input device. Out: mono float32 blocks at one rate, as soon as they are there.
Pipes in a format are read by PyAV (the [media] extra), the microphone by sounddevice (the [microphone] extra).
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from asr.audio.media import GAP_S, PIPED, begins_s, chosen_track, frame_samples
from asr.audio.recording import MAX_RATE_HZ, MIN_RATE_HZ
from asr.audio.resample import Resampler
from asr.errors import AudioError, ConfigError

BLOCK_S = 0.1
_BYTES = 1 << 16  # read at a time, at most


def raw_blocks(stream: BinaryIO, raw_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """16-bit PCM, little-endian, mono, at ``raw_rate`` Hz; an odd byte at the end is left out.

    Raises ConfigError for an impossible rate, AudioError where the stream cannot be read.
    """
    if not MIN_RATE_HZ <= raw_rate <= MAX_RATE_HZ:
        raise ConfigError(f"raw sound: the rate {raw_rate} must be {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz")
    resampler, rest = Resampler(raw_rate, to_rate), b""
    for block in _pieces(stream):
        block = rest + block
        whole = len(block) // 2 * 2
        rest = block[whole:]
        yield resampler.push(np.frombuffer(block[:whole], "<i2").astype(np.float32) / 32768)
    yield resampler.push(np.zeros(0, np.float32), last=True)


def media_blocks(
    stream: BinaryIO, to_rate: int, channel: int | None = None, track: int | None = None
) -> Iterator[np.ndarray]:
    """Any format that FFmpeg reads without seeking: WAV, FLAC, Ogg, MP3, WebM, ... ``channel``: from 0, None mixes;
    ``track``: from 0, None: the best. Where it begins later than the video, silence comes first.

    Raises AudioError where PyAV is not installed, or the stream is no such sound or is damaged.
    """
    try:
        import av
    except ImportError:
        raise AudioError(
            "standard input: reading a format from a pipe as it comes needs PyAV; install it with: pip install"
            " 'asr-bilstm[media]', or send raw 16-bit sound with --rate HZ"
        ) from None
    try:
        # the list keeps playlists out, which could name other files and servers
        whitelist = {"format_whitelist": PIPED}
        container: Any
        with av.open(_Pipe(stream), mode="r", options=whitelist, metadata_errors="replace") as container:
            resampler, rate = None, 0
            for frame in container.decode(chosen_track(container, "standard input", track)):
                if resampler is None:
                    late_s = (frame.time or 0.0) - begins_s(container)
                    if GAP_S[0] < late_s < GAP_S[1]:
                        yield np.zeros(round(late_s * to_rate), np.float32)
                if resampler is None or rate != frame.sample_rate:
                    rate = int(frame.sample_rate)
                    resampler = Resampler(rate, to_rate)
                yield resampler.push(_mono(frame_samples(frame), channel))
            if resampler is not None:
                yield resampler.push(np.zeros(0, np.float32), last=True)
    except (AudioError, MemoryError):
        raise
    except Exception as error:  # FFmpeg's errors, and PyAV's own
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise AudioError(
            f"standard input: is not sound that can be read from a pipe, or is damaged (FFmpeg: {reason}); raw 16-bit"
            " sound needs --rate HZ, and formats that need seeking (m4a, mp4) are given as files"
        ) from None


def microphone_blocks(to_rate: int) -> Iterator[np.ndarray]:
    """The default input device, without end. Raises AudioError where sounddevice is missing or no device can record."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio itself is missing
        raise AudioError(
            f"microphone: recording needs sounddevice ({error}); install it with: pip install 'asr-bilstm[microphone]'"
            " (on Linux also libportaudio2)"
        ) from None
    size = round(BLOCK_S * to_rate)
    try:
        with sounddevice.InputStream(samplerate=to_rate, channels=1, dtype="float32", blocksize=size) as device:
            while True:
                samples, _ = device.read(size)
                yield samples[:, 0].copy()
    except sounddevice.PortAudioError as error:
        raise AudioError(f"microphone: cannot record ({error}); choose another input device in the system") from None


class _Pipe:
    """A stream without ``seek``, from which FFmpeg gets what is there instead of waiting for all it asks for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; empty at the end."""
        return _read(self._stream, min(size, _BYTES))


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while block := _read(stream, _BYTES):
        yield block


def _read(stream: Any, size: int) -> bytes:
    try:
        block: bytes = stream.read1(size) if hasattr(stream, "read1") else stream.read(size)
    except (OSError, ValueError) as error:
        raise AudioError(f"standard input: cannot be read ({error})") from None
    return block


def _mono(samples: np.ndarray, channel: int | None) -> np.ndarray:
    """``(frames, channels)`` -> ``(frames,)``."""
    if channel is None:
        mean: np.ndarray = samples.mean(axis=1, dtype=np.float32)
        return mean
    if channel >= samples.shape[1]:
        raise AudioError(f"standard input: has no channel {channel}; it has {samples.shape[1]}, counted from 0")
    return np.ascontiguousarray(samples[:, channel])
