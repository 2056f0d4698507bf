"""Many recordings at once: same results, same order however many work; errors in their place, no thread left."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch

from asr.errors import AsrError, AudioError, ConfigError, InternalError
from asr.pretrained import save_pretrained
from asr.recognition import Hypothesis, Recognizer
from asr.recognition import pool as pool_module
from asr.recognition import reading as reading_module
from asr.recognition import windows as windows_module
from asr.recognition.pool import Pool
from asr.recognition.reading import Reader, source_of
from asr.recognition.speech_gate import STEP_S, WINDOW_S
from asr.recognition.windows import Emissions, Window, WindowSizes, cut_emissions
from tests.random_model import RATE, random_model


def make_recognizer(**options: Any) -> Recognizer:
    """Random, sharpened weights, and windows so short that seconds are long recordings."""
    sizes = WindowSizes.of(0.01, 2, longest_s=1.4, core_s=(0.5, 0.8), context_s=0.3)
    return Recognizer(random_model(), torch.device("cpu"), **{"speech_gate": False, "sizes": sizes, **options})


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return make_recognizer()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Recordings from a tenth of a second to many windows, longest in the middle."""
    folder = tmp_path_factory.mktemp("files")
    made = []
    for index, seconds in enumerate([0.3, 2.0, 0.1, 9.7, 1.4, 0.5, 3.3, 1.41]):
        generator = np.random.default_rng(index)
        level = np.repeat(generator.uniform(0, 0.5, int(seconds * 20) + 1), RATE // 20)[: int(seconds * RATE)]
        made.append(folder / f"{index}.wav")
        sound = level * np.cumsum(generator.standard_normal(level.size)) / 50
        soundfile.write(made[-1], sound.clip(-1, 1).astype(np.float32), RATE, subtype="FLOAT")
    return made


def workers_alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("asr-worker")]


@pytest.mark.parametrize(("workers", "batch_s"), [(1, 0.01), (1, 60.0), (2, 2.0), (3, 5.0), (4, 0.5)])
def test_workers_and_batches_change_no_text(
    recognizer: Recognizer, files: list[Path], workers: int, batch_s: float
) -> None:
    alone = [recognizer.transcribe(path) for path in files]
    found = list(recognizer.transcribe_files(files, workers=workers, batch_s=batch_s))
    assert [path for path, _ in found] == files
    assert [hypothesis.text for _, hypothesis in found] == [one.text for one in alone]  # type: ignore[union-attr]
    assert [hypothesis.duration_s for _, hypothesis in found] == [one.duration_s for one in alone]  # type: ignore[union-attr]
    assert len({one.text for one in alone}) == len(files)
    assert not workers_alive()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_bad_file_has_its_error_in_its_place(
    recognizer: Recognizer, files: list[Path], tmp_path: Path, workers: int
) -> None:
    (tmp_path / "bad.wav").write_text("no audio")
    whole = files[3].read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    paths = [tmp_path / "absent.wav", files[0], tmp_path / "bad.wav", tmp_path / "cut.wav", *files[1:]]
    found = [one for _, one in recognizer.transcribe_files(paths, workers=workers, batch_s=2.0)]
    assert [isinstance(one, AudioError) for one in found] == [True, False, True, True] + [False] * 7
    assert "bad.wav" in str(found[2])
    texts = [one.text for one in found[4:] if not isinstance(one, AsrError)]
    assert texts == [recognizer.transcribe(path).text for path in files[1:]]


def test_damage_found_when_half_is_read_takes_no_other_with_it(recognizer: Recognizer, files: list[Path]) -> None:
    class Damaged:
        """A reader whose file breaks after its second window."""

        def __init__(self, reader: Any) -> None:
            self.reader = reader

        def windows(self) -> Iterator[Window]:
            for number, window in enumerate(self.reader.windows()):
                if number == 2:
                    raise AudioError("broken in the middle")
                yield window

        def stop(self) -> None:
            self.reader.stop()

    readers = [recognizer._reader(source_of(path, recognizer.sample_rate)) for path in files]
    readers[3] = Damaged(readers[3])  # type: ignore[call-overload]
    found = list(make_pool(readers, workers=2).results())
    assert isinstance(found[3], AudioError)
    assert [isinstance(one, AsrError) for one in found].count(True) == 1
    assert not isinstance(found[1], AsrError) and found[1] > 1, "long recordings come in several windows"


