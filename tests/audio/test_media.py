"""Audio in media files: they behave as any recording does, and errors name the file."""

import builtins
import io
import re
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.audio import MEDIA_EXTENSIONS, load_audio, load_part, media, probe, stream_audio
from asr.audio.streaming import PushedSound, media_blocks
from asr.errors import AudioError, AudioFormatError

av = pytest.importorskip("av")

RATE = 16_000
SECONDS = 3.3
# extension: (PyAV's writer, codec, rate of the sound in the file)
KINDS = {
    "m4a": ("ipod", "aac", 44_100),
    "mp4": ("mp4", "aac", 48_000),
    "mov": ("mov", "pcm_s16le", 22_050),
    "mkv": ("matroska", "flac", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "aac": ("adts", "aac", 32_000),
    "wma": ("asf", "wmav2", 44_100),
}


def tone(rate: int, hz: float = 440.0) -> np.ndarray:
    """A tone that grows louder, so that its place in time can be seen: float32 `(samples,)`."""
    time_s = np.arange(int(SECONDS * rate)) / rate
    return (0.6 * time_s / SECONDS * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def write(
    path: Path,
    kind: str,
    *,
    channels: int = 1,
    video: bool = False,
    sound: bool = True,
    options: dict[str, str] | None = None,
) -> Path:
    """A media file of a tone, on the second channel one of another pitch; with black pictures if `video`."""
    writer, codec, rate = KINDS[kind]
    with av.open(str(path), "w", format=writer, options=options or {}) as container:
        pictures = container.add_stream("mpeg4" if writer != "webm" else "libvpx", rate=10) if video else None
        if pictures is not None:
            pictures.width = pictures.height = 32
            pictures.pix_fmt = "yuv420p"
        track = container.add_stream(codec, rate=rate, layout="stereo" if channels == 2 else "mono") if sound else None
        if pictures is not None:
            for number in range(int(SECONDS * 10)):
                picture = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p")
                picture.pts = number
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
        if track is not None:
            track.bit_rate = 128_000
            planar = np.stack([tone(rate), tone(rate, 1200.0)][:channels])
            frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout="stereo" if channels == 2 else "mono")
            frame.sample_rate, frame.pts = rate, 0
            resampler = av.AudioResampler(format=track.codec_context.format, layout=track.layout, rate=rate)
            fifo = av.AudioFifo()
            for converted in resampler.resample(frame):
                fifo.write(converted)
            size = track.codec_context.frame_size or 1024
            position = 0
            while (piece := fifo.read(size, partial=True)) is not None:
                piece.pts, piece.time_base = position, Fraction(1, rate)
                position += piece.samples
                container.mux(track.encode(piece))
            container.mux(track.encode(None))
    return path


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    length = min(len(one), len(other))
    return float(np.corrcoef(one[:length], other[:length])[0, 1])


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_sound_is_what_was_written(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a b'ü.{kind}", kind)
    waveform = load_audio(path, sample_rate=RATE)
    expected = tone(RATE)
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert len(waveform) / RATE == pytest.approx(SECONDS, abs=0.15)  # the codec's padding
    # a second is enough to find the lag; the whole is compared at it
    lag = int(np.correlate(waveform[: RATE + 2400], expected[:RATE], mode="valid").argmax())
    assert correlation(waveform[lag:], expected) > 0.97
    if kind not in ("wma", "aac"):  # these do not say how many samples the encoder put in front
        assert correlation(waveform, expected) > 0.98 and len(waveform) / RATE == pytest.approx(SECONDS, abs=0.03)
    assert np.abs(waveform).max() == pytest.approx(0.6, abs=0.1)
    assert f".{kind}" in MEDIA_EXTENSIONS


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_parts_and_streams_equal_the_whole(tmp_path: Path, kind: str, rate: int) -> None:
    path = write(tmp_path / f"a.{kind}", kind, channels=2)
    for channel in (None, 1):
        whole = load_audio(path, sample_rate=rate, channel=channel)
        streamed = list(stream_audio(path, sample_rate=rate, block_s=0.7, channel=channel))
        np.testing.assert_array_equal(np.concatenate(streamed), whole)
        for start_s, duration_s in ((0.0, 0.5), (1.234, 1.0), (2.9, 0.3)):
            part = load_audio(path, sample_rate=rate, start_s=start_s, duration_s=duration_s, channel=channel)
            first = round(start_s * rate)
            np.testing.assert_allclose(part, whole[first : round((start_s + duration_s) * rate)], atol=1e-5)
            assert len(part) == round((start_s + duration_s) * rate) - first


@pytest.mark.parametrize(("kind", "off"), [("m4a", 0), ("webm", 48)])
def test_a_late_part_to_listen_to_is_found_without_decoding_what_comes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, off: int
) -> None:
    monkeypatch.setattr(f"{__name__}.SECONDS", 20.0)
    monkeypatch.setitem(KINDS, "m4a", ("ipod", "aac", 16_000))
    path, rate = write(tmp_path / f"long.{kind}", kind), KINDS[kind][2]
    whole, plain = load_audio(path, sample_rate=rate), media.frame_samples
    decoded: list[int] = []

    def counted(frame: Any) -> np.ndarray:
        decoded.append(frame.samples)
        return plain(frame)

    monkeypatch.setattr(media, "frame_samples", counted)

    def place(part: np.ndarray, start_s: float) -> int:
        """Samples between where it is and where it should be, at most ``off``, where it equals the whole."""
        first = round(start_s * rate)
        shifts = [n for n in range(-off, off + 1) if np.array_equal(part, whole[first + n : first + n + len(part)])]
        return shifts[0]

    for start_s, duration_s in ((17.123, 2.0), (10.0, 1.5), (1.0, 2.0)):
        decoded.clear()
        part, found = load_part(path, start_s, duration_s)
        assert found == rate and len(part) == round((start_s + duration_s) * rate) - round(start_s * rate)
        assert abs(place(part, start_s)) <= off  # Matroska's times are whole milliseconds
        assert sum(decoded) < (duration_s + media.PREROLL_S + 6) * rate, "a cluster of Matroska lasts 5 s"
    assert abs(len(load_part(path, 19.0, 5.0)[0]) - (len(whole) - 19 * rate)) <= off
    with pytest.raises(AudioError, match=re.escape(f"{path}: the part from 50.000 s on is outside")):
        load_part(path, 50.0, 1.0)

    def no_seek(*_: Any, **__: Any) -> None:
        raise OSError("no index")

    monkeypatch.setattr(media._Container, "_seek", no_seek)
    np.testing.assert_array_equal(load_part(path, 17.123, 2.0)[0], whole[round(17.123 * rate) : round(19.123 * rate)])


@pytest.mark.parametrize("kind", ["wma", "aac", "mov"])
def test_a_part_to_listen_to_is_that_of_the_whole(tmp_path: Path, kind: str) -> None:
    path, rate = write(tmp_path / f"a.{kind}", kind, channels=2), KINDS[kind][2]
    whole = load_audio(path, sample_rate=rate)
    part, _ = load_part(path, 2.5, 0.5)
    np.testing.assert_array_equal(part, whole[round(2.5 * rate) : 3 * rate])


def test_the_facts_are_reported_and_agree_with_what_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path / "named.wav", "m4a", channels=2)  # recognised by content, not by name
    info = probe(path)
    assert (info.sample_rate, info.channels, info.format, info.subtype) == (44_100, 2, "MP4", "AAC")
    assert len(load_audio(path, sample_rate=44_100)) == info.frames
    assert info.duration_s == info.frames / 44_100
    assert len(load_audio(path, sample_rate=RATE)) == pytest.approx(info.frames * RATE / 44_100, abs=1)


