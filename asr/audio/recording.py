"""One open recording, read by soundfile; only this module reads with it.

In: a path. Out: `Recording`, which seeks once and reads forward, with every error of the library turned into an
`AudioError`.

It works around two problems of soundfile 0.14 on libsndfile 1.2. soundfile seeks after every read; on MP3 and Vorbis
the next read then starts from a cold decoder, and blocks of 1,000 samples differ from the whole file by up to 0.08. And
a seek into an MP3 is only exact after some frames have been decoded (0.05 off at once, 1e-7 after 0.1 s).
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from types import TracebackType

import numpy as np
import soundfile

from asr.audio.head import AudioPath, check_finite, damaged, read_head
from asr.audio.truncation import Mp3Length, check_whole, is_mp3, mp3_length
from asr.errors import AudioError

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000

# Lossy decoders need a run-in before their output equals that of a whole read: 0.1 s for MP3, 0.08 s for Opus.
_PREROLL_S = 0.5
_PREROLL_FORMATS = ("MP3", "OGG")
_BLOCK_VALUES = 1 << 20
_UNKNOWN_FRAMES = 1 << 62
# A truncated last frame and the tags behind it: frames by which a walked MP3 may come out shorter than counted.
_MP3_SLACK_FRAMES = 2


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that reads forward: where `seekable` is False, soundfile does not seek after every read."""

    def seekable(self) -> bool:
        return False


