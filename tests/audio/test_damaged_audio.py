"""Every bad recording is refused with one message that names the file, the error and the remedy.

More cases, by the command line: tests/faults/audio.py.
"""

import contextlib
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import load_audio, probe, stream_audio
from asr.audio.truncation import mp3_length
from asr.errors import AudioError, RecordingNote

READERS: list[Callable[[Path], object]] = [probe, load_audio, lambda path: list(stream_audio(path))]
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 32_000).astype(np.float32)


def audio_bytes(folder: Path, extension: str, waveform: np.ndarray = NOISE, **options: object) -> bytes:
    path = folder / f"good.{extension}"
    form = {"opus": ("OGG", "OPUS"), "sph": ("NIST", None), "rf64": ("RF64", None)}.get(extension, (None, None))
    soundfile.write(path, waveform, 16_000, format=form[0], subtype=options.pop("subtype", form[1]), **options)
    return path.read_bytes()


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """The one message, which names the file, with which ``read`` refuses ``path``."""
    with pytest.raises(AudioError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def test_a_file_without_the_right_to_read_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:  # root, as which tests may run, is denied nothing
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret.wav").write_bytes(audio_bytes(tmp_path, "wav"))
    monkeypatch.setattr("asr.audio.head.open", deny, raising=False)

    assert re.search("permission denied", refusal(probe, tmp_path / "secret.wav"))


@pytest.mark.parametrize("read", READERS)
def test_a_name_that_no_file_can_have_is_refused(read: Callable[[Path], object]) -> None:
    with pytest.raises(AudioError, match=r"null (byte|character)"):
        read(Path("a\0.wav"))


@pytest.mark.parametrize("extension", ["wav", "aiff", "au", "caf", "w64", "sph", "rf64", "ogg", "opus", "flac", "mp3"])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, extension: str, share: float) -> None:
    content = audio_bytes(tmp_path, extension, np.tile(NOISE, 5))  # 10 s: a missing quarter of a second is only noted
    path = tmp_path / f"cut.{extension}"
    path.write_bytes(content[: int(share * len(content))])

    for read in READERS:
        assert re.search("cut short|damaged or cut|not audio that can be read", refusal(read, path))
    assert probe(tmp_path / f"good.{extension}").frames == 5 * len(NOISE)


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_written_into_a_pipe_is_no_cut_one(tmp_path: Path, size: int) -> None:
    content = bytearray(audio_bytes(tmp_path, "wav"))
    place = content.find(b"data") + 4
    content[4:8] = content[place : place + 4] = struct.pack("<I", size)
    path = tmp_path / "piped.wav"
    path.write_bytes(content)

    assert len(load_audio(path)) == len(NOISE)


def test_a_flac_that_does_not_tell_its_length_is_counted(tmp_path: Path) -> None:
    content = bytearray(audio_bytes(tmp_path, "flac"))
    content[21] &= 0xF0  # STREAMINFO: 36 bits of total samples, 0 is unknown
    content[22:26] = bytes(4)
    path = tmp_path / "piped.flac"
    path.write_bytes(content)

    assert probe(path).frames == len(NOISE)
    assert np.array_equal(load_audio(path), load_audio(tmp_path / "good.flac"))


def test_a_flac_that_declares_days_is_refused_at_once(tmp_path: Path) -> None:
    content = bytearray(audio_bytes(tmp_path, "flac"))
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    path = tmp_path / "bomb.flac"
    path.write_bytes(content)

    assert re.search(r"1193\.05 h were requested; at most 8\.00 h", refusal(load_audio, path))
    assert re.search("damaged or cut", refusal(probe, path))


def test_the_longest_load_can_be_set(tmp_path: Path) -> None:
    audio_bytes(tmp_path, "wav")

    with pytest.raises(AudioError, match=r"at most 0\.00 h"):
        load_audio(tmp_path / "good.wav", max_duration_s=1.9)
    assert len(load_audio(tmp_path / "good.wav", max_duration_s=1.9, duration_s=1.5)) == 24_000


