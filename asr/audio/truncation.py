"""Whether a recording is complete: the length that its container or its frames declare, compared with the file's size.

In: a path and its first bytes. Out: how many bytes are missing; whether a second file follows in the same one; where
the sound of a WAV is whose header declares too little. libsndfile shortens cut WAV, AIFF, AU, NIST, W64, CAF and Ogg
files without an error, so the declared length is read here from the container itself. FLAC and MP3 declare a number of
samples, which is compared with the decoded count where they are decoded.

The length of an MP3 is read from its frame headers: whether an Xing/Info header gives it, the number of bytes that this
declares, and otherwise the number of samples found by walking from frame to frame. Without such a header libmpg123
estimates the length from the first frame's bit rate, and libsndfile reads no further: a variable-rate file of 195 s was
read as 128 s. Layout: ISO/IEC 11172-3 section 2.4.1.3, and LAME's description of the Xing header.
"""

import functools
import os
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from asr.audio.head import HEAD_BYTES, AudioPath

# Lengths from here on mean "unknown": the writer could not go back to fill it in (ffmpeg and sox into a pipe).
_UNKNOWN_FROM = 0x7FFFF000
# Writers disagree on pad bytes at the end; so few missing bytes are not a cut.
_SLACK_BYTES = 16
# An Ogg page is at most 27 + 255 + 255 * 255 bytes (RFC 3533).
_OGG_PAGE_BYTES = 65307

# magic: (offset of the first chunk, struct of a chunk's length, name of the chunk with the samples, chunks padded to)
_CHUNKED = {
    b"RIFF": (12, "<I", b"data", 2),
    b"RIFX": (12, ">I", b"data", 2),
    b"FORM": (12, ">I", b"SSND", 2),
    b"caff": (8, ">q", b"data", 1),
}


