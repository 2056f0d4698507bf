"""Whole files, parts, streams, rates and channels: what load_audio promises for files that are sound."""

import contextlib
import io
import os
import random
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.audio import AUDIO_EXTENSIONS, Resampler, load, load_audio, probe, resample, stream_audio
from asr.errors import AudioError

LOSSLESS = {"wav": "PCM_16", "flac": "PCM_16", "aiff": "PCM_16", "au": "PCM_16", "caf": "PCM_16", "w64": "PCM_16"}
LOSSY = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}


RATES = [4_000, 8_000, 11_025, 22_050, 22_051, 44_100, 48_000, 96_000, 384_000]


def chirp(seconds: float, rate: int, seed: int = 0, noise: float = 0.02) -> np.ndarray:
    """A rising tone with some noise: every place sounds different, so that a shift by one sample shows."""
    times = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (150 + 40 * times) * times)
    return (tone + noise * np.random.default_rng(seed).standard_normal(len(times))).astype(np.float32)


def write(path: Path, waveform: np.ndarray, rate: int) -> Path:
    form, subtype = LOSSY.get(path.suffix[1:], (None, None))
    with soundfile.SoundFile(path, "w", rate, waveform.ndim, subtype=subtype, format=form) as stream:
        for start in range(0, len(waveform), rate):  # Vorbis fails on very long single writes
            stream.write(waveform[start : start + rate])
    return path


@pytest.mark.parametrize("extension", LOSSLESS)
def test_a_lossless_file_loads_as_it_was_written(tmp_path: Path, extension: str) -> None:
    expected = np.round(chirp(1.3, 16_000) * 32768) / 32768
    path = write(tmp_path / f"a.{extension}", expected, 16_000)

    assert np.array_equal(load_audio(path), expected.astype(np.float32))
    assert probe(path).frames == len(expected)


@pytest.mark.parametrize("extension", LOSSY)
def test_a_lossy_file_loads_with_its_length_and_its_sound(tmp_path: Path, extension: str) -> None:
    original = chirp(3.0, 16_000)

    loaded = load_audio(write(tmp_path / f"a.{extension}", original, 16_000))

    assert loaded.shape == original.shape and loaded.dtype == np.float32
    assert np.corrcoef(loaded, original)[0, 1] > 0.98


def test_every_written_extension_counts_as_audio() -> None:
    assert {f".{extension}" for extension in (*LOSSLESS, *LOSSY)} <= AUDIO_EXTENSIONS


def test_reading_goes_by_content_not_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", chirp(0.5, 16_000), 16_000)
    renamed = path.rename(tmp_path / "surprise.wav")

    assert probe(renamed).format == "FLAC"


@pytest.mark.parametrize("name", ["grüße 你好.wav", "a=b (1),[2].wav", "no extension", "x" * 200 + ".wav"])
def test_strange_file_names_are_read(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, chirp(0.2, 16_000), 16_000, format="WAV")
    (tmp_path / name).write_bytes(buffer.getvalue())

    assert len(load_audio(tmp_path / name)) == 3_200


@pytest.mark.parametrize("rate", RATES)
def test_any_rate_is_resampled_to_the_sound_itself(tmp_path: Path, rate: int) -> None:
    """A band-limited sound has the same samples whether it is resampled or made at the rate; edges are soxr's."""
    path = tmp_path / "a.wav"
    soundfile.write(path, chirp(1.0, rate, noise=0), rate, subtype="FLOAT")

    loaded = load_audio(path)

    assert loaded.shape == (16_000,)
    assert np.allclose(loaded[800:-800], chirp(1.0, 16_000, noise=0)[800:-800], atol=1e-6)
    expected = soxr.resample(chirp(1.0, rate, noise=0), rate, 16_000, quality="HQ")
    assert np.allclose(loaded, expected[:16_000], atol=1e-6)


@pytest.mark.slow  # importing librosa's resampling takes seconds
@pytest.mark.parametrize("rate", RATES)
def test_any_rate_is_resampled_as_librosa_does(tmp_path: Path, rate: int) -> None:
    import librosa

    original = chirp(1.0, rate)
    path = tmp_path / "a.wav"
    soundfile.write(path, original, rate, subtype="FLOAT")

    expected = librosa.resample(original, orig_sr=rate, target_sr=16_000, res_type="soxr_hq")

    assert np.allclose(load_audio(path), expected[:16_000], atol=1e-6)


def test_resampling_keeps_the_pitch() -> None:
    times = np.arange(44_100) / 44_100
    tone = np.sin(2 * np.pi * 1_000 * times).astype(np.float32)

    spectrum = np.abs(np.fft.rfft(resample(tone, 44_100, 16_000)))

    assert spectrum.argmax() == 1_000  # bins of 1 Hz


