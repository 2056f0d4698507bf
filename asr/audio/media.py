"""Audio from m4a, mp4, mov, webm, mkv, aac, wma and similar files, by PyAV (FFmpeg), which the [media] extra installs.

It is also the second reader of what libsndfile cannot read (MP3 in WAV, Opus in CAF, FLAC in Ogg, AC3, MPEG streams) or
would read only the first part of (several Ogg or FLAC files in one).

In: a path of such a file. Out: a recording with the interface of `Recording`. It is always decoded from its beginning:
after a seek the first frames of AAC and Opus have other samples, and Matroska's times are whole milliseconds, so that a
part would not equal the slice of the whole; `media_part`, of what is listened to, seeks. The length is counted by
decoding, because headers give it only to a frame or not at all; the count is kept per file version. Where the track
begins later than the video or another track, and where one of an MP4 or Matroska file has gaps, silence is put there,
so that times are those of a player.
"""

import functools
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from asr.audio.head import AudioPath, check_finite, damaged, shown
from asr.errors import AsrError, AudioError, AudioFormatError, AudioPartError

# FFmpeg may try the reader of the file's own kind only: playlists could name other files and servers.
_READERS = {"mp4": "mov", "matroska": "matroska", "asf": "asf", "aac": "aac", "amr": "amr", "flv": "flv", "avi": "avi"}
_READERS |= {"ogg": "ogg", "flac": "flac", "tagged": "flac"}
OTHER = "other"  # whatever FFmpeg finds it to be among these
_OTHERS = "wav,w64,aiff,caf,au,flac,ogg,mp3,ac3,eac3,dts,mpegts,mpeg,ape,wv,tta,tak,aac"
PIPED = f"{_OTHERS},matroska,webm,asf,amr,flv,avi,mov"
_KIND_NAMES = {
    "mp4": "an MP4 or QuickTime file (m4a, mp4, mov)",
    "matroska": "a Matroska file (webm, mkv)",
    "asf": "a Windows Media file (wma, wmv)",
    "amr": "an AMR recording",
    "aac": "a raw AAC recording",
    "flv": "a Flash video",
    "avi": "an AVI video",
    "ogg": "several Ogg files one after the other, of which only the first would be read",
    "flac": "several FLAC files one after the other, of which only the first would be read",
    "tagged": "a FLAC file behind an ID3 tag",
    OTHER: "of a kind that libsndfile cannot read",
}
# These declare their length; the length of raw AAC and AMR is a guess from the bit rate.
_WITH_LENGTH = {"mp4", "matroska", "asf"}
# Declared lengths are rounded, and count the padding of the last frame (AAC 0.05 s, WMA 0.2 s).
_SLACK_S = 0.5
# These place all of their sound in time. Silence is put into gaps from the first length up to the second; a longer one
# is a wrong time stamp.
_PLACED = {"mp4", "matroska"}
GAP_S = (0.05, 3600.0)
# `media_part` seeks in files that place their sound: by their index, to so long before the part that the decoder's
# samples are again those of the whole (AAC after one frame, Opus within a second).
SEEKABLE = _PLACED
PREROLL_S = 2.0
_BLOCK_FRAMES = 1 << 16
_SCALES = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "flt": 1.0, "dbl": 1.0}


@dataclass(frozen=True, slots=True)
class _MediaFacts:
    """What decoding the whole file found."""

    frames: int
    sample_rate: int
    channels: int
    format: str
    subtype: str


class MediaRecording:
    """An open, checked recording inside a media file; with the attributes and methods of `Recording`."""

    def __init__(self, path: AudioPath, kind: str, track: int | None = None) -> None:
        """Open `path`, of a kind that `media_kind` or `joined_kind` names or `OTHER`, and count its samples.

        `track`: which of its audio tracks, from 0; None: the one that FFmpeg takes for the best.

        Raises:
            AudioError: PyAV is not installed, there is no sound in the file, no such track, or it is damaged or cut.
        """
        self.path, self.track = path, track
        status = os.stat(path)
        facts = _survey(os.fspath(path), kind, status.st_size, status.st_mtime_ns, track)
        self.frames, self.sample_rate, self.channels = facts.frames, facts.sample_rate, facts.channels
        self.format, self.subtype = facts.format, facts.subtype
        self._file = _Container(path, kind, track)

    def __enter__(self) -> "MediaRecording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe to repeat."""
        self._file.close()

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Decode the frames from `start` up to `stop`; as `Recording.blocks`, once per open recording."""
        position = 0
        for block in _joined(self._file.pieces()):
            first, last = max(0, start - position), min(len(block), stop - position)
            position += len(block)
            if first < last:
                yield check_finite(self.path, block[first:last])
            if position >= stop:
                return
        raise damaged(self.path, f"changed while it was read: {position:,} samples of {self.frames:,}")

    def check_last_frame(self) -> None:
        """Nothing to do: the whole file was decoded when it was opened."""


class _File(io.FileIO):
    """A file that answers a seek to before its start, as damaged files ask for, with an error number: PyAV would print
    the traceback of an exception."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.FileIO.seek`, or a negative number."""
        try:
            return super().seek(offset, whence)
        except OSError as error:
            return -(error.errno or 1)


