"""All the sound of a file is read, at its time, whatever its header says; the oracle is the ffmpeg program."""

import shutil
import struct
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate  # by FFT: 0.01 s in place of 0.5

from asr.audio import load_audio, mixed, probe, stream_audio
from asr.errors import AudioError, RecordingNote

pytest.importorskip("av")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
RATE = 16_000


def tone(seconds: float, hz: float, rate: int = RATE) -> np.ndarray:
    time_s = np.arange(round(seconds * rate)) / rate
    return (0.4 * time_s / seconds * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


def as_ffmpeg_reads(path: Path) -> np.ndarray:
    """Mono at 16 kHz, `(samples,)`."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-f", "f32le", "-ac", "1", "-ar", str(RATE), "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)


def written(folder: Path, name: str, seconds: float, hz: float, *options: str) -> Path:
    soundfile.write(folder / "plain.wav", tone(seconds, hz), RATE)
    ffmpeg("-i", folder / "plain.wav", *options, folder / name)
    return folder / name


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.flac"])
@pytest.mark.parametrize("second", [2.0, 3.0])
def test_files_joined_into_one_are_read_to_the_end(tmp_path: Path, name: str, second: float) -> None:
    first = written(tmp_path, name, 3.0, 300).read_bytes()
    path = tmp_path / f"joined{Path(name).suffix}"
    path.write_bytes(first + written(tmp_path, f"b{Path(name).suffix}", second, 700).read_bytes())
    waveform = load_audio(path, sample_rate=RATE)
    if name != "a.flac":  # of which the program drops a block at the seam
        assert len(waveform) == pytest.approx(len(as_ffmpeg_reads(path)), abs=0.01 * RATE)
    assert len(waveform) / RATE == pytest.approx(3 + second, abs=0.05)
    assert probe(path).duration_s == pytest.approx(len(waveform) / RATE, abs=0.001)
    for start_s, stop_s, hz in ((0.1, 2.9, 300), (3.1, 2.9 + second, 700)):
        part = waveform[round(start_s * RATE) : round(stop_s * RATE)]
        assert np.abs(np.fft.rfft(part)).argmax() * RATE / len(part) == pytest.approx(hz, abs=2)
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(path, block_s=0.7))), waveform)
    assert probe(tmp_path / name).duration_s == pytest.approx(3, abs=0.03)


@needs_ffmpeg
def test_without_pyav_joined_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(tmp_path, "a.flac", 1.0, 300).read_bytes()
    (tmp_path / "joined.flac").write_bytes(content + content)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(AudioError, match=r"several FLAC files.*only the first would be read.*pip install.*ffmpeg"):
        probe(tmp_path / "joined.flac")


@needs_ffmpeg
@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_a_track_that_starts_late_keeps_its_time(tmp_path: Path, name: str, video: bool) -> None:
    soundfile.write(tmp_path / "plain.wav", tone(3.0, 300), RATE)
    pictures = ["-f", "lavfi", "-i", "testsrc=d=9:s=32x32:r=5"] if video else []
    ffmpeg(*pictures, "-itsoffset", 5, "-i", tmp_path / "plain.wav", tmp_path / name)
    waveform = load_audio(tmp_path / name, sample_rate=RATE)
    assert len(waveform) / RATE == pytest.approx(8.0, abs=0.1)
    assert not waveform[: int(4.8 * RATE)].any()
    late = np.concatenate([np.zeros(5 * RATE, np.float32), tone(3.0, 300)])
    found = int(correlate(waveform, late[5 * RATE :], "valid").argmax()) / RATE
    assert found == pytest.approx(5.0, abs=0.01)
    part = load_audio(tmp_path / name, sample_rate=RATE, start_s=4.5, duration_s=2.0)
    np.testing.assert_allclose(part, waveform[72_000:104_000], atol=1e-5)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_any_track_of_a_video_can_be_read_at_its_time(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "low.wav", tone(3.0, 300), RATE)
    soundfile.write(tmp_path / "high.wav", tone(3.0, 700), RATE)
    inputs = ["-f", "lavfi", "-i", "testsrc=d=6:s=32x32:r=25", "-i", tmp_path / "low.wav"]
    late = ["-itsoffset", 2.5, "-i", tmp_path / "high.wav"]
    ffmpeg(*inputs, *late, "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "mpeg4", tmp_path / name)
    for track, hz, begins_s in ((0, 300, 0.0), (1, 700, 2.5)):
        waveform = load_audio(tmp_path / name, sample_rate=RATE, track=track)
        assert len(waveform) / RATE == pytest.approx(begins_s + 3.0, abs=0.15)
        assert probe(tmp_path / name, track).duration_s == pytest.approx(len(waveform) / RATE, abs=1e-3)
        assert not waveform[: max(0, int((begins_s - 0.1) * RATE))].any()
        full = np.pad(waveform, (0, 3 * RATE))
        lag = int(correlate(full, tone(3.0, hz), "valid").argmax())
        assert lag / RATE == pytest.approx(begins_s, abs=0.06)  # the codec's own delay is in it
        blocks = stream_audio(tmp_path / name, block_s=0.7, track=track)
        np.testing.assert_array_equal(np.concatenate(list(blocks)), waveform)
    with pytest.raises(AudioError, match=r"has no audio track 2; it has 0: .* mono, 1: .* mono\. Correct the track"):
        probe(tmp_path / name, 2)


def test_a_plain_recording_is_track_0(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.3, 300), RATE)
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav", track=0), load_audio(tmp_path / "a.wav"))
    with pytest.raises(AudioError, match="has no audio track 1; it has 0: PCM_S16LE"):
        load_audio(tmp_path / "a.wav", track=1)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mp3.wav", ("-c:a", "libmp3lame")),
        ("flac.ogg", ("-c:a", "flac")),
        ("opus.caf", ("-c:a", "libopus", "-ar", "48000")),
        ("a.ac3", ("-ar", "48000")),
        ("a.ts", ()),
        ("a.mp2", ()),
    ],
)
def test_what_libsndfile_cannot_read_is_read_by_ffmpeg(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    path = written(tmp_path, name, 3.0, 300, *options)
    waveform, expected = load_audio(path, sample_rate=RATE), as_ffmpeg_reads(path)
    shortest = min(len(waveform), len(expected))
    assert abs(len(waveform) - len(expected)) < 0.1 * RATE
    lag = int(correlate(waveform[: shortest - 4000], expected[4000 : shortest - 4000], "valid").argmax())
    assert lag < 8000 and len(waveform) / RATE == pytest.approx(3.0, abs=0.15)
    assert np.abs(waveform).max() == pytest.approx(0.4, abs=0.05)


@needs_ffmpeg
@pytest.mark.parametrize("before", ["id3", "junk"])
@pytest.mark.parametrize("name", ["a.flac", "a.mp3"])
def test_what_stands_before_the_sound_is_skipped(tmp_path: Path, name: str, before: str) -> None:
    content = written(tmp_path, name, 3.0, 300).read_bytes()
    if before == "junk" and name == "a.flac":
        pytest.skip("FLAC has no sync to find behind junk")
    tag = b"ID3\x04\x00\x00\x00\x00\x20\x00" + bytes(0x20 << 7)
    path = tmp_path / f"before-{name}"
    path.write_bytes((tag if before == "id3" else np.random.default_rng(3).bytes(3000)) + content)
    assert probe(path).duration_s == pytest.approx(3.0, abs=0.1)


def wav_of(folder: Path, declared: int, *, subtype: str = "PCM_16", behind: bytes = b"", cut: int = 0) -> Path:
    """A WAV of 3 s of sound whose data chunk declares `declared` bytes, its last `cut` bytes missing."""
    soundfile.write(folder / "good.wav", tone(3.0, 300), RATE, subtype=subtype)
    content = bytearray((folder / "good.wav").read_bytes())
    place = content.find(b"data") + 4
    content[place : place + 4] = struct.pack("<I", declared)
    path = folder / "a.wav"
    path.write_bytes(bytes(content[: len(content) - cut]) + behind)
    return path


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "PCM_U8"])
@pytest.mark.parametrize("declared", [0, 1000])
def test_a_size_that_wrapped_or_was_never_written_is_not_believed(tmp_path: Path, declared: int, subtype: str) -> None:
    path = wav_of(tmp_path, declared, subtype=subtype)
    with pytest.warns(RecordingNote, match=rf"declares {declared:,} bytes of sound.*all 3\.00 s are read"):
        waveform = load_audio(path, sample_rate=RATE)
    np.testing.assert_array_equal(waveform, load_audio(tmp_path / "good.wav", sample_rate=RATE))
    assert probe(path).subtype == subtype and probe(path).format == "WAV"
    np.testing.assert_array_equal(load_audio(path, start_s=1.0, duration_s=0.5), waveform[16_000:24_000])


def test_a_wav_of_more_than_4_gib_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    sound = 2**32 + 200_000  # bytes; the size field holds what is beyond 2**32
    shape = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    header = struct.pack("<4sI4s", b"RIFF", 200_036, b"WAVE") + shape + struct.pack("<4sI", b"data", 200_000)
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(44 + sound - 2)  # sparse: it takes no room
        stream.seek(44 + sound - 2)
        stream.write(struct.pack("<h", 16384))
    with pytest.warns(RecordingNote, match="more than 4 GiB"):
        assert probe(path).frames == sound // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        end = load_audio(path, sample_rate=RATE, start_s=sound / 32_000 - 0.5)
    assert len(end) == 8_000 and end[-1] == 0.5 and not end[:-1].any()


def test_other_chunks_behind_the_sound_are_no_sound(tmp_path: Path) -> None:
    for behind in (b"LIST\x04\x00\x00\x00INFO", b"id3 \x03\x00\x00\x00abc\x00" + b"LIST\x04\x00\x00\x00INFO", bytes(8)):
        path = wav_of(tmp_path, 96_000, behind=behind)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert probe(path).frames == 48_000


def test_up_to_a_quarter_of_a_second_too_much_declared_is_read_with_a_note(tmp_path: Path) -> None:
    """As in 78 recordings of the Mboshi corpus, which declare 700 to 1,500 bytes more than there are."""
    path = wav_of(tmp_path, 96_000, cut=1500)
    with pytest.warns(RecordingNote, match=r"a\.wav: ends 0\.04\d s early"):
        assert probe(path).frames == 48_000 - 750
    with pytest.warns(RecordingNote):
        assert len(load_audio(path, sample_rate=RATE)) == 48_000 - 750
    for extension in ("aiff", "au", "caf", "w64", "rf64", "sph"):
        form = {"sph": "NIST", "rf64": "RF64"}.get(extension)
        soundfile.write(tmp_path / f"good.{extension}", tone(3.0, 300), RATE, format=form, subtype="PCM_16")
        (tmp_path / f"a.{extension}").write_bytes((tmp_path / f"good.{extension}").read_bytes()[:-1500])
        with pytest.warns(RecordingNote, match="early"):
            assert len(load_audio(tmp_path / f"a.{extension}", sample_rate=RATE)) == pytest.approx(47_250, abs=16)
    with pytest.raises(AudioError, match="cut short"):
        probe(wav_of(tmp_path, 96_000, cut=8_200))


@pytest.mark.parametrize("seconds", [3.0, 70.0])
def test_inverted_channels_do_not_cancel(tmp_path: Path, seconds: float) -> None:
    waveform = tone(seconds, 300)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([0.9 * waveform, -waveform], axis=1), RATE, subtype="FLOAT")
    with pytest.warns(RecordingNote, match="inverted copies of each other; channel 1 is read"):
        found = load_audio(path, sample_rate=RATE)
    np.testing.assert_allclose(found, -waveform, atol=1e-6)
    np.testing.assert_array_equal(load_audio(path, sample_rate=RATE, start_s=1.0, duration_s=1.0), found[16_000:32_000])
    np.testing.assert_allclose(mixed(np.stack([0.9 * waveform, -waveform], axis=1)), -waveform, atol=1e-6)
    soundfile.write(path, np.stack([waveform, tone(seconds, 700)], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(path, sample_rate=RATE), (waveform + tone(seconds, 700)) / 2, atol=1e-6)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.wma", "a.mp3", "a.m4a"])
def test_no_library_writes_to_standard_error(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    content = written(tmp_path, name, 3.0, 300).read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / f"damaged{Path(name).suffix}"
    for number in range(20):
        spoiled = bytearray(content)
        for place in generator.integers(0 if number % 2 else 60, len(content), int(generator.integers(1, 60))):
            spoiled[place] = int(generator.integers(256))
        path.write_bytes(spoiled if number % 3 else spoiled[: int(generator.integers(len(spoiled))) + 1])
        try:
            load_audio(path, max_duration_s=100)
        except AudioError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("head", ["ffe448c4", "fff348c4", "ffe300c4", "ffe3f8c4", "ffffffff"])
def test_nor_does_one_about_what_only_begins_like_an_mp3(
    tmp_path: Path, head: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.dat").write_bytes(bytes.fromhex(head) + bytes(3_000))
    with pytest.raises(AudioError):
        load_audio(tmp_path / "a.dat")
    assert capfd.readouterr().err == ""


def test_a_name_with_line_ends_and_escapes_stays_on_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[2Jasr: done.wav"
    path.write_bytes(b"hello")
    for read in (probe, load_audio):
        with pytest.raises(AudioError) as caught:
            read(path)
        assert "a\\n\\x1b[2Jasr: done.wav: is not audio" in str(caught.value) and "\x1b" not in str(caught.value)