def make_pool(readers: Sequence[Any], workers: int, compute: Any = None) -> Pool[int]:
    """A pool whose result is the number of windows."""
    return Pool(
        readers, compute or (lambda windows: [np.zeros((1, 2), np.float32) for _ in windows]),
        lambda reader, parts: len(parts), workers=workers, batch_frames=100,
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 3])
def test_closing_early_stops_the_workers(recognizer: Recognizer, files: list[Path], workers: int) -> None:
    results = recognizer.transcribe_files(files * 20, workers=workers, batch_s=1.0)
    next(results)
    results.close()
    assert not workers_alive()


def test_an_error_that_is_none_of_ours_is_raised_and_no_thread_stays(recognizer: Recognizer, files: list[Path]) -> None:
    def broken(windows: Sequence[Window]) -> list[Any]:
        raise RuntimeError("out of memory")

    readers = [recognizer._reader(source_of(path, recognizer.sample_rate)) for path in files]
    with pytest.raises(RuntimeError, match="out of memory"):
        list(make_pool(readers, 2, broken).results())
    assert not workers_alive()


def test_what_is_held_is_bounded_however_many_and_long_the_recordings() -> None:
    batch_frames, workers = 50, 1
    held, most = 0, 0

    class Long:
        """A recording of 1000 windows that counts what is out of it and not computed yet."""

        def windows(self) -> Iterator[Window]:
            nonlocal held, most
            for _ in range(1000):
                held, most = held + 10, max(most, held + 10)
                yield Window(np.zeros((10, 2), np.float32), 0, 10)

        def stop(self) -> None: ...

    def compute(windows: Sequence[Window]) -> list[Any]:
        nonlocal held
        held -= 10 * len(windows)
        return [np.zeros((1, 2), np.float32) for _ in windows]

    pool: Pool[int] = Pool(
        [cast(Reader, Long()) for _ in range(7)],
        compute,
        lambda reader, parts: len(parts),
        workers=workers,
        batch_frames=batch_frames,
    )
    assert list(pool.results()) == [1000] * 7
    assert most <= 4 * workers * batch_frames + 6000 * 3, "two pools, and the reading steps under way"


def test_progress_ends_at_the_whole_length(recognizer: Recognizer, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_text("no audio")
    seen: list[tuple[float, float]] = []
    paths = [*files, tmp_path / "bad.wav"]
    list(recognizer.transcribe_files(paths, progress=lambda *one: seen.append(one), workers=2, batch_s=2.0))
    total_s = sum(soundfile.info(path).duration for path in files)
    assert seen[-1] == pytest.approx((total_s, total_s))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and all(done <= total for done, total in seen)
    assert len(seen) > len(paths)


@pytest.mark.parametrize("workers", [1, 3])
def test_split_channels_are_what_each_is_by_itself(
    recognizer: Recognizer, files: list[Path], tmp_path: Path, workers: int
) -> None:
    left, right = (soundfile.read(files[index], dtype="float32")[0] for index in (3, 6))
    sound = np.stack([left, np.pad(right, (0, len(left) - len(right)))], axis=1)
    soundfile.write(tmp_path / "call.wav", sound, RATE, subtype="FLOAT")
    (tmp_path / "bad.wav").write_bytes(b"RIFF and nothing behind")
    paths, seen = [files[0], tmp_path / "bad.wav", tmp_path / "call.wav"], [(0.0, 0.0)]
    found = recognizer.transcribe_files(
        paths, channel="split", workers=workers, progress=lambda done_s, total_s: seen.append((done_s, total_s))
    )
    mono, bad, call = (result for _, result in found)
    assert seen[-1] == pytest.approx((0.3 + 2 * 9.7, 0.3 + 2 * 9.7), abs=1e-3)
    assert isinstance(bad, AudioError) and isinstance(mono, Hypothesis) and isinstance(call, Hypothesis)
    assert [one.text for one in mono.channels] == [recognizer.transcribe(files[0]).text] == [mono.text]
    alone = [recognizer.transcribe(paths[2], channel=channel) for channel in (0, 1)]
    in_memory = recognizer.transcribe(sound, RATE, channel="split")
    for split in (call, in_memory):
        assert [one.text for one in split.channels] == [one.text for one in alone]
        times = [[(word.text, word.start_s, word.end_s) for word in one.words] for one in split.channels]
        assert times == [[(word.text, word.start_s, word.end_s) for word in one.words] for one in alone]
        assert len(split.words) == sum(map(len, times)) and split.duration_s == 9.7
        assert all(one.start_s <= other.start_s for one, other in pairwise(split.words))
        assert sorted(split.text.split()) == sorted(" ".join(one.text for one in alone).split())
    assert alone[1].text == recognizer.transcribe(sound, RATE, channel=1).text != alone[0].text


def test_channels_and_tracks_that_are_none_are_refused(recognizer: Recognizer, files: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"channel='both' must be a number from 0 on or \"split\", or None"):
        recognizer.transcribe(files[0], channel="both")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="track=-1 must be a number"):
        recognizer.transcribe(files[0], track=-1)
    with pytest.raises(ConfigError, match="track=0 is for files"):
        recognizer.transcribe(np.zeros(800, np.float32), RATE, track=0)
    with pytest.raises(AudioError, match="no channel 2; the samples have 2"):
        recognizer.transcribe(np.zeros((800, 2), np.float32), RATE, channel=2)