class _Container:
    """An open file with one of its audio tracks; `reached_s` is how far any of its tracks, video too, has been read."""

    def __init__(self, path: AudioPath, kind: str, track: int | None) -> None:
        self.path, self.kind = path, kind
        self.av = _pyav(path, kind)
        self.reached_s = self.sought_s = 0.0
        self._stream = _File(path, "rb")
        self._container: Any = None
        try:
            self._container = self.av.open(
                self._stream,
                mode="r",
                format=_READERS.get(kind),
                options={"format_whitelist": _OTHERS} if kind == OTHER else {},
                metadata_errors="replace",
            )
            self.track = chosen_track(self._container, shown(path), track)
        except (AsrError, MemoryError):
            self.close()
            raise
        except Exception as error:  # FFmpeg's errors, and PyAV's own on what they did not foresee
            self.close()
            raise damaged(path, f"is not audio that can be read (FFmpeg: {_reason(error)})", AudioFormatError) from None

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._stream.close()

    @property
    def declared_s(self) -> float | None:
        """The duration that the container declares; None where it declares none, or only an estimate."""
        duration = self._container.duration
        known = self.kind in _WITH_LENGTH or self._container.format.name == "flac"
        return float(duration) / 1e6 if known and duration is not None else None

    @property
    def names(self) -> tuple[str, str]:
        """The container's and the codec's names, such as `MP4` and `AAC`."""
        name = str(self._container.format.name) if self.kind == OTHER else self.kind
        return name.upper(), str(self.track.codec_context.name).upper()

    def part(self, start_s: float, stop_s: float, *, seek: bool) -> tuple[np.ndarray, int]:
        """`(frames, channels)` of a span, and the rate; with `seek` only what is needed is decoded.

        Raises AudioError where the file is damaged, or does not allow to seek.
        """
        if seek:
            try:
                self._seek(start_s - PREROLL_S)
            except Exception as error:
                raise damaged(self.path, f"cannot be searched ({_reason(error)})") from None
        held: list[np.ndarray] = []
        position, rate = -1, 0
        for rate, piece in self.pieces(sought=seek):
            start, stop = round(start_s * rate), round(stop_s * rate)
            if position < 0:
                position = round(self.sought_s * rate)
                if seek and position > start:
                    raise damaged(self.path, "cannot be searched (its index is wrong)")
            if position + len(piece) > start:
                held.append(piece[max(0, start - position) : stop - position])
            position += len(piece)
            if position >= stop:
                break
        return np.concatenate(held) if held else np.zeros((0, 1), np.float32), rate

    def _seek(self, time_s: float) -> None:
        self._container.seek(int(time_s / self.track.time_base), stream=self.track)

    def pieces(self, *, sought: bool = False) -> Iterator[tuple[int, np.ndarray]]:
        """`(rate, float32 (frames, channels))` for each decoded frame and gap, from the first to the last; after a seek
        from the frame that was found, whose time is then in `sought_s`.
        """
        position_s, first_s = 0.0, 0.0 if self.kind in _PLACED else begins_s(self._container)
        for time_s, rate, samples in self._decoded():
            if sought:
                if time_s is None:
                    raise damaged(self.path, "cannot be searched (frames without times)")
                position_s, sought = time_s, False
                self.sought_s = time_s
            gap_s = 0.0 if time_s is None else time_s - first_s - position_s
            placed = self.kind in _PLACED or not position_s
            if placed and GAP_S[0] < gap_s < GAP_S[1]:
                missing = round(gap_s * rate)
                position_s += missing / rate
                for start in range(0, missing, _BLOCK_FRAMES):
                    yield rate, np.zeros((min(_BLOCK_FRAMES, missing - start), samples.shape[1]), np.float32)
            position_s += len(samples) / rate
            yield rate, samples

    def _decoded(self) -> Iterator[tuple[float | None, int, np.ndarray]]:
        """`(seconds, rate, float32 (frames, channels))` of each decoded frame."""
        try:
            for packet in self._container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    self.reached_s = max(
                        self.reached_s, float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    )
                if packet.stream.index == self.track.index:
                    for frame in packet.decode():
                        yield frame.time, int(frame.sample_rate), frame_samples(frame)
        except (AsrError, MemoryError):
            raise
        except Exception as error:
            raise damaged(self.path, f"is damaged or cut: decoding ended with an error ({_reason(error)})") from None


