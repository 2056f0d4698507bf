"""One open recording, read by soundfile; only this module reads with it.

In: a path. Out: `Recording`, which seeks once and reads forward, with every error of the library turned into an
`AudioError`.

It works around two problems of soundfile 0.14 on libsndfile 1.2. soundfile seeks after every read; on MP3 and Vorbis
the next read then starts from a cold decoder, and blocks of 1,000 samples differ from the whole file by up to 0.08. And
a seek into an MP3 is only exact after some frames have been decoded (0.05 off at once, 1e-7 after 0.1 s).
"""

import contextlib
import io
import os
import re
import threading
from collections.abc import Iterator
from types import TracebackType

import numpy as np
import soundfile

from asr.audio.head import AudioPath, check_finite, damaged, note, read_head, shown
from asr.audio.truncation import Mp3Length, WavRest, is_mp3, missing_bytes, mp3_length, wav_rest
from asr.errors import AudioDamagedError, AudioError, AudioFormatError

MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000

# Lossy decoders need a run-in before their output equals that of a whole read: 0.1 s for MP3, 0.08 s for Opus.
_PREROLL_S = 0.5
_PREROLL_FORMATS = ("MP3", "OGG")
_BLOCK_VALUES = 1 << 20
_UNKNOWN_FRAMES = 1 << 62
# A truncated last frame and the tags behind it: frames by which a walked MP3 may come out shorter than counted.
_MP3_SLACK_FRAMES = 2
# A recorder that was stopped declares a little more than it wrote (the Mboshi corpus: up to 0.05 s); more is a cut.
_SHORTFALL_S = 0.25


class UnknownFormatError(AudioFormatError):
    """libsndfile does not read the file; another reader may."""


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that reads forward: where `seekable` is False, soundfile does not seek after every read."""

    def seekable(self) -> bool:
        return False


class _Behind(io.FileIO):
    """A file from `start` on, as if it began there."""

    def __init__(self, path: AudioPath, start: int) -> None:
        super().__init__(path, "rb")
        self._start = start
        self.seek(0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.FileIO.seek`."""
        return super().seek(offset + self._start if whence == os.SEEK_SET else offset, whence) - self._start

    def tell(self) -> int:
        """As `io.FileIO.tell`."""
        return super().tell() - self._start


