"""How long an MP3 truly is: its own frame headers, read without decoding.

In: a path and its first bytes. Out: whether an Xing/Info header gives the length, how many bytes it promises, and
otherwise the number of samples found by walking from frame to frame. Needed because libmpg123 estimates the length of a
file without such a header from the first frame's bit rate, and libsndfile reads no further: a variable-rate file of 195
s came out as 128 s. Layout: ISO/IEC 11172-3 section 2.4.1.3, and LAME's description of the Xing header.
"""

import functools
import os
import struct
from dataclasses import dataclass

from asr.audio.faults import HEAD_BYTES, AudioPath

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
    """What the frame headers of one MP3 say.

    Attributes:
        promised_end: file offset where the Xing header says that the sound ends, less one frame; None: not said.
        walked_samples: samples per channel found by walking the frames; None where an Xing header gives the count.
        frame_samples: samples per channel in one frame.
        joined: whether further frames follow behind the promised end.
    """

    promised_end: int | None
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
        flags, _, promised = _xing(data[first : first + 200])
        if flags & 1:
            if not flags & 2:
                return Mp3Length(None, None, samples)
            end = start + first + promised
            stream.seek(end)
            # Some writers leave the header's own frame out of the count, so one frame or two prove nothing.
            joined = size - end > 20 * frame_bytes and _next_frame(stream.read(HEAD_BYTES), 0) is not None
            return Mp3Length(end - frame_bytes, None, samples, joined)
        stream.seek(start)
        return Mp3Length(None, _walk(stream.read(), first) * samples, samples)


def _after_id3(head: bytes) -> int:
    """The offset behind an ID3v2 tag, whose length is four 7-bit bytes; 0 without one."""
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
    """The number of whole frames from `offset` on, looking for the next header where one is spoiled."""
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
