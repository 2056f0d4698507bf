"""Sound as it comes: from a pipe, raw or in a format that needs no seeking, or from the microphone.

In: an open binary stream, bytes that are pushed, or the default input device. Out: mono float32 blocks at one rate, as
soon as they are there. Formats are read by PyAV (the [media] extra), the microphone by sounddevice (the [microphone]
extra).
"""

import io
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np

from asr.audio.media import GAP_S, PIPED, begins_s, chosen_track, frame_samples
from asr.audio.recording import MAX_RATE_HZ, MIN_RATE_HZ, check_rate
from asr.audio.resample import Resampler
from asr.errors import AudioError, AudioFormatError, AudioPartError, ConfigError

BLOCK_S = 0.1
_BYTES = 1 << 16  # read at a time, at most
_MOST_SILENT = 16e6  # bytes that are pushed without any sound in them
STDIN = "standard input"
_WITH_RATE = {STDIN: " with --rate HZ"}


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
    stream: BinaryIO,
    to_rate: int,
    channel: int | None = None,
    track: int | None = None,
    *,
    name: str = STDIN,
    kind: str | None = None,
) -> Iterator[np.ndarray]:
    """Any format that FFmpeg reads without seeking: WAV, FLAC, Ogg, MP3, WebM, ... ``channel``: from 0, None mixes;
    ``track``: from 0, None: the best. Where it begins later than the video, silence comes first. ``kind``: the name
    of FFmpeg's reader, None: what it finds the sound to be; ``name``: of the sound, in messages.

    Raises AudioFormatError where PyAV is not installed, or the stream is no such sound or is damaged.
    """
    try:
        import av
    except ImportError:
        raise AudioFormatError(
            f"{name}: reading a format as it comes needs PyAV; install it with: pip install 'asr-bilstm[media]', or"
            f" send raw 16-bit sound{_WITH_RATE.get(name, '')}"
        ) from None
    try:
        # the list keeps playlists out, which could name other files and servers
        whitelist = {"format_whitelist": kind or PIPED}
        container: Any
        with av.open(_Pipe(stream), mode="r", format=kind, options=whitelist, metadata_errors="replace") as container:
            resampler, rate = None, 0
            for frame in container.decode(chosen_track(container, name, track)):
                if resampler is None:
                    yield from _silence((frame.time or 0.0) - begins_s(container), to_rate)
                if resampler is None or rate != frame.sample_rate:
                    if resampler is not None:
                        yield resampler.push(np.zeros(0, np.float32), last=True)
                    rate = int(frame.sample_rate)
                    check_rate(name, rate)  # one of 1 Hz would make gigabytes of a kilobyte
                    resampler = Resampler(rate, to_rate)
                yield resampler.push(_mono(frame_samples(frame), channel, name))
            if resampler is not None:
                yield resampler.push(np.zeros(0, np.float32), last=True)
    except (AudioError, MemoryError):
        raise
    except Exception as error:  # FFmpeg's errors, and PyAV's own
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise AudioFormatError(
            f"{name}: is not sound that can be read as it comes, or is damaged (FFmpeg: {reason}); raw 16-bit sound is"
            f" sent{_WITH_RATE.get(name, ' as such')}, and formats that need seeking (m4a, mp4) are given as files"
        ) from None


def _silence(late_s: float, rate: int) -> Iterator[np.ndarray]:
    """That of a track that begins late, a second at a time."""
    left = round(late_s * rate) if GAP_S[0] < late_s < GAP_S[1] else 0
    for start in range(0, left, rate):
        yield np.zeros(min(rate, left - start), np.float32)


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


class PushedSound:
    """Sound in a format, whose bytes are pushed as they come: ``feed`` them, then ``finish``; ``close`` in any case.

    FFmpeg reads and cannot be told to go on later, so it has a thread of its own. That runs only while ``feed`` or
    ``finish`` waits for it: nothing is decoded ahead of what is taken. ``ended``: no more bytes are taken.
    """

    def __init__(self, rate: int, *, name: str, kind: str) -> None:
        """``rate`` of the samples that are given, in Hz; ``name`` and ``kind`` as for ``media_blocks``."""
        self.ended = False
        self._rate, self._name, self._kind = rate, name, kind
        self._bytes = io.BytesIO()
        self._told: SimpleQueue[bytes] = SimpleQueue()  # to the thread: the next bytes, none at the end
        self._given: SimpleQueue[np.ndarray | BaseException | None] = SimpleQueue()  # None: it waits, or has ended
        self._thread = threading.Thread(target=self._decode, name="asr-decode", daemon=True)
        self._at_end = False
        self._silent = 0  # bytes since there was sound

    def feed(self, data: bytes) -> Iterator[np.ndarray]:
        """What the next bytes complete, ``(samples,)`` float32 of about a second each at most.

        Raises AudioError as ``media_blocks``, and where there are megabytes without sound.
        """
        if not data or self.ended:
            return
        self._silent += len(data)
        if self._thread.ident is None:
            self._thread.start()
            self._take()
        yield from self._until_waiting(data)
        if self._silent > _MOST_SILENT:
            self.close()
            raise AudioError(f"{self._name}: {_MOST_SILENT / 1e6:g} MB came without any sound in them")

    def finish(self) -> Iterator[np.ndarray]:
        """The rest. Raises AudioError as ``feed``."""
        if self._thread.ident is not None and not self.ended:
            yield from self._until_waiting(b"")
        self.close()

    def close(self) -> None:
        """End the thread; safe to repeat, and while ``feed`` is not done."""
        self.ended = True
        self._told.put(b"")

    def read(self, size: int) -> bytes:
        """For FFmpeg, in its thread: the next bytes, once they are there; empty at the end."""
        block = self._bytes.read(size)
        if not block and not self._at_end:
            self._bytes = io.BytesIO(self._exchange(None))
            block = self._bytes.read(size)
            self._at_end = not block
        return block

    def _until_waiting(self, data: bytes) -> Iterator[np.ndarray]:
        self._told.put(data)
        held: list[np.ndarray] = []
        try:
            while (block := self._take()) is not None:
                held.append(block)
                self._silent = 0
                if sum(map(len, held)) >= self._rate:
                    yield np.concatenate(held)
                    held.clear()
                self._told.put(b"")
        except BaseException:  # or who takes the blocks has failed: the thread waits in mid-file
            self.close()
            raise
        if held:
            yield np.concatenate(held)

    def _take(self) -> np.ndarray | None:
        given = self._given.get()
        if isinstance(given, BaseException):
            raise given
        return given

    def _decode(self) -> None:
        end = None
        blocks = media_blocks(self, self._rate, name=self._name, kind=self._kind)  # type: ignore[arg-type]
        try:
            for block in blocks:
                self._exchange(block)
                if self.ended:
                    break
        except BaseException as error:
            end = error
        self.ended = True
        self._given.put(end)

    def _exchange(self, given: np.ndarray | None) -> bytes:
        if self.ended:
            return b""
        self._given.put(given)
        return self._told.get()


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
        raise AudioError(f"{STDIN}: cannot be read ({error})") from None
    return block


def _mono(samples: np.ndarray, channel: int | None, name: str) -> np.ndarray:
    """``(frames, channels)`` -> ``(frames,)``."""
    if channel is None:
        mean: np.ndarray = samples.mean(axis=1, dtype=np.float32)
        return mean
    if channel >= samples.shape[1]:
        raise AudioPartError(f"{name}: has no channel {channel}; it has {samples.shape[1]}, counted from 0")
    return np.ascontiguousarray(samples[:, channel])