def test_emissions_decode_to_what_transcribe_says(recognizer: Recognizer, files: list[Path]) -> None:
    emissions = list(recognizer.emissions([*files, np.zeros(0, np.float32)]))
    texts = [recognizer.decode(one).text for one in emissions[:-1] if not isinstance(one, AsrError)]
    assert texts == [recognizer.transcribe(path).text for path in files]
    last = emissions[-1]
    assert not isinstance(last, AsrError) and last.log_probs.shape == (0, recognizer.tokenizer.vocab_size)
    assert emissions[0].frame_s == pytest.approx(0.02)  # type: ignore[union-attr]


class GuessedSpeech:
    """A speech gate's tracker that finds speech in stretches of seconds, by chance."""

    def __init__(self, rate: int, seed: int) -> None:
        self.rate, self.samples = rate, 0
        self.odds = np.random.default_rng(seed).choice([-9.0, -0.2, 9.0], 400, p=[0.75, 0.15, 0.1]).repeat(8)

    def push(self, block: np.ndarray) -> None:
        self.samples += len(block)

    def log_odds(self, ended: bool = True) -> np.ndarray:
        windows = int((self.samples / self.rate - WINDOW_S) / STEP_S) + 1
        return self.odds[: max(1, windows)]


@pytest.mark.parametrize(("workers", "seed"), [(1, 7), (3, 9)])
def test_a_long_recording_is_decoded_while_it_is_read_as_if_it_were_there_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, seed: int
) -> None:
    monkeypatch.setattr(windows_module, "PART_S", 2.0)
    monkeypatch.setattr(windows_module, "PAUSE_S", 0.1)
    monkeypatch.setattr(pool_module, "TAKE_WINDOWS", 4)
    monkeypatch.setattr(reading_module, "SignalTracker", lambda rate: GuessedSpeech(rate, seed))
    generator = np.random.default_rng(3)
    sound = np.repeat(generator.uniform(0, 0.5, 1600), RATE // 20) * generator.standard_normal(80 * RATE) / 3
    soundfile.write(tmp_path / "long.wav", sound.clip(-1, 1).astype(np.float32), RATE, subtype="FLOAT")
    recognizer = make_recognizer(speech_gate=True)
    (whole,) = recognizer.emissions([tmp_path / "long.wav"])
    assert not isinstance(whole, AsrError)
    expected, decode, lengths = recognizer.decode(whole), recognizer.decode, list[float]()
    assert len(cut_emissions(whole)) > 6 and len(expected.words) > 8

    def watched(emissions: Emissions) -> Hypothesis:
        lengths.append(emissions.duration_s)
        return decode(emissions)

    monkeypatch.setattr(recognizer, "decode", watched)
    ((_, found),) = recognizer.transcribe_files([tmp_path / "long.wav"], workers=workers, batch_s=2.0)
    assert len(lengths) > 3 and max(lengths) < 40
    assert isinstance(found, Hypothesis) and found.text == expected.text
    assert found.score == pytest.approx(expected.score) and found.confidence == pytest.approx(expected.confidence)
    assert found.duration_s == pytest.approx(expected.duration_s)
    for one, other in zip(found.words, expected.words, strict=True):
        assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=1e-5)