def test_channels_are_chosen_or_mixed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mov", "mov", channels=2)
    left, right = (load_audio(path, sample_rate=22_050, channel=channel) for channel in (0, 1))
    assert correlation(left, tone(22_050)) > 0.999 and correlation(right, tone(22_050, 1200.0)) > 0.999
    np.testing.assert_allclose(load_audio(path, sample_rate=22_050), (left + right) / 2, atol=1e-6)
    with pytest.raises(AudioError, match="has no channel 2; it has 2"):
        load_audio(path, channel=2)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
def test_the_sound_of_a_video_is_read(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"v.{kind}", kind, video=True)
    waveform = load_audio(path, sample_rate=RATE)
    assert correlation(waveform, tone(RATE)) > 0.98
    assert len(waveform) / RATE == pytest.approx(SECONDS, abs=0.03)


def refusals(path: Path) -> list[str]:
    """The one message, which names the file, with which each way to read ``path`` refuses it."""
    messages = []
    for read in (probe, load_audio, lambda one: list(stream_audio(one))):
        with pytest.raises(AudioError) as caught:
            read(path)
        messages.append(str(caught.value))
        assert messages[-1].startswith(str(path)) and "\n" not in messages[-1]
    return messages


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
def test_a_video_without_sound_is_refused(tmp_path: Path, kind: str) -> None:
    for message in refusals(write(tmp_path / f"silent.{kind}", kind, video=True, sound=False)):
        assert re.search("has no audio track", message)


@pytest.mark.parametrize(
    ("kind", "share", "options", "words"),
    [
        ("m4a", 0.6, {}, "is not audio that can be read"),  # the index is at the end
        ("mp4", 0.5, {"movflags": "faststart"}, "damaged or cut|cut short"),
        ("mov", 0.5, {"movflags": "faststart"}, "damaged or cut|cut short"),
        ("mkv", 0.5, {}, "cut short: its header declares 3.3"),
        ("webm", 0.5, {}, "cut short: its header declares 3.3"),
        ("wma", 0.5, {}, "damaged or cut|cut short"),
        ("m4a", 0.001, {}, "is not audio|FFmpeg"),
    ],
)
def test_a_cut_file_is_refused(tmp_path: Path, kind: str, share: float, options: dict[str, str], words: str) -> None:
    whole = write(tmp_path / f"whole.{kind}", kind, options=options).read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(whole[: max(12, int(len(whole) * share))])
    for message in refusals(path):
        assert re.search(words, message)