@pytest.mark.parametrize("first", [0, 7, 900, 5000])
def test_blocks_of_sound_with_an_offset_may_be_cut_anywhere(first: int) -> None:
    """The offset is told by the same samples, whatever the first block holds."""
    sound = (0.3 + 0.1 * np.random.default_rng(0).standard_normal(9000)).astype(np.float32)
    sound[:7] = -0.5

    def resampled(*cuts: int) -> np.ndarray:
        resampler = Resampler(24_000, 8000)
        parts = [resampler.push(part) for part in np.split(sound, cuts)]
        return np.concatenate((*parts, resampler.push(sound[:0], last=True)))

    assert np.array_equal(resampled(first, first + 1), resampled())
    assert len(resampled()) == 3000


def test_resample_refuses_what_is_not_one_waveform() -> None:
    with pytest.raises(ValueError, match="samples"):
        resample(np.zeros((2, 10), np.float32), 8_000, 16_000)


def test_channels_are_averaged_or_picked(tmp_path: Path) -> None:
    left, right = chirp(0.5, 16_000, 1), chirp(0.5, 16_000, 2)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="FLOAT")

    assert np.allclose(load_audio(path), (left + right) / 2, atol=1e-7)
    assert np.array_equal(load_audio(path, channel=0), left)
    assert np.array_equal(load_audio(path, channel=1), right)
    with pytest.raises(AudioError, match=r"a\.wav: has no channel 2; it has 2"):
        load_audio(path, channel=2)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Five seconds in several formats and rates."""
    folder = tmp_path_factory.mktemp("audio")
    kinds = {"wav": 16_000, "flac": 16_000, "ogg": 16_000, "mp3": 16_000}
    made = {kind: write(folder / f"a.{kind}", chirp(5.0, rate), rate) for kind, rate in kinds.items()}
    made["flac44"] = write(folder / "b.flac", chirp(5.0, 44_100), 44_100)
    made["wav22051"] = write(folder / "c.wav", chirp(5.0, 22_051), 22_051)
    made["opus48"] = write(folder / "d.opus", chirp(5.0, 48_000), 48_000)
    made["mp344"] = write(folder / "e.mp3", np.stack([chirp(5.0, 44_100), chirp(5.0, 44_100, 1)], axis=1), 44_100)
    return made


# Exact where nothing is resampled; else the filter's rounding (22,051 Hz has no short common period: 1e-6).
TOLERANCES = {
    "wav": 0.0,
    "flac": 0.0,
    "ogg": 0.0,
    "mp3": 1e-6,
    "flac44": 1e-6,
    "wav22051": 1e-5,
    "opus48": 1e-6,
    "mp344": 1e-6,
}


@pytest.mark.parametrize("kind", TOLERANCES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(span=st.tuples(st.floats(0, 4.8), st.floats(0.01, 5)))
def test_a_part_equals_the_slice_of_the_whole(files: dict[str, Path], kind: str, span: tuple[float, float]) -> None:
    start_s, duration_s = span[0], min(span[1], 5.0 - span[0])
    whole = load_audio(files[kind])

    part = load_audio(files[kind], start_s=start_s, duration_s=duration_s)

    expected = whole[round(start_s * 16_000) : round((start_s + duration_s) * 16_000)]
    assert part.shape == expected.shape
    assert np.abs(part - expected).max() <= TOLERANCES[kind]


def test_a_part_without_a_duration_goes_to_the_end(files: dict[str, Path]) -> None:
    assert np.array_equal(load_audio(files["wav"], start_s=4.25), load_audio(files["wav"])[68_000:])


def test_a_span_may_end_behind_the_file_by_the_rounding_of_manifests(files: dict[str, Path]) -> None:
    assert np.array_equal(load_audio(files["wav"], duration_s=5.01), load_audio(files["wav"]))


@pytest.mark.parametrize("kind", TOLERANCES)
@pytest.mark.parametrize("block_s", [0.0731, 1.0, 30.0])
def test_a_stream_joined_equals_the_load_to_the_bit(files: dict[str, Path], kind: str, block_s: float) -> None:
    blocks = list(stream_audio(files[kind], block_s=block_s))

    assert np.array_equal(np.concatenate(blocks), load_audio(files[kind]))
    assert all(len(block) == round(block_s * 16_000) for block in blocks[:-1])


def test_a_stream_holds_one_block_of_a_long_file_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 4_000, 2) as stream:
        for _ in range(60):
            stream.write(np.zeros((4_000 * 60, 2), np.float32))

    sizes = [block.nbytes for block in stream_audio(path, sample_rate=4_000, block_s=10)]

    assert len(sizes) == 360 and max(sizes) == 10 * 4_000 * 4


def test_blocks_of_an_mp3_equal_its_whole_decoding_and_seeking_stays_silent(
    corpora: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # soundfile's own blocks differ by 0.04 here, and libmpg123 writes to stderr at every seek.
    path = corpora / "LibriSpeech" / "dev-clean" / "84" / "121550" / "84-121550-0005.mp3"
    whole, _ = soundfile.read(path, dtype="float32")
    capfd.readouterr()

    blocks = np.concatenate(list(stream_audio(path, block_s=0.05)))
    parts = [
        (start, load_audio(path, start_s=start / 16_000, duration_s=0.1)) for start in range(9_000, 130_000, 3_001)
    ]

    assert np.abs(blocks - whole).max() < 1e-6
    assert max(np.abs(part - whole[start : start + 1_600]).max() for start, part in parts) < 1e-6
    assert capfd.readouterr().err == ""


def test_parts_of_opus_lie_where_they_should(corpora: Path) -> None:
    # Opus keeps a state that a seek cannot restore: the same sound at the same place, within -50 dB of full scale.
    path = next((corpora / "LibriSpeech" / "train-clean-5").rglob("*.opus"))
    whole = load_audio(path)

    for start in range(3_000, len(whole) - 16_000, 20_011):
        part = load_audio(path, start_s=start / 16_000, duration_s=1.0)
        assert np.abs(part - whole[start : start + 16_000]).max() < 0.01


@pytest.mark.parametrize(
    "pattern",
    ["LibriSpeech/dev-clean/251/*/*.mp3", "an4/wav/an4_clstk/m*/*.opus", "free-spoken-digit-dataset/*/9_*.flac"],
)
def test_real_recordings_load_with_the_length_that_probe_gives(corpora: Path, pattern: str) -> None:
    paths = sorted(corpora.glob(pattern))[:20]

    assert paths
    for path in paths:
        info = probe(path)
        assert len(load_audio(path, sample_rate=info.sample_rate)) == info.frames


def wav_of(sound: bytes, tag: int = 1, channels: int = 1, bits: int = 16, notes: bytes = b"") -> bytes:
    """A WAV as Python's `wave` and (with `notes`) FFmpeg write it."""
    width = channels * bits // 8
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, 8000, 8000 * width, width, bits)
    body = b"WAVE" + layout + notes + struct.pack("<4sI", b"data", len(sound)) + sound
    return struct.pack("<4sI", b"RIFF", len(body)) + body


