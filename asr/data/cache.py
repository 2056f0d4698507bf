"""Decoded recordings in one file that processes and runs share: what was decoded once is read, not decoded again.

In: utterances, and files of noise and rooms. Out: their waveforms, equal to the bit to those of ``load_utterance`` and
``load_audio``: as int16 where every sample is a
16-bit number (WAV and FLAC at their own rate), else as float32 (Opus, MP3, resampled). So the file changes no result.

The file is 16 random bytes, then entries: a header with its own CRC-32, then the samples, whose CRC-32 is in the
header. A writer holds a lock and writes the samples first, so that a kill leaves bytes after the last entry, which the
next writer writes over; a reader waits for nothing and believes only what has the right CRC. It reads rather than maps:
the kernel's cached pages are shared as well, and a file that becomes shorter is a short read instead of SIGBUS.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from asr.audio import decoder_versions, load_audio
from asr.audio.shards import shard_place
from asr.data.manifest import Utterance
from asr.data.recordings import load_utterance

KEEP_FREE = 0.05  # share of the disk that the cache leaves free for checkpoints and everything else
_IDENTITY_BYTES = 16  # another file, or one begun again, has another identity
_FIELDS = struct.Struct("<16sQII")  # key, bytes and their CRC-32, bytes per sample
_HEADER_BYTES = _FIELDS.size + 4
_SCALE = np.float32(1 / 32768)
_Span = tuple[int | None, float, float | None]  # channel, start_s, duration_s


@dataclass(frozen=True, slots=True)
class _Entry:
    start: int
    size: int
    crc: int
    width: int  # bytes per sample; 2: int16, 4: float32


class AudioCache:
    """Waveforms by recording, span, channel and sample rate, in a file of at most ``limit_mb`` megabytes (0: none).

    A recording of another size or modification time is another one. What does not fit, or cannot be written, is decoded
    each time. Every method is safe beside other processes with the same file; none waits for them.
    """

    def __init__(self, path: Path, limit_mb: float) -> None:
        self._path, self._limit = path, int(limit_mb * 1e6)
        self._identity, self._end = b"", _IDENTITY_BYTES  # the end of the last entry known
        self._entries: dict[bytes, _Entry] = {}

    def load(self, utterance: Utterance, sample_rate: int) -> NDArray[np.float32]:
        """As ``load_utterance``. Raises AudioError."""
        decode = partial(load_utterance, utterance, sample_rate)
        return self._through(utterance.audio, _span(utterance), sample_rate, decode)

    def load_file(
        self, path: Path, sample_rate: int, *, duration_s: float | None = None, channel: int | None = None
    ) -> NDArray[np.float32]:
        """As ``load_audio``, from the file's beginning. Raises AudioError."""
        decode = partial(load_audio, path, sample_rate=sample_rate, duration_s=duration_s, channel=channel)
        return self._through(os.fspath(path), (channel, 0.0, duration_s), sample_rate, decode)

    def _through(
        self, path: str, span: _Span, sample_rate: int, decode: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        key = _key(path, span, sample_rate) if self._limit else None
        if key is None:
            return decode()
        if (stored := self._read(key)) is not None:
            return stored
        waveform = decode()
        if _key(path, span, sample_rate) == key:  # else the recording was being written
            self._store(key, waveform)
        return waveform

    def start_over_if_stale(self, utterances: Iterable[Utterance], sample_rate: int) -> None:
        """Empty the file where it is full and most of it is not of ``utterances``, or where it is above the limit."""
        with contextlib.suppress(OSError):
            if not self._limit or self._path.stat().st_size < 0.9 * self._limit:
                return
            with self._path.open("r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._update(file)
                wanted = {_key(one.audio, _span(one), sample_rate) for one in utterances}
                useful = sum(entry.size for key, entry in self._entries.items() if key in wanted)
                if self._end > self._limit or (useful < self._end / 2 and wanted - self._entries.keys()):
                    self._begin(file)

    def _read(self, key: bytes) -> NDArray[np.float32] | None:
        with contextlib.suppress(OSError), self._path.open("rb", buffering=0) as file:
            if key not in self._entries or file.read(_IDENTITY_BYTES) != self._identity:
                self._update(file)
            if (entry := self._entries.get(key)) is None:
                return None
            samples = np.empty(entry.size // entry.width, "<i2" if entry.width == 2 else "<f4")
            file.seek(entry.start)
            if file.readinto(samples.data.cast("B")) == entry.size and zlib.crc32(samples.data) == entry.crc:
                return samples * _SCALE if entry.width == 2 else samples
            del self._entries[key]  # damaged: stored again
        return None

    def _store(self, key: bytes, waveform: NDArray[np.float32]) -> None:
        if not len(waveform) or not self._has_room(2 * len(waveform)):
            return
        samples = as_int16(waveform)
        data = waveform.data.cast("B") if samples is None else samples.data.cast("B")
        with contextlib.suppress(OSError):  # also that another process is writing: stored when next decoded
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._update(file)
                if len(self._identity) < _IDENTITY_BYTES:
                    self._begin(file)
                if key not in self._entries and self._has_room(len(data)):
                    self._append(file, key, data, 4 if samples is None else 2)

    def _has_room(self, size: int) -> bool:
        return self._end + _HEADER_BYTES + size <= self._limit

    def _append(self, file: BinaryIO, key: bytes, data: memoryview, width: int) -> None:
        disk = shutil.disk_usage(self._path)
        entry = _Entry(self._end + _HEADER_BYTES, len(data), zlib.crc32(data), width)
        fields = _FIELDS.pack(key, entry.size, entry.crc, width)
        if disk.free - len(data) < KEEP_FREE * disk.total:
            return
        file.seek(entry.start)
        if file.write(data) < len(data):
            return
        file.seek(self._end)
        file.write(fields + zlib.crc32(fields).to_bytes(4, "little"))
        self._entries[key], self._end = entry, entry.start + entry.size

    def _begin(self, file: BinaryIO) -> None:
        file.truncate(0)
        self._reset(os.urandom(_IDENTITY_BYTES))
        file.seek(0)
        file.write(self._identity)

    def _update(self, file: BinaryIO) -> None:
        """Learn what the file holds beyond what is known of it."""
        file.seek(0)
        identity, size = file.read(_IDENTITY_BYTES), os.fstat(file.fileno()).st_size
        if identity != self._identity or size < self._end:
            self._reset(identity)
        while self._end + _HEADER_BYTES <= size:
            file.seek(self._end)
            header = file.read(_HEADER_BYTES)
            fields = header[: _FIELDS.size]
            if zlib.crc32(fields).to_bytes(4, "little") != header[_FIELDS.size :]:
                return
            key, length, crc, width = _FIELDS.unpack(fields)
            entry = _Entry(self._end + _HEADER_BYTES, length, crc, width)
            if entry.start + entry.size > size:
                return
            self._entries[key], self._end = entry, entry.start + entry.size

    def _reset(self, identity: bytes) -> None:
        self._identity, self._end, self._entries = identity, _IDENTITY_BYTES, {}


def _span(utterance: Utterance) -> _Span:
    return (utterance.channel, utterance.start_s, utterance.duration_s)


def _key(path: str, span: _Span, sample_rate: int) -> bytes | None:
    """16 bytes that stand for what is decoded; None where there is no such recording."""
    facts: tuple[object, ...] = (path,)  # of a recording in a shard, whose name has its CRC
    if shard_place(path) is None:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        facts = (os.path.abspath(path), found.st_size, found.st_mtime_ns)
    facts = (*facts, *span, sample_rate, decoder_versions())
    return hashlib.blake2b(ascii(facts).encode(), digest_size=16).digest()


def as_int16(waveform: NDArray[np.float32]) -> NDArray[np.int16] | None:
    """The samples times 32768 where these are 16-bit numbers from which the same bits come back, else None."""
    with np.errstate(invalid="ignore"):  # NaN and values outside int16
        samples = (waveform * np.float32(32768)).astype("<i2")
    return samples if np.array_equal((samples * _SCALE).view(np.int32), waveform.view(np.int32)) else None