def missing_bytes(path: AudioPath, head: bytes) -> tuple[int, str]:
    """How many bytes of sound the file lacks by its container, 0 where none, and the words for it.

    Args:
        path: a regular file.
        head: its first bytes, as `read_head` gives them.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        end = _declared_end(stream, head, size)
    if end is None or end - size <= _SLACK_BYTES:
        return 0, ""
    return end - size, f"its header declares {end:,} bytes, {size:,} are there"


# The first bytes of another FLAC file; and of a logical Ogg stream (RFC 3533), whose first packet names the codec.
_FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_OGG_START = re.compile(rb"OggS\x00[\x02\x06].{20}\x01.(?:\x01vorbis|OpusHead|\x7fFLAC|Speex   )", re.DOTALL)
_OGG_LATER = re.compile(rb"OggS\x00[\x00\x01\x04\x05]")
_START_BYTES = 64  # more than any of them matches


def joined_kind(path: AudioPath, head: bytes) -> str | None:
    """ "flac" or "ogg" for several such files one after the other, of which libsndfile reads only the first; "tagged"
    for a FLAC behind an ID3 tag, in which it loses its place.
    """
    if head[:3] == b"ID3":
        with open(path, "rb") as stream:
            stream.seek(_after_id3(head))
            return "tagged" if stream.read(4) == b"fLaC" else None
    kind = {b"fLaC": "flac", b"OggS": "ogg"}.get(head[:4])
    if kind is None:
        return None
    status = os.stat(path)
    return kind if _has_second(os.fspath(path), kind, status.st_size, status.st_mtime_ns) else None


@functools.lru_cache(maxsize=256)
def _has_second(path: str, kind: str, size: int, mtime_ns: int) -> bool:
    start, position, tail = (_FLAC_START if kind == "flac" else _OGG_START), 0, b""
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            text = tail + block
            first = 1 if position == 0 else 0
            if kind == "ogg" and position == 0:  # tracks beside each other begin before any of them goes on
                later = _OGG_LATER.search(text)
                first = later.start() if later else len(text)
            if start.search(text, first):
                return True
            position, tail = 1, text[-_START_BYTES:]
    return False


@dataclass(frozen=True, slots=True)
class WavRest:
    """The sound of a WAV whose data chunk declares less than there is: it lasts to the end of the file.

    `start`: file offset of the first sample; `subtype` as libsndfile names it; `declared` and `there` in bytes.
    """

    start: int
    sample_rate: int
    channels: int
    subtype: str
    declared: int
    there: int


# (format tag, bits per sample) in the fmt chunk
_WAV_SUBTYPES = {(1, 8): "PCM_U8", (1, 16): "PCM_16", (1, 24): "PCM_24", (1, 32): "PCM_32", (3, 32): "FLOAT"}
_WAV_SUBTYPES |= {(3, 64): "DOUBLE", (6, 8): "ALAW", (7, 8): "ULAW"}


def wav_rest(path: AudioPath, head: bytes) -> WavRest | None:
    """Where sound follows in a WAV behind the end that its data chunk declares; None where all is well.

    A 32-bit size wraps beyond 4 GiB, and a recorder that crashed leaves 0. Other chunks behind the data are no sound.
    """
    if head[:4] != b"RIFF":
        return None
    size, offset, shape = os.path.getsize(path), 12, b""
    with open(path, "rb") as stream:
        while offset + 8 <= size:
            stream.seek(offset)
            name, length = struct.unpack("<4sI", stream.read(8))
            if name == b"data":
                break
            if name == b"fmt ":
                shape = stream.read(min(length, 40))
            offset += 8 + length + length % 2
        else:
            return None
        start, there = offset + 8, size - offset - 8
        if len(shape) < 16 or there - length <= _SLACK_BYTES or _chunks_follow(stream, start + length, size):
            return None
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", shape)
    if tag == 0xFFFE and len(shape) >= 26:  # extensible: the tag begins the sub-format
        tag = struct.unpack_from("<H", shape, 24)[0]
    subtype = _WAV_SUBTYPES.get((tag, bits))
    if not subtype or not channels or not 0 < rate < 1 << 31:  # which libsndfile holds
        return None
    return WavRest(start, rate, channels, subtype, length, there)


def plain_wav(head: bytes, size: int) -> tuple[int, int, int, str] | None:
    """Frames, rate in Hz, channels and subtype of a WAV of ``size`` bytes as most programs write it: its format, maybe
    the program's name, and samples up to the end of the file. None for any other, which only a decoder understands.
    """
    if head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt " or len(head) < 44:
        return None
    riff, fmt, tag, channels, rate, _, width, bits = struct.unpack_from("<4xI8xIHHIIHH", head)
    subtype = _WAV_SUBTYPES.get((tag, bits))
    offset = 36
    if head[36:40] == b"LIST" and head[44:52] == b"INFOISFT":
        length = int.from_bytes(head[52:56], "little")
        offset += 20 + length + length % 2
        if int.from_bytes(head[40:44], "little") + 44 != offset:
            return None
    if not subtype or tag > 3 or riff + 8 != size or fmt != 16 or head[offset : offset + 4] != b"data":
        return None
    length = int.from_bytes(head[offset + 4 : offset + 8], "little")
    if not 1 <= channels <= 64 or width * 8 != channels * bits or not length or length % width:
        return None
    return (length // width, rate, channels, subtype) if offset + 8 + length == size else None


def _chunks_follow(stream: BinaryIO, offset: int, size: int) -> bool:
    """Whether whole chunks, with names in ASCII, fill the file from `offset` (or the byte after it, a pad byte) on."""
    for place in (offset, offset + 1):
        while place + 8 <= size:
            stream.seek(place)
            name, length = struct.unpack("<4sI", stream.read(8))
            if not (name.isascii() and name.decode("ascii").isprintable()) or place + 8 + length > size + 1:
                break
            place += 8 + length + length % 2
        else:
            return True
    return False


def _declared_end(stream: BinaryIO, head: bytes, size: int) -> int | None:
    """Where the sound should end, in bytes from the file's start; None where the container does not declare it."""
    magic = head[:4]
    if magic in _CHUNKED:
        return _chunked_end(stream, size, *_CHUNKED[magic])
    if magic in (b"RF64", b"BW64"):
        return _rf64_end(stream, head, size)
    if magic in (b".snd", b"dns.") and len(head) >= 12:
        offset, length = struct.unpack_from(">II" if magic == b".snd" else "<II", head, 4)
        return None if length >= _UNKNOWN_FROM else int(offset + length)
    if head.startswith(b"riff\x2e\x91\xcf\x11") and len(head) >= 24:  # W64: the whole file's length, 64 bits
        return int(struct.unpack_from("<Q", head, 16)[0])
    if head.startswith(b"NIST_1A"):
        return _nist_end(head)
    if magic == b"OggS":
        return _ogg_end(stream, size)
    return None