PROGRAM = struct.pack("<4sI4s4sI", b"LIST", 18, b"INFO", b"ISFT", 5) + b"Lavf\0\0"
KINDS = [
    (1, 1, 16, b""),
    (1, 2, 24, b""),
    (1, 1, 8, PROGRAM),
    (1, 3, 32, PROGRAM),
    (3, 1, 32, b""),
    (3, 2, 64, PROGRAM),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_facts_of_a_plain_wav_are_those_of_libsndfile_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: tuple[int, int, int, bytes]
) -> None:
    """And of a WAV changed anywhere in its header, wherever it still counts as plain."""
    (tag, channels, bits, notes), path = kind, tmp_path / "a.wav"
    content = wav_of(bytes(range(1, 97)), tag, channels, bits, notes)
    monkeypatch.setattr(load, "Recording", None)  # which reads with libsndfile
    generator, plain = random.Random(0), 0
    for number in range(1_500):
        changed = bytearray(content)
        for _ in range(0 if number == 0 else generator.randint(1, 2)):
            changed[generator.randrange(44 + len(notes))] = generator.choice([0, 1, 2, 255, generator.randrange(256)])
        path.write_bytes(changed)
        try:
            found = probe(path)
        except TypeError:
            assert number
            continue
        except AudioError:
            continue
        theirs = soundfile.info(path)
        assert (found.frames, found.sample_rate, found.channels) == (theirs.frames, theirs.samplerate, theirs.channels)
        assert (found.format, found.subtype) == (theirs.format, theirs.subtype)
        plain += 1
    assert plain > 20


def test_what_others_say_while_an_mp3_is_read_costs_no_descriptor_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.mp3", np.zeros(16_000, np.float32), 16_000)
    read = soundfile.SoundFile.read

    def interrupted(self: soundfile.SoundFile, *arguments: Any, **named: Any) -> Any:
        os.write(2, b"another thread says something\n")
        return read(self, *arguments, **named)

    monkeypatch.setattr(soundfile.SoundFile, "read", interrupted)
    stderr, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, 2)
        before = len(os.listdir("/proc/self/fd"))
        lengths = {len(load_audio(tmp_path / "a.mp3")) for _ in range(20)}
        after = len(os.listdir("/proc/self/fd"))
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(full)
    assert (lengths, after) == ({16_000}, before)


def test_a_lack_of_descriptors_while_an_mp3_is_opened_costs_none(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", np.zeros(16_000, np.float32), 16_000)
    load_audio(tmp_path / "a.mp3")
    limits, held = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        os.close(held.pop())  # one is free, and two are needed
        with pytest.raises(OSError, match="Too many open files"):
            load_audio(tmp_path / "a.mp3")
        held.append(os.open(os.devnull, os.O_RDONLY))  # and still is
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


WITHOUT_STDERR = """
import os, sys
from asr.audio import load_audio
os.close(2)
print(len(load_audio(sys.argv[1])), len(load_audio(sys.argv[1])))
"""


def test_an_mp3_is_read_where_there_is_no_stderr(tmp_path: Path, repository: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", np.zeros(16_000, np.float32), 16_000)
    command = [sys.executable, "-c", WITHOUT_STDERR, str(tmp_path / "a.mp3")]
    done = subprocess.run(command, cwd=repository, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.stdout == "16000 16000\n"