def test_an_error_in_a_part_is_its_recordings_and_ends_the_reading(recognizer: Recognizer, files: list[Path]) -> None:
    def broken(reader: Reader, parts: list[Any]) -> list[Any]:
        raise AudioError("broken part")

    readers = [recognizer._reader(source_of(path, recognizer.sample_rate)) for path in [files[0], files[3], files[1]]]
    pool: Pool[int] = Pool(
        readers, lambda windows: [np.zeros((1, 2), np.float32) for _ in windows], lambda reader, parts: len(parts),
        workers=2, batch_frames=100, take=broken,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, "TAKE_WINDOWS", 4)
        patch.setattr(pool_module, "STEP_FRAMES", 100)
        found = list(pool.results())
    assert [type(one) for one in found] == [int, AudioError, int]


def test_threads_of_the_caller_are_as_before(recognizer: Recognizer, files: list[Path]) -> None:
    before = torch.get_num_threads()
    list(recognizer.transcribe_files(files, workers=2))
    assert torch.get_num_threads() == before


def test_threads_that_begin_after_two_transcriptions_at_a_time_compute_as_those_before(
    recognizer: Recognizer, files: list[Path]
) -> None:
    """The second begins, in a thread of its own, while the first one's workers have set their threads to 1."""

    def threads_of_a_new_thread() -> int:
        with ThreadPoolExecutor(1) as new:
            return new.submit(torch.get_num_threads).result()

    def transcribe_more() -> list[Any]:
        results = recognizer.transcribe_files(files, workers=2)
        seen = [next(results)]
        both_run.set()
        first_is_over.wait(60)
        return [*seen, *results]

    before, both_run, first_is_over = torch.get_num_threads(), threading.Event(), threading.Event()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as other:
            results = recognizer.transcribe_files(files, workers=2)
            seen = [next(results)]
            second = other.submit(transcribe_more)
            assert both_run.wait(60)
            seen += results
            first_is_over.set()
            assert second.result() == seen
        assert threads_of_a_new_thread() == 2
    finally:
        torch.set_num_threads(before)


SCRIPT = """
import sys, time
from asr.recognition import Recognizer
recognizer = Recognizer.from_pretrained(sys.argv[1], device="cpu")
print("ready", flush=True)
for path, hypothesis in recognizer.transcribe_files([sys.argv[2]] * 100_000, workers=2):
    print("x", flush=True)
"""


def test_ctrl_c_ends_it_promptly(recognizer: Recognizer, files: list[Path], tmp_path: Path) -> None:
    pretrained = recognizer
    save_pretrained(tmp_path / "model", pretrained.features, pretrained.model, pretrained.tokenizer, {})
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "model"), str(files[6])],
        env=os.environ | {"PYTHONPATH": str(root)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "x\n"]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130) and "KeyboardInterrupt" in errors


@pytest.mark.parametrize("at", ["reading", "decoding"])
def test_an_exception_that_nobody_expected_is_the_fault_of_its_recording(
    recognizer: Recognizer, files: list[Path], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    from asr.recognition import reading

    def broken(*anything: Any) -> Any:
        raise ValueError("nobody\nthought of this")

    good = [recognizer.transcribe(path).text for path in files]
    source = reading.file_source

    def one_bad(path: Path, *given: Any) -> Any:
        made = source(path, *given)
        return dataclasses.replace(made, blocks=broken) if path == files[3] else made

    if at == "reading":
        monkeypatch.setattr(reading, "file_source", one_bad)
    else:
        decode = recognizer.decode
        monkeypatch.setattr(recognizer, "decode", lambda one: broken() if one.duration_s > 9 else decode(one))
    results = [result for _, result in recognizer.transcribe_files(files, workers=2)]
    error = results[3]
    assert isinstance(error, InternalError)
    assert str(files[3]) in str(error) and "ValueError: nobody thought of this" in str(error)
    assert isinstance(error.__cause__, ValueError)
    assert [one.text for one in results if not isinstance(one, AsrError)] == good[:3] + good[4:]


def test_a_disk_that_fails_is_an_error_of_the_recording_and_full_memory_is_everybodys(
    recognizer: Recognizer, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(error: Exception) -> None:
        def blocks(*anything: Any, **options: Any) -> Any:
            raise error

        monkeypatch.setattr("asr.recognition.reading.stream_audio", blocks)

    fails(OSError(5, "Input/output error"))
    ((_, result),) = recognizer.transcribe_files(files[:1])
    assert isinstance(result, AudioError) and f"{files[0]}: cannot be read (Input/output error)" in str(result)
    fails(MemoryError())
    with pytest.raises(MemoryError):
        list(recognizer.transcribe_files(files[:1]))
    assert not workers_alive()
