"""Ogg files that are the same every time: libsndfile draws each stream's serial number at random.

In: the bytes of an Ogg file. Out: the same with serial number 0, its checksums right (RFC 3533).
"""

import struct

_HEADER_BYTES = 27
_SERIAL, _CHECKSUM, _SEGMENTS = 14, 22, 26  # where they stand in a page's header


def _checksum_table() -> list[int]:
    table = []
    for value in range(256):
        remainder = value << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x04C11DB7 if remainder & 0x80000000 else 0)
        table.append(remainder & 0xFFFFFFFF)
    return table


_TABLE = _checksum_table()


def without_serial(data: bytes) -> bytes:
    """Every page's serial number set to 0. Raises ValueError where the bytes are not whole Ogg pages."""
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