def _chunked_end(stream: BinaryIO, size: int, offset: int, layout: str, name: bytes, pad: int) -> int | None:
    header_bytes = 4 + struct.calcsize(layout)
    while offset + header_bytes <= size:
        stream.seek(offset)
        header = stream.read(header_bytes)
        length = int(struct.unpack_from(layout, header, 4)[0])
        if header[:4] == name:
            return (
                None if length <= 0 or (length >= _UNKNOWN_FROM and layout != ">q") else offset + header_bytes + length
            )
        if length < 0:
            return None
        offset += header_bytes + length + -length % pad
    return None


def _rf64_end(stream: BinaryIO, head: bytes, size: int) -> int | None:
    """RF64 keeps the length of the data chunk in its ds64 chunk; the data chunk itself holds 0xFFFFFFFF."""
    if head[12:16] != b"ds64" or len(head) < 36:
        return None
    length = int(struct.unpack_from("<Q", head, 28)[0])
    offset = 12
    while offset + 8 <= size:
        stream.seek(offset)
        header = stream.read(8)
        if header[:4] == b"data":
            return offset + 8 + length
        chunk = int(struct.unpack_from("<I", header, 4)[0])
        offset += 8 + chunk + chunk % 2
    return None


def _nist_end(head: bytes) -> int | None:
    """NIST SPHERE (TIMIT, AN4, WSJ): a text header of `name -type value` lines; None for compressed ones."""
    fields: dict[str, str] = {}
    lines = head.decode("latin-1").split("\n")
    for line in lines[2:]:
        parts = line.split(" ", 2)
        if parts[0] == "end_head":
            break
        if len(parts) == 3:
            fields[parts[0]] = parts[2].strip()
    if "," in fields.get("sample_coding", ""):
        return None
    try:
        counts = [int(fields[key]) for key in ("sample_count", "sample_n_bytes")]
        return int(lines[1]) + counts[0] * counts[1] * int(fields.get("channel_count", "1"))
    except (KeyError, ValueError):
        return None


def _ogg_end(stream: BinaryIO, size: int) -> int | None:
    """Where the last Ogg page should end, by the lengths in its own header; a cut falls into a page."""
    start = max(0, size - _OGG_PAGE_BYTES)
    stream.seek(start)
    tail = stream.read(_OGG_PAGE_BYTES)
    page = tail.rfind(b"OggS")
    if page < 0:
        return None
    segments = tail[page + 26] if len(tail) > page + 26 else 255
    lengths = tail[page + 27 : page + 27 + segments]
    missing_header = 27 + segments - (len(tail) - page)
    if missing_header > 0:
        return size + missing_header + _SLACK_BYTES
    return start + page + 27 + segments + sum(lengths)


# kbit/s by bit-rate index 1..14; rows: (MPEG-1 or not, layer)
_BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version bits