@pytest.mark.parametrize("kind", ["m4a", "webm", "wma", "aac", "mkv"])
def test_any_damaged_bytes_give_audio_or_one_line(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path / f"whole.{kind}", kind).read_bytes()
    generator = np.random.default_rng(5)
    for number in range(12):
        spoiled = bytearray(whole)
        for place in generator.integers(12, len(whole), size=int(generator.integers(1, 60))):
            spoiled[place] = int(generator.integers(256))
        path = tmp_path / f"{number}.{kind}"
        path.write_bytes(spoiled)
        try:
            assert np.isfinite(load_audio(path, max_duration_s=60)).all()
        except AudioError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_a_playlist_in_disguise_reaches_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    for message in refusals(tmp_path / "a.m4a"):
        assert re.search("is not audio", message)


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"\x00\x00\x00\x20ftypM4A ", "an MP4"), (b"\x1aE\xdf\xa3", "a Matroska"), (b"0&\xb2u\x8e\x66", "Windows Media")],
)
def test_without_pyav_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, name: str
) -> None:
    real = builtins.__import__

    def without_pyav(module: str, *rest: Any, **more: Any) -> Any:
        if module == "av":
            raise ImportError("No module named 'av'")
        return real(module, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_pyav)
    (tmp_path / "a.m4a").write_bytes(head + bytes(100))
    for message in refusals(tmp_path / "a.m4a"):
        assert re.search(rf"is an? .*{name.split()[-1]}.*pip install 'asr-bilstm\[media\]'.*ffmpeg", message)
    with pytest.raises(AudioFormatError, match=r"standard input.*pip install 'asr-bilstm\[media\]'.*--rate HZ"):
        next(media_blocks(io.BytesIO(head), RATE))


@pytest.mark.parametrize(("kind", "reader"), [("ogg", "ogg"), ("webm", "matroska")])
def test_pushed_bytes_give_the_samples_of_the_file_as_soon_as_they_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reader: str
) -> None:
    monkeypatch.setitem(KINDS, "ogg", ("ogg", "libopus", 48_000))
    data = write(tmp_path / f"a.{kind}", kind).read_bytes()
    whole = np.concatenate(list(media_blocks(io.BytesIO(data), RATE, kind=reader)))
    assert correlation(whole[: int(SECONDS * RATE)], tone(RATE)[: len(whole)]) > 0.98
    for size in (997, len(data)):
        pushed, got = PushedSound(RATE, name="it", kind=reader), [0]
        parts: list[np.ndarray] = []
        for start in range(0, len(data), size):
            parts += pushed.feed(data[start : start + size])
            got.append(sum(map(len, parts)))
        assert max(map(len, parts)) < 1.1 * RATE and (size > 997 or got[len(got) // 2] > 0.8 * RATE)
        assert got[-1] > len(whole) - 0.05 * RATE, "all but what the resampler holds"
        parts += pushed.finish()
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        assert pushed.ended and list(pushed.feed(data)) == [] == list(pushed.finish())


def test_small_files_as_they_come_make_no_large_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "slow", ("matroska", "pcm_s16le", 100))
    slow = io.BytesIO(write(tmp_path / "slow.mkv", "slow").read_bytes())
    with pytest.raises(AudioError, match=r"^standard input: has a sample rate of 100 Hz"):
        list(media_blocks(slow, RATE))
    monkeypatch.setattr("asr.audio.streaming.begins_s", lambda container: -3000.25)
    late = io.BytesIO(write(tmp_path / "late.webm", "webm").read_bytes())
    lengths = [len(block) for block in media_blocks(late, RATE)]
    assert max(lengths) <= RATE and sum(lengths) / RATE == pytest.approx(3000.25 + SECONDS, abs=0.1)


def test_pushed_sound_ends_its_thread_however_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.audio.streaming._MOST_SILENT", 100_000)
    data = write(tmp_path / "a.webm", "webm").read_bytes()

    def pushed() -> PushedSound:
        return PushedSound(RATE, name="it", kind="matroska")

    for wrong in (b"no sound " * 9999, data[:40] + b"\xff" * 400_000):
        with pytest.raises(AudioError, match=r"^it: "):
            list(pushed().feed(wrong))
    empty = PushedSound(RATE, name="it", kind="ogg")
    with pytest.raises(AudioError, match=r"^it: 0\.1 MB came without any sound"):
        for _ in range(30):
            list(empty.feed(b"OggS" + bytes(9_996)))
    begun, waiting, unused = pushed(), pushed(), pushed()
    next(begun.feed(data))  # and no more of it
    assert begun.ended
    list(waiting.feed(data[:1000]))
    for one in (begun, waiting, unused, empty):
        one.close()
    ends_s = time.monotonic() + 60
    while any(thread.name == "asr-decode" for thread in threading.enumerate()):
        assert time.monotonic() < ends_s
        time.sleep(0.01)
