"""Is the whole recording there? What the container promises, against the bytes that the file has.

In: a path and its first bytes. Out: nothing, or an `AudioError` that gives both numbers. libsndfile shortens cut WAV,
AIFF, AU, NIST, W64, CAF and Ogg files in silence (FIELD_NOTES), so the promise is read here from the container itself.
FLAC and MP3 promise a number of samples, which is held against the decoded count where they are decoded.
"""

import os
import struct
from typing import BinaryIO

from asr.audio.faults import AudioPath, damaged

# What a writer puts there that could not go back to fill in the length (ffmpeg and sox into a pipe); nothing is
# promised.
_UNKNOWN_FROM = 0x7FFFF000
# Writers disagree on pad bytes at the end; this many missing bytes are no sound.
_SLACK_BYTES = 16
# An Ogg page is at most 27 + 255 + 255 * 255 bytes (RFC 3533).
_OGG_PAGE_BYTES = 65307

# magic: (offset of the first chunk, struct of a chunk's length, name of the chunk with the sound, chunks padded to)
_CHUNKED = {
    b"RIFF": (12, "<I", b"data", 2),
    b"RIFX": (12, ">I", b"data", 2),
    b"FORM": (12, ">I", b"SSND", 2),
    b"caff": (8, ">q", b"data", 1),
}


def check_whole(path: AudioPath, head: bytes) -> None:
    """Raise `AudioError` if the file holds fewer bytes of sound than its container declares.

    Args:
        path: a regular file.
        head: its first bytes, as `read_head` gives them.

    Raises:
        AudioError: the file was cut.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        end = _declared_end(stream, head, size)
    if end is not None and end - size > _SLACK_BYTES:
        raise damaged(path, f"is cut short: its header declares {end:,} bytes, {size:,} are there")


def _declared_end(stream: BinaryIO, head: bytes, size: int) -> int | None:
    """Where the sound should end, in bytes from the file's start; None where the container does not say."""
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
    """RF64 keeps the length of the data chunk in its ds64 chunk; the data chunk itself says 0xFFFFFFFF."""
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