@dataclass(frozen=True, slots=True)
class Mp3Length:
    """What the frame headers of one MP3 declare.

    Attributes:
        declared_end: file offset where by the Xing header the sound ends, less one frame; None: not declared.
        walked_samples: samples per channel found by walking the frames; None where an Xing header gives the count.
        frame_samples: samples per channel in one frame.
        joined: whether further frames follow after the declared end.
    """

    declared_end: int | None
    walked_samples: int | None
    frame_samples: int
    joined: bool = False


def is_mp3(head: bytes) -> bool:
    """Whether the first bytes look like MPEG audio: an ID3 tag or a frame header."""
    return head.startswith(b"ID3") or _frame(head[:4]) is not None


def mp3_length(path: AudioPath) -> Mp3Length | None:
    """The length of an MP3 by its headers; None where no frame is found. Walks 7 h a second, once per file version."""
    status = os.stat(path)
    return _measure(os.fspath(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _measure(path: str, size: int, mtime_ns: int) -> Mp3Length | None:
    with open(path, "rb") as stream:
        start = _after_id3(stream.read(10))
        stream.seek(start)
        data = stream.read(1 << 16)
        first = _next_frame(data, 0)
        if first is None:
            return None
        frame_bytes, samples = _frame(data[first : first + 4]) or (0, 0)
        flags, _, declared = _xing(data[first : first + 200])
        if flags & 1:
            if not flags & 2:
                return Mp3Length(None, None, samples)
            end = start + first + declared
            stream.seek(end)
            # Some writers leave the header's own frame out of the count, so one frame or two prove nothing.
            joined = size - end > 20 * frame_bytes and _next_frame(stream.read(HEAD_BYTES), 0) is not None
            return Mp3Length(end - frame_bytes, None, samples, joined)
        stream.seek(start)
        return Mp3Length(None, _walk(stream.read(), first) * samples, samples)


def _after_id3(head: bytes) -> int:
    """The offset after an ID3v2 tag, whose length is four 7-bit bytes; 0 without one."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    length = functools.reduce(lambda total, byte: total << 7 | byte & 0x7F, head[6:10], 0)
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _frame(header: bytes) -> tuple[int, int] | None:
    """Length in bytes and samples per channel of the frame with this 4-byte header; None if it is no frame header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate_index in (0, 15) or rate_index == 3:
        return None
    bitrate = 1000 * _BITRATES[version == 3, layer][bitrate_index - 1]
    rate = _RATES[version][rate_index]
    if layer == 1:
        return (12 * bitrate // rate + padding) * 4, 384
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bitrate // rate + padding, samples


def _next_frame(data: bytes, offset: int) -> int | None:
    """The offset of the next frame header that is followed by another one (or by the end); None if there is none."""
    while (offset := data.find(b"\xff", offset)) >= 0:
        frame = _frame(data[offset : offset + 4])
        if frame is not None:
            following = data[offset + frame[0] : offset + frame[0] + 4]
            if len(following) < 4 or _frame(following) is not None:
                return offset
        offset += 1
    return None


def _xing(frame: bytes) -> tuple[int, int, int]:
    """(flags, frames, bytes) of the Xing or Info header inside the first frame; flags 0 without one."""
    found = max(frame.find(b"Xing"), frame.find(b"Info"))
    if found < 0 or len(frame) < found + 16:
        return 0, 0, 0
    flags, frames, length = struct.unpack_from(">III", frame, found + 4)
    return int(flags), int(frames), int(length)


def _walk(data: bytes, offset: int) -> int:
    """The number of whole frames from `offset` on, searching for the next header where one is damaged."""
    count = 0
    while True:
        frame = _frame(data[offset : offset + 4])
        if frame is not None and offset + frame[0] <= len(data):
            count += 1
            offset += frame[0]
            continue
        if frame is not None or data[offset : offset + 3] == b"TAG" or data[offset : offset + 8] == b"APETAGEX":
            return count
        following = _next_frame(data, offset + 1)
        if following is None:
            return count
        offset = following