def media_part(path: AudioPath, kind: str, start_s: float, stop_s: float) -> tuple[np.ndarray, int]:
    """A part to listen to, decoded from shortly before it: float32 `(frames, channels)`, and the rate in Hz.

    `kind`: of `SEEKABLE`. Its place is as exact as the file's times: a sample in an MP4 file, a millisecond in
    Matroska, up to `GAP_S[0]` where sound is missing that is too short to be filled. It ends where the file does.

    Raises:
        AudioError: as for `MediaRecording`; damage elsewhere in the file is not found.
    """
    for seek in (True, False) if start_s > PREROLL_S else (False,):
        opened = _Container(path, kind, None)
        try:
            return opened.part(start_s, stop_s, seek=seek)
        except AudioError:
            if not seek:
                raise
        finally:
            opened.close()
    raise AssertionError("the last one returns or raises")


def chosen_track(container: Any, name: str, track: int | None) -> Any:
    """The audio track number `track`, from 0, or the best one. Raises AudioError, which calls the file `name`."""
    tracks = container.streams.audio
    if not tracks:
        raise AudioFormatError(f"{name}: has no audio track (a video without sound?). Take it out of the list.")
    if track is None:
        return container.streams.best("audio")
    if track >= len(tracks):
        there = ", ".join(f"{number}: {_described(one)}" for number, one in enumerate(tracks))
        raise AudioPartError(f"{name}: has no audio track {track}; it has {there}. Correct the track, or give none.")
    return tracks[track]


def _described(track: Any) -> str:
    language = [str(track.language)] if track.language not in (None, "und") else []
    return " ".join([*language, str(track.codec_context.name).upper(), str(track.codec_context.layout.name)])


def begins_s(container: Any) -> float:
    """Where a player's clock begins: the time of the track that begins first, in MPEG streams seldom 0."""
    return max(0.0, float(container.start_time or 0) / 1e6)


@functools.lru_cache(maxsize=256)
def _survey(path: str, kind: str, size: int, mtime_ns: int, track: int | None) -> _MediaFacts:
    opened = _Container(path, kind, track)
    try:
        frames, shape = 0, None
        for rate, piece in opened.pieces():
            found = (rate, piece.shape[1])
            if shape is not None and found != shape:
                raise AudioFormatError(
                    f"{shown(path)}: changes from {shape[0]:,} Hz, {shape[1]} channels to {found[0]:,} Hz, {found[1]} "
                    f"channels after {frames / shape[0]:.1f} s. Convert it first: ffmpeg -i INPUT -ar 16000 OUTPUT.wav"
                )
            shape = found
            frames += len(piece)
        if shape is None or not frames:
            raise damaged(path, "holds no samples (a recording that was never finished?)")
        if opened.declared_s is not None and opened.reached_s < opened.declared_s - _SLACK_S:
            raise damaged(
                path,
                f"is cut short: its header declares {opened.declared_s:.2f} s, it ends at {opened.reached_s:.2f} s",
            )
        return _MediaFacts(frames, *shape, *opened.names)
    finally:
        opened.close()


def _joined(pieces: Iterator[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    """Pieces of about a thousand frames joined to larger blocks, which resample faster."""
    waiting: list[np.ndarray] = []
    frames = 0
    for _, piece in pieces:
        waiting.append(piece)
        frames += len(piece)
        if frames >= _BLOCK_FRAMES:
            yield np.concatenate(waiting)
            waiting, frames = [], 0
    if waiting:
        yield np.concatenate(waiting)


def frame_samples(frame: Any) -> np.ndarray:
    """Any of FFmpeg's sample formats as float32 `(frames, channels)`, full scale 1."""
    name = str(frame.format.name).removesuffix("p")
    values = frame.to_ndarray()  # (channels, frames) if planar, else (1, frames * channels)
    if not frame.format.is_planar:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if name not in _SCALES:
        raise AudioFormatError(
            f"the sound's sample format {name} is unknown. Convert it first: ffmpeg -i INPUT OUTPUT.wav"
        )
    scaled = values.astype(np.float64) - 128.0 if name == "u8" else values
    samples: np.ndarray = np.ascontiguousarray((scaled / _SCALES[name]).T, np.float32)
    return samples


def _pyav(path: AudioPath, kind: str) -> ModuleType:
    """PyAV, imported when first needed: it takes 0.1 s, and few recordings need it."""
    try:
        import av
    except ImportError:
        raise AudioFormatError(
            f"{shown(path)}: is {_KIND_NAMES[kind]}; reading it needs PyAV. Install it with: "
            "pip install 'asr-bilstm[media]', or convert the file: ffmpeg -i INPUT OUTPUT.wav"
        ) from None
    module: ModuleType = av
    return module


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".")
