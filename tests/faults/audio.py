"""Recordings that cannot be read: each command that opens one says the same."""

import os
import struct
from pathlib import Path

import numpy as np
import soundfile

from tests.faults.case import Case, Content, wav

NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000).astype(np.float32)
HEAR = "transcribe model"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200)
FORMATS = {"opus": ("OGG", "OPUS"), "sph": ("NIST", None), "rf64": ("RF64", None)}


def sound(path: Path, waveform: np.ndarray = NOISE, subtype: str | None = None) -> bytes:
    """A recording of noise in the format of the name's ending."""
    form, kind = FORMATS.get(path.suffix[1:], (None, None))
    soundfile.write(path, waveform, 16_000, format=form, subtype=subtype or kind)
    return path.read_bytes()


def cut(path: Path) -> None:
    """Half of a recording of three seconds."""
    content = sound(path, np.tile(NOISE, 3))
    path.write_bytes(content[: len(content) // 2])


def spoilt(path: Path) -> None:
    """Random bytes in the middle of three seconds."""
    content = bytearray(sound(path, np.tile(NOISE, 3)))
    middle = len(content) // 2
    content[middle : middle + 3_000] = np.random.default_rng(2).bytes(3_000)
    path.write_bytes(content)


def samples(value: float, subtype: str) -> Content:
    """A recording in which one sample is ``value``."""
    waveform = NOISE.copy()
    waveform[2_000] = value
    return lambda path: sound(path, waveform, subtype)


def flac_of_days(path: Path) -> None:
    """The 36 bits of STREAMINFO that hold the number of samples are all set."""
    content = bytearray(sound(path))
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)


def box(name: bytes, body: bytes = b"") -> bytes:
    """A box of an MP4 file."""
    return struct.pack(">I", 8 + len(body)) + name + body


MP4 = box(b"ftyp", b"isom\0\0\2\0isomiso2")
NO_AUDIO = "is not audio"
UNREAD = "is not audio that can be read"

CONTENT: list[tuple[str, str, Content, str]] = [
    ("an empty recording", "audio-damaged", b"", "is empty (0 bytes)"),
    ("a text as a recording", "audio-format", b"hello, this is text\n" * 100, UNREAD),
    ("random bytes as a recording", "audio-format", np.random.default_rng(1).bytes(5_000), NO_AUDIO),
    ("a Git LFS pointer", "audio-format", b"version https://git-lfs.github.com/spec/v1\noid 0\n", "git lfs pull"),
    ("a web page as a recording", "audio-format", b"<!DOCTYPE html><html>404</html>", "web page"),
    ("a web page behind a byte-order mark", "audio-format", b"\xef\xbb\xbf\n<html>404</html>", "web page"),
    ("an XML document as a recording", "audio-format", b"<?xml version='1.0'?><Error/>", "web page"),
    ("a zip archive as a recording", "audio-format", b"PK\x03\x04" + bytes(100), "an archive (unpack it first)"),
    ("a gzip archive as a recording", "audio-format", b"\x1f\x8b" + bytes(100), "an archive (unpack it first)"),
    ("a picture as a recording", "audio-format", PNG, UNREAD),
    ("a PDF as a recording", "audio-format", b"%PDF-1.7\n" + bytes(500), UNREAD),
    ("a recording of zero bytes only", "audio-format", bytes(5_000), "zero bytes only"),
    ("an MP3's mark and nothing else", "audio-format", b"\xff\xfb" + b"\xff" * 3_000, NO_AUDIO),
    ("a WAV that is only RIFF", "audio-format", b"RIFF\0\0\0\0WAVE", UNREAD),
    ("a WAV without fmt", "audio-format", wav(chunks=(b"data",)), UNREAD),
    ("a WAV without data", "audio-format", wav(chunks=(b"fmt ",)), UNREAD),
    ("a WAV of no channel", "audio-format", wav(channels=0), UNREAD),
    ("a WAV of 65,535 channels", "audio-format", wav(channels=65_535), UNREAD),
    ("a WAV of 0 bits", "audio-format", wav(bits=0), UNREAD),
    ("a WAV of an unknown encoding", "audio-format", wav(kind=0x9999), UNREAD),
    ("a WAV without samples", "audio-damaged", wav(b""), "declares no samples"),
    ("a WAV of 0 Hz", "audio-format", wav(rate=0), UNREAD),
    ("a WAV of 1 Hz", "audio-damaged", wav(rate=1), "sample rate of 1 Hz by its header, outside 4,000 to 384,000"),
    ("a WAV of 3,999 Hz", "audio-damaged", wav(rate=3_999), "sample rate of 3,999 Hz"),
    ("a WAV of 384,001 Hz", "audio-damaged", wav(rate=384_001), "sample rate of 384,001 Hz"),
    ("a WAV of 2 GHz", "audio-damaged", wav(rate=2_000_000_000), "sample rate of 2,000,000,000 Hz"),
    ("a WAV of 3 GHz without its length", "audio-format", wav(rate=3_000_000_000, data_size=0), UNREAD),
    ("a WAV that declares 2 GB", "audio-damaged", wav(data_size=2_000_000_000), "is cut short"),
    ("a sample that is not a number", "audio-damaged", samples(np.nan, "FLOAT"), "NaN or infinity"),
    ("a sample that is infinite", "audio-damaged", samples(-np.inf, "DOUBLE"), "NaN or infinity"),
]  # fmt: skip

CASES = [
    Case("a FLAC of 1,193 hours", "audio-damaged", f"{HEAR} a.flac", "damaged or cut", {"a.flac": flac_of_days}),
    *(
        Case(given, id_, f"{HEAR} a.wav", ("a.wav: ", says), {"a.wav": content})
        for given, id_, content, says in CONTENT
    ),
    *(
        Case(
            f"half of a recording in {ending}",
            "audio-damaged",
            f"{HEAR} a.{ending}",
            f"a.{ending}: ",
            {f"a.{ending}": cut},
        )
        for ending in ("wav", "aiff", "au", "caf", "w64", "sph", "rf64", "ogg", "opus", "flac", "mp3")
    ),
    *(
        Case(
            f"a spoilt recording in {ending}",
            "audio-damaged",
            f"{HEAR} a.{ending}",
            "damaged or cut",
            {f"a.{ending}": spoilt},
        )
        for ending in ("flac", "mp3", "ogg")
    ),
    *(
        Case(
            f"a text called {name}",
            "audio-format",
            f"{HEAR} {name}",
            (name, NO_AUDIO),
            {name: b"hello, this is text\n" * 100},
        )
        for name in ("a.mp3", "a.raw", "a.m4a", "a.flac", "a.opus", "recording")
    ),
    Case("no such recording", "audio-missing", f"{HEAR} a.wav", "a.wav: no such file"),
    Case(
        "a link to nothing",
        "audio-missing",
        f"{HEAR} a.wav",
        "no such file",
        {"a.wav": lambda p: p.symlink_to("b.wav")},
    ),
    Case(
        "a link to itself",
        "audio-missing",
        f"{HEAR} a.wav",
        "cannot be opened",
        {"a.wav": lambda p: p.symlink_to("a.wav")},
    ),
    Case(
        "a pipe as a recording",
        "audio-missing",
        f"{HEAR} a.wav",
        "is a pipe or a device",
        {"a.wav": lambda p: os.mkfifo(p)},
    ),
    Case("a device as a recording", "audio-missing", f"{HEAR} /dev/zero", "is a pipe or a device"),
    Case(
        "a folder without recordings",
        "audio-missing",
        f"{HEAR} in",
        "no recordings (.wav, .flac, .mp3, ...)",
        {"in/a.txt": "x"},
    ),
    Case("a name of 300 characters", "audio-missing", f"{HEAR} {'x' * 300}.wav", "File name too long"),
    Case("a recording below a file", "audio-missing", f"{HEAR} good.wav/a.wav", "cannot be opened (Not a directory)"),
    Case(
        "a channel that is not there",
        "audio-part",
        f"{HEAR} good.wav --channel 7",
        "good.wav: has no channel 7; it has 1",
    ),
    Case("a track that is not there", "audio-part", f"{HEAR} good.wav --track 3", "good.wav: has no audio track 3"),
    Case("an MP4 that is only its mark", "audio-format", f"{HEAR} a.mp4", "a.mp4: ", {"a.mp4": MP4}),
    Case(
        "an MP4 without its index",
        "audio-format",
        f"{HEAR} a.m4a",
        "a.m4a: ",
        {"a.m4a": MP4 + box(b"mdat", bytes(9_000))},
    ),
    Case(
        "an MP4 whose index is longer than the file",
        "audio-format",
        f"{HEAR} a.m4a",
        "a.m4a: ",
        {"a.m4a": MP4 + b"\x7f\xff\xff\xffmoov"},
    ),
    Case(
        "a Matroska that is only its mark",
        "audio-format",
        f"{HEAR} a.mkv",
        "a.mkv: ",
        {"a.mkv": b"\x1aE\xdf\xa3" + bytes(64)},
    ),
    Case("an AMR without frames", "audio-damaged", f"{HEAR} a.amr", "a.amr: ", {"a.amr": b"#!AMR\n"}),
    Case("a damaged WMA", "audio-format", f"{HEAR} a.wma", "a.wma: ", {"a.wma": b"0&\xb2u\x8ef\xcf\x11" + bytes(300)}),
    Case(
        "text aligned with no recording",
        "audio-missing",
        "align model a.wav t.txt",
        "a.wav: no such file",
        {"t.txt": "a b"},
    ),
    Case(
        "text aligned with a text",
        "audio-format",
        "align model a.wav t.txt",
        UNREAD,
        {"a.wav": b"text" * 99, "t.txt": "a b"},
    ),
    Case("an inspection of half a recording", "audio-damaged", "inspect model a.flac", "a.flac: ", {"a.flac": cut}),
    Case(
        "an inspection that begins after the end",
        "audio-part",
        "inspect model good.wav --start 9",
        "outside the recording",
    ),
    Case("live sound of no such file", "audio-missing", f"{HEAR} a.wav --stream", "a.wav: no such file"),
    Case("live sound of a damaged file", "audio-damaged", f"{HEAR} a.wav --stream", "a.wav: ", {"a.wav": cut}),
]