class Recording:
    """An open, checked recording. Use it as a context manager.

    Attributes:
        path: as given.
        frames: samples per channel.
        sample_rate: in Hz, `MIN_RATE_HZ` to `MAX_RATE_HZ`.
        channels: at least 1.
        format, subtype: as libsndfile names them, such as `WAV` and `PCM_16`.
    """

    def __init__(self, path: AudioPath) -> None:
        """Open and check `path`.

        Raises:
            AudioError: it cannot be read; the message says what, why and what to do.
        """
        self.path = path
        head = read_head(path)
        check_whole(path, head)
        length = mp3_length(path) if is_mp3(head) else None
        self._quiet = length is not None
        self._file = self._open(head)
        try:
            self.sample_rate = int(self._file.samplerate)
            self.channels = int(self._file.channels)
            self.format = str(self._file.format)
            self.subtype = str(self._file.subtype)
            self._slack = 0
            self.frames = self._count_frames(length)
            self._check_header()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe to repeat."""
        self._file.close()

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Decode the frames from `start` up to `stop`.

        Args:
            start: first frame; one call per open recording.
            stop: frame behind the last one.

        Yields:
            float32 arrays `(frames, channels)` of at most about a million values each.

        Raises:
            AudioError: the decoder gives up, or ends before `stop`.
        """
        self._seek(start)
        block_frames = max(1, _BLOCK_VALUES // self.channels)
        position = start
        while position < stop:
            block = self._read(min(block_frames, stop - position))
            if len(block) == 0:
                break
            position += len(block)
            yield block
        if position < stop - self._slack:
            raise self._short(position)

    def check_last_frame(self) -> None:
        """Decode the last frame only, which a cut FLAC file cannot give. Do it on a recording not read from yet."""
        self._seek(self.frames - 1)
        if len(self._read(1)) == 0:
            raise self._short(None, self.frames)

    def _open(self, head: bytes) -> _ForwardFile:
        try:
            with _quiet_stderr(self._quiet):
                return _ForwardFile(os.fsencode(self.path))
        except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
            raise damaged(
                self.path, f"is not audio that can be read (libsndfile: {_reason(error)}; it begins with {head[:8]!r})"
            ) from None

    def _count_frames(self, length: Mp3Length | None) -> int:
        frames = int(self._file.frames)
        if frames >= _UNKNOWN_FRAMES:
            return _count_by_decoding(self.path)
        if length is None or self.format != "MP3":
            return frames
        if length.declared_end is not None and (missing := length.declared_end - os.path.getsize(self.path)) > 0:
            raise damaged(self.path, f"is cut short: the last {missing:,} bytes that its header declares are not there")
        if length.joined:
            raise AudioError(
                f"{os.fspath(self.path)}: holds sound after the end that its header declares (two MP3 files joined?), "
                f"and only the first {frames / self.sample_rate:.1f} s would be read. "
                "Decode all of it first: ffmpeg -i INPUT OUTPUT.wav"
            )
        if length.walked_samples is None:
            return frames
        self._slack = _MP3_SLACK_FRAMES * length.frame_samples
        if frames < length.walked_samples - self._slack:
            raise AudioError(
                f"{os.fspath(self.path)}: is an MP3 of varying bit rate without a length header, of which only "
                f"{frames / self.sample_rate:.1f} of {length.walked_samples / self.sample_rate:.1f} s would be read. "
                "Write the header, without loss: ffmpeg -i INPUT -c copy OUTPUT.mp3"
            )
        return min(frames, length.walked_samples)

    def _check_header(self) -> None:
        check_rate(self.path, self.sample_rate)
        if self.frames <= 0:
            raise damaged(self.path, "declares no samples (a recording that was never finished?)")

    def _seek(self, start: int) -> None:
        preroll = int(_PREROLL_S * self.sample_rate) if self.format in _PREROLL_FORMATS else 0
        first = max(0, start - preroll)
        with _quiet_stderr(self._quiet):
            if first > 0:
                try:
                    self._file.seek(first)
                except soundfile.SoundFileError:
                    raise self._short(None, first) from None
            while first < start:
                skipped = len(self._read(min(start - first, max(1, _BLOCK_VALUES // self.channels))))
                if skipped == 0:
                    raise self._short(first)
                first += skipped

    def _read(self, frames: int) -> np.ndarray:
        try:
            block: np.ndarray = self._file.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise damaged(self.path, f"is damaged or cut: decoding ended with an error ({_reason(error)})") from None
        return check_finite(self.path, block)

    def _short(self, decoded: int | None, wanted: int = 0) -> AudioError:
        """The error for a file shorter than declared: `decoded` frames were read, or `wanted` was not reached."""
        reached = f"{wanted / self.sample_rate:.2f} s cannot be reached"
        if decoded is not None:
            reached = f"decoding ended after {decoded:,} ({decoded / self.sample_rate:.2f} s)"
        duration_s = self.frames / self.sample_rate
        return damaged(
            self.path,
            f"is damaged or cut: its header declares {self.frames:,} samples ({duration_s:.2f} s), {reached}",
        )


def check_rate(path: AudioPath, sample_rate: int) -> None:
    """Raise AudioError where a header declares a sample rate outside `MIN_RATE_HZ` to `MAX_RATE_HZ`."""
    if not MIN_RATE_HZ <= sample_rate <= MAX_RATE_HZ:
        raise AudioError(
            f"{os.fspath(path)}: has a sample rate of {sample_rate:,} Hz by its header, outside {MIN_RATE_HZ:,} to "
            f"{MAX_RATE_HZ:,} Hz. The header is probably damaged; export the recording again."
        )


def _reason(error: BaseException) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(str(text).split()).rstrip(".").removeprefix("Error : ")


def _count_by_decoding(path: AudioPath) -> int:
    """Count the frames of a file that does not declare them (FLAC written into a pipe)."""
    count = 0
    try:
        with _ForwardFile(os.fsencode(path)) as stream:
            block = np.empty((max(1, _BLOCK_VALUES // stream.channels), stream.channels), np.float32)
            while (read := len(stream.read(out=block))) > 0:
                count += read
    except soundfile.SoundFileError as error:
        raise damaged(path, f"is damaged or cut: decoding ended with an error ({_reason(error)})") from None
    return count


# libmpg123 writes warnings to file descriptor 2 when it seeks into an intact MP3. Standard error is redirected during
# the seek only; a fork waits for its end, so that no child inherits the redirection.
_STDERR_LOCK = threading.Lock()
os.register_at_fork(
    before=_STDERR_LOCK.acquire, after_in_parent=_STDERR_LOCK.release, after_in_child=_STDERR_LOCK.release
)


@contextlib.contextmanager
def _quiet_stderr(active: bool) -> Iterator[None]:
    if not active:
        yield
        return
    with _STDERR_LOCK:
        try:
            kept = os.dup(2)
        except OSError:  # there is no stderr
            yield
            return
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 2)
            os.close(nothing)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
