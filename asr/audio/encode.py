"""Small clips for pages: a waveform as the bytes of an Ogg Opus file, the same bytes every time.

In: mono float32 and its rate. Out: Ogg Opus at about 29 kbit/s, which Chromium, Firefox and Safari (from 18.4) play.
libsndfile draws the serial number of each stream at random; it is set to 0 here, with the checksums corrected (RFC
3533), so that a page made twice from the same data is the same file.
"""

import io
import struct

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.audio.resample import resample

CLIP_MEDIA_TYPE = "audio/ogg"

_HEADER_BYTES = 27
_SERIAL, _CHECKSUM, _SEGMENTS = 14, 22, 26  # byte offsets in the header of an Ogg page


def encode_clip(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """`(samples,)` as Ogg Opus, mono, at 8 or 16 kHz (two of the rates that Opus has)."""
    rate = 8_000 if sample_rate <= 8_000 else 16_000
    samples = waveform if rate == sample_rate else resample(waveform, sample_rate, rate)
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", rate, 1, format="OGG", subtype="OPUS") as file:
        file.write(np.clip(samples, -1.0, 1.0))
    return without_serial(stream.getvalue())


def without_serial(data: bytes) -> bytes:
    """The Ogg file with serial number 0 in every page. Raises ValueError where the bytes are not whole Ogg pages."""
    pages = bytearray(data)
    start = 0
    while start < len(pages):
        header = start + _HEADER_BYTES
        if pages[start : start + 4] != b"OggS" or header > len(pages):
            raise ValueError(f"no Ogg page at byte {start}")
        segments = pages[start + _SEGMENTS]
        end = header + segments + sum(pages[header : header + segments])
        struct.pack_into("<I", pages, start + _SERIAL, 0)
        struct.pack_into("<I", pages, start + _CHECKSUM, 0)
        struct.pack_into("<I", pages, start + _CHECKSUM, checksum(pages[start:end]))
        start = end
    return bytes(pages)


def checksum(page: bytes | bytearray) -> int:
    """The CRC-32 of Ogg: polynomial 0x04C11DB7, not reflected, from 0; over a page whose own field is 0."""
    remainder = 0
    for byte in page:
        remainder = ((remainder << 8) & 0xFFFFFFFF) ^ _TABLE[(remainder >> 24) ^ byte]
    return remainder


def _checksum_table() -> list[int]:
    table = []
    for value in range(256):
        remainder = value << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x04C11DB7 if remainder & 0x80000000 else 0)
        table.append(remainder & 0xFFFFFFFF)
    return table


_TABLE = _checksum_table()