@pytest.mark.parametrize("extension", ["flac", "mp3", "ogg"])
def test_sound_spoiled_in_the_middle_is_refused(tmp_path: Path, extension: str) -> None:
    content = bytearray(audio_bytes(tmp_path, extension, np.tile(NOISE, 5)))
    middle = len(content) // 2
    content[middle : middle + 3_000] = np.random.default_rng(2).bytes(3_000)
    path = tmp_path / f"spoiled.{extension}"
    path.write_bytes(content)

    assert re.search("damaged or cut", refusal(load_audio, path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_that_are_not_numbers_are_refused(tmp_path: Path, value: float, subtype: str) -> None:
    waveform = NOISE.copy()
    waveform[20_000] = value
    soundfile.write(tmp_path / "a.wav", waveform, 16_000, subtype=subtype)

    assert re.search("NaN or infinity", refusal(load_audio, tmp_path / "a.wav"))
    assert len(load_audio(tmp_path / "a.wav", duration_s=1.0)) == 16_000


@pytest.mark.parametrize(
    ("start_s", "duration_s", "words"),
    [
        (2.0, None, r"from 2\.000 s to its end is outside.* lasts 2\.000 s"),
        (1.5, 1.0, r"from 1\.500 s to 2\.500 s is outside"),
        (-0.1, None, "start_s is -0.1"),
        (float("nan"), None, "start_s is nan"),
        (0.0, 0.0, "duration_s is 0.0"),
        (0.0, -1.0, "duration_s is -1.0"),
        (0.0, float("inf"), "duration_s is inf"),
        (0.5, 1e-6, "shorter than one sample"),
    ],
)
def test_a_span_outside_the_file_is_refused(
    tmp_path: Path, start_s: float, duration_s: float | None, words: str
) -> None:
    audio_bytes(tmp_path, "wav")

    with pytest.raises(AudioError, match=words):
        load_audio(tmp_path / "good.wav", start_s=start_s, duration_s=duration_s)


@pytest.mark.parametrize("rate", [0, 1, 3_999, 384_001])
def test_a_strange_rate_asked_for_is_refused(tmp_path: Path, rate: int) -> None:
    audio_bytes(tmp_path, "wav")

    with pytest.raises(AudioError, match="outside 4,000 to 384,000 Hz"):
        load_audio(tmp_path / "good.wav", sample_rate=rate)


def without_xing(content: bytes) -> bytes:
    """The MP3 without its first frame, which holds only the length."""
    start = content.index(b"\xff", 100)
    while content[start : start + 2] != content[:2]:
        start = content.index(b"\xff", start + 1)
    return content[start:]


def test_an_mp3_of_varying_rate_that_would_lose_its_end_is_refused(tmp_path: Path) -> None:
    # Two seconds of noise after 20 of silence: the first frames' bit rate says nothing of the rest.
    waveform = np.concatenate([NOISE, np.zeros(320_000, np.float32)])
    content = without_xing(audio_bytes(tmp_path, "mp3", waveform, bitrate_mode="VARIABLE"))
    path = tmp_path / "headless.mp3"
    path.write_bytes(content)

    length = mp3_length(path)

    assert length is not None and length.walked_samples is not None
    assert abs(length.walked_samples - len(waveform)) < 4 * length.frame_samples  # the encoder's own silence
    assert re.search(r"varying bit rate without a length header.*-c copy", refusal(probe, path))


def test_two_mp3_files_joined_are_refused(tmp_path: Path) -> None:
    content = audio_bytes(tmp_path, "mp3")
    path = tmp_path / "joined.mp3"
    path.write_bytes(content + content)

    assert re.search("after the end that its header declares", refusal(probe, path))


@pytest.mark.parametrize("tag", ["before", "after"])
def test_tags_around_an_mp3_change_nothing(tmp_path: Path, tag: str) -> None:
    content = audio_bytes(tmp_path, "mp3")
    before = b"ID3\x04\x00\x00\x00\x00\x0f\x00" + bytes(0x0F << 7)
    path = tmp_path / "tagged.mp3"
    path.write_bytes(before + content if tag == "before" else content + b"TAG" + bytes(125))

    assert np.array_equal(load_audio(path), load_audio(tmp_path / "good.mp3"))


@pytest.mark.timeout(120)
def test_random_bytes_in_sound_files_give_audio_or_one_error(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for extension in ("wav", "flac", "ogg", "mp3", "aiff", "w64", "sph"):
        content = audio_bytes(tmp_path, extension, NOISE[:8_000])
        for _ in range(25):
            spoiled = bytearray(content)
            for place in random.integers(0, min(len(content), 600), 4):
                spoiled[place] = random.integers(256)
            path = tmp_path / f"spoiled.{extension}"
            path.write_bytes(spoiled[: random.integers(1, len(spoiled) + 1)])
            with warnings.catch_warnings(), contextlib.suppress(AudioError):
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", RecordingNote)
                assert np.isfinite(load_audio(path)).all()