class Recording:
    """An open, checked recording. Use it as a context manager.

    Attributes:
        path: as given.
        frames: samples per channel.
        sample_rate: in Hz, `MIN_RATE_HZ` to `MAX_RATE_HZ`.
        channels: at least 1.
        format, subtype: as libsndfile names them, such as `WAV` and `PCM_16`.
    """

    def __init__(self, path: AudioPath, head: bytes | None = None) -> None:
        """Open and check `path`; `head` is what `read_head` gives, where it is known.

        Raises:
            AudioError: it cannot be read; the message says what, why and what to do.
        """
        self.path = path
        head = head or read_head(path)
        length = mp3_length(path) if is_mp3(head) else None
        rest = wav_rest(path, head)
        # libsndfile hands a file to libmpg123 by its first bits, and one of unknown content by its ending.
        by_name = os.fsdecode(path).lower().endswith((".mp3", ".mp2", ".mp1"))
        self._quiet = head.startswith((b"ID3", b"\xff")) or by_name
        self._stream: _Behind | None = None
        self._file = self._open(head, rest)
        try:
            self.sample_rate = int(self._file.samplerate)
            self.channels = int(self._file.channels)
            self.format = "WAV" if rest else str(self._file.format)
            self.subtype = str(self._file.subtype)
            self._slack = 0
            if self.format == "WAV" and self.subtype.startswith("MPEG"):  # decoded with gaps
                raise self._unknown(head, f"{self.subtype} in a WAV file")
            self.frames = self._count_frames(length)
            self._check_whole(head, rest)
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
        if self._stream is not None:
            self._stream.close()

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

    def _open(self, head: bytes, rest: WavRest | None) -> _ForwardFile:
        try:
            with _quiet_stderr(self._quiet):
                if rest is None:
                    return _ForwardFile(os.fsencode(self.path))
                self._stream = _Behind(self.path, rest.start)
                shape = {"samplerate": rest.sample_rate, "channels": rest.channels, "subtype": rest.subtype}
                return _ForwardFile(self._stream, format="RAW", endian="LITTLE", **shape)
        except (soundfile.SoundFileError, TypeError, ValueError, RuntimeError) as error:
            missing, words = missing_bytes(self.path, head)
            if missing:
                raise damaged(self.path, f"is cut short: {words}") from None
            raise self._unknown(head, _reason(error)) from None

    def _unknown(self, head: bytes, reason: str) -> UnknownFormatError:
        why = f"is not audio that can be read (libsndfile: {reason}; it begins with {head[:8]!r})"
        return UnknownFormatError(str(damaged(self.path, why)))

    def _check_whole(self, head: bytes, rest: WavRest | None) -> None:
        """Note where a header declares less than there is, or a little more; raise AudioError where much is missing."""
        if rest is not None:
            sound_s = self.frames / self.sample_rate
            note(
                self.path,
                f"its header declares {rest.declared:,} bytes of sound, {rest.there:,} are there (a recorder that was "
                f"interrupted, or more than 4 GiB); all {sound_s:.2f} s are read",
            )
            return
        missing, words = missing_bytes(self.path, head)
        if not missing:
            return
        missing_s = missing / os.path.getsize(self.path) * self.frames / self.sample_rate
        if self.format == "OGG" or not self.frames or missing_s > _SHORTFALL_S:
            raise damaged(self.path, f"is cut short: {words}")
        note(self.path, f"ends {missing_s:.3f} s early ({words}); it is read as it is")

    def _count_frames(self, length: Mp3Length | None) -> int:
        frames = int(self._file.frames)
        if frames >= _UNKNOWN_FRAMES:
            return _count_by_decoding(self.path)
        if length is None or self.format != "MP3":
            return frames
        if length.declared_end is not None and (missing := length.declared_end - os.path.getsize(self.path)) > 0:
            raise damaged(self.path, f"is cut short: the last {missing:,} bytes that its header declares are not there")
        if length.joined:
            raise AudioDamagedError(
                f"{shown(self.path)}: holds sound after the end that its header declares (two MP3 files joined?), "
                f"and only the first {frames / self.sample_rate:.1f} s would be read. "
                "Decode all of it first: ffmpeg -i INPUT OUTPUT.wav"
            )
        if length.walked_samples is None:
            return frames
        self._slack = _MP3_SLACK_FRAMES * length.frame_samples
        if frames < length.walked_samples - self._slack:
            raise AudioDamagedError(
                f"{shown(self.path)}: is an MP3 of varying bit rate without a length header, of which only "
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
            with _quiet_stderr(self._quiet):
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
        raise AudioDamagedError(
            f"{shown(path)}: has a sample rate of {sample_rate:,} Hz by its header, outside {MIN_RATE_HZ:,} to "
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


_OF_MPG123 = re.compile(rb"(Note|Warning|Error): |.*libmpg123/|\s*$")


class _Stderr:
    """Keeps what libmpg123 writes to file descriptor 2, about damage and about seeks, off the terminal.

    The descriptor is redirected to memory while any thread reads an MP3; what others wrote there meanwhile follows. A
    fork waits for its end, so that no child inherits the redirection. The command line writes to a copy of the
    descriptor (``asr.cli``), which is not redirected.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._users, self._kept, self._memory = 0, -1, -1

    def redirect(self) -> None:
        with self._lock:
            if self._users == 0:
                self._memory = os.memfd_create("stderr")
                try:
                    self._kept = os.dup(2)
                except OSError:  # there is no stderr
                    self._kept = -1
                    os.close(self._memory)
                else:
                    os.dup2(self._memory, 2)
            self._users += 1

    def restore(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._lock.notify_all()
            if self._kept >= 0:
                os.dup2(self._kept, 2)
                os.lseek(self._memory, 0, os.SEEK_SET)
                with open(self._memory, "rb") as memory, open(self._kept, "wb", buffering=0) as stderr:  # closes both
                    lines = [line for line in memory if not _OF_MPG123.match(line)]
                    with contextlib.suppress(OSError):  # its reader has gone, or its disk is full
                        stderr.write(b"".join(lines))

    def before_fork(self) -> None:
        self._lock.acquire()
        while self._users:
            self._lock.wait()

    def after_fork(self) -> None:
        self._lock.release()


_STDERR = _Stderr()
os.register_at_fork(before=_STDERR.before_fork, after_in_parent=_STDERR.after_fork, after_in_child=_STDERR.after_fork)


@contextlib.contextmanager
def _quiet_stderr(active: bool) -> Iterator[None]:
    if not active:
        yield
        return
    _STDERR.redirect()
    try:
        yield
    finally:
        _STDERR.restore()
