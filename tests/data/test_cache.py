"""The cache of decoded audio gives the bits that decoding gives, whatever is in its file and whoever else uses it."""

import copy
import dataclasses
import fcntl
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from asr.data import cache as cache_module
from asr.data.batching import Request
from asr.data.cache import AudioCache
from asr.data.dataset import SpeechDataset, load_batches
from asr.data.manifest import Utterance
from asr.data.recordings import load_utterance
from asr.errors import AudioError

RATE = 8000
HEADER = 36  # bytes before the samples of an entry
START = 16  # bytes before the first entry
FORK = multiprocessing.get_context("fork")


def recording(path: Path, samples: NDArray[np.floating], subtype: str = "PCM_16", rate: int = RATE) -> Utterance:
    soundfile.write(path, samples, rate, subtype=subtype)
    return Utterance(id=path.name, audio=str(path), duration_s=len(samples) / rate, text="")


@pytest.fixture
def noise(tmp_path: Path) -> list[Utterance]:
    """Eight 16-bit recordings of 1000, 1001, ... samples."""
    generator = np.random.default_rng(0)
    return [
        recording(tmp_path / f"{number}.wav", generator.uniform(-1, 1, 1000 + number).clip(-1, 1))
        for number in range(8)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def assert_equals_decoding(cache: AudioCache, utterances: Sequence[Utterance], rate: int = RATE) -> None:
    for utterance in utterances:
        assert cache.load(utterance, rate).tobytes() == load_utterance(utterance, rate).tobytes()


def no_decoding(patch: pytest.MonkeyPatch) -> None:
    def fail(utterance: Utterance, rate: int) -> None:
        raise AssertionError(f"{utterance.audio} was decoded")

    patch.setattr(cache_module, "load_utterance", fail)


def stored(path: Path, utterances: Sequence[Utterance], rate: int = RATE) -> list[NDArray[np.float32] | None]:
    """What another process finds in the file for each, None where it would decode."""
    missing = np.zeros(0, np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "load_utterance", lambda utterance, rate: missing)
        found = [AudioCache(path, 1).load(utterance, rate) for utterance in utterances]
    return [None if one is missing else one for one in found]


def test_every_kind_of_recording_comes_back_to_the_bit_without_decoding(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(1)
    loud, stereo = generator.uniform(-1, 1, 4000), generator.uniform(-1, 1, (4000, 2))
    edges = np.array([0.0, -0.0, 1.0, -1.0, 1.5, -2.0, np.pi / 4, 1e-30, 2.0**-15], np.float32)
    two = recording(tmp_path / "stereo.flac", stereo)
    utterances = [
        recording(tmp_path / "16-bit.wav", loud),
        recording(tmp_path / "24-bit.flac", loud, "PCM_24"),
        recording(tmp_path / "float.wav", np.tile(edges, 20), "FLOAT"),
        recording(tmp_path / "lossy.ogg", loud, "OPUS"),
        recording(tmp_path / "lossy.mp3", loud, "MPEG_LAYER_III"),
        recording(tmp_path / "resampled.wav", loud, rate=16000),
        *(dataclasses.replace(two, channel=channel) for channel in (None, 0, 1)),
        *(dataclasses.replace(two, start_s=start_s, duration_s=0.1) for start_s in (0.0, 0.05, 0.2)),
    ]
    cache = AudioCache(file, 1)
    expected = [load_utterance(utterance, RATE) for utterance in utterances]
    assert_equals_decoding(cache, utterances)
    no_decoding(monkeypatch)
    for user in (cache, AudioCache(file, 1), pickle.loads(pickle.dumps(cache))):
        for utterance, waveform in zip(utterances, expected, strict=True):
            again = user.load(utterance, RATE)
            assert again.dtype == np.float32 and again.tobytes() == waveform.tobytes(), utterance.id
            again[:] = 0  # what is handed out may be changed


def test_samples_of_16_bits_take_two_bytes_and_others_four(tmp_path: Path, file: Path) -> None:
    cache, loud = AudioCache(file, 1), np.random.default_rng(1).uniform(-1, 1, 4000)
    cache.load(recording(tmp_path / "16-bit.wav", loud), RATE)
    assert file.stat().st_size == START + HEADER + 2 * 4000
    cache.load(recording(tmp_path / "24-bit.wav", loud, "PCM_24"), RATE)
    assert file.stat().st_size == START + 2 * HEADER + 6 * 4000


def test_a_changed_recording_is_decoded_again_and_an_absent_one_is_the_error_it_always_is(
    noise: list[Utterance], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, one = AudioCache(file, 1), noise[0]
    before = cache.load(one, RATE)
    recording(Path(one.audio), np.zeros(1000))
    os.utime(one.audio, ns=(1, 1))  # as large as before
    assert not cache.load(one, RATE).any() and before.any()
    size = file.stat().st_size
    assert_equals_decoding(cache, [one], 16000)
    assert file.stat().st_size > size, "another sample rate is another entry"
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "decoder_versions", lambda: ("other",))
        size = file.stat().st_size
        assert_equals_decoding(cache, [one])
        assert file.stat().st_size > size, "so is another version of a decoder"
    Path(one.audio).unlink()
    with pytest.raises(AudioError, match=r"0\.wav"):
        cache.load(one, RATE)


def test_a_recording_that_changes_while_it_is_decoded_is_not_stored(
    noise: list[Utterance], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rewritten_meanwhile(utterance: Utterance, rate: int) -> NDArray[np.float32]:
        os.utime(utterance.audio, ns=(1, 1))
        return load_utterance(utterance, rate)

    monkeypatch.setattr(cache_module, "load_utterance", rewritten_meanwhile)
    AudioCache(file, 1).load(noise[0], RATE)
    assert not file.exists()


def test_the_file_keeps_within_its_limit_and_what_does_not_fit_is_decoded(noise: list[Utterance], file: Path) -> None:
    limit = START + 3 * HEADER + 2 * (1000 + 1001 + 1002)
    cache = AudioCache(file, limit / 1e6)
    for _ in range(2):
        assert_equals_decoding(cache, noise)
        assert file.stat().st_size == limit
    assert [one is None for one in stored(file, noise)] == [False] * 3 + [True] * 5
    assert_equals_decoding(AudioCache(file.with_name("none"), 0), noise)
    assert not file.with_name("none").exists(), "a limit of 0 is no cache"


def test_some_of_the_disk_is_left_free(noise: list[Utterance], file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(file.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(0.04 * usage.total)))
    assert_equals_decoding(AudioCache(file, 1), noise)
    assert file.stat().st_size == START


def test_a_full_file_starts_over_only_where_most_of_it_is_of_other_recordings(
    noise: list[Utterance], file: Path
) -> None:
    limit_mb = (START + 4 * HEADER + 2 * 4010) / 1e6
    AudioCache(file, limit_mb).start_over_if_stale(noise, RATE)
    assert not file.exists()
    assert_equals_decoding(AudioCache(file, limit_mb), noise[:4])
    size, reading = file.stat().st_size, AudioCache(file, limit_mb)
    assert_equals_decoding(reading, noise[:4])
    for here in (noise[:1], noise[:4], noise[1:8]):  # nothing lacks; nothing lacks; most of it is used
        AudioCache(file, limit_mb).start_over_if_stale(here, RATE)
        assert file.stat().st_size == size
    AudioCache(file, limit_mb).start_over_if_stale(noise[3:], RATE)
    assert file.stat().st_size == START
    assert_equals_decoding(AudioCache(file, limit_mb), noise[4:])
    assert_equals_decoding(reading, noise)  # by a process that knew the file as it was
    AudioCache(file, limit_mb / 2).start_over_if_stale(noise[4:], RATE)
    assert file.stat().st_size == START, "a lower limit holds for a file from before as well"


def test_cut_at_any_byte_or_with_any_byte_wrong_it_gives_the_same_waveforms_and_recovers(
    noise: list[Utterance], tmp_path: Path
) -> None:
    """As a kill, a power cut or a bad disk may leave it. Around each boundary every byte, and some in the samples."""
    few, whole, file = noise[:3], tmp_path / "whole", tmp_path / "broken"
    assert_equals_decoding(AudioCache(whole, 1), few)
    data, known = whole.read_bytes(), AudioCache(file, 1)
    places = {0, len(data) - 1}
    start = START
    for number in range(3):
        places |= {start - 1, *range(start, start + HEADER + 2), start + HEADER + 999}
        start += HEADER + 2 * (1000 + number)
    for place in sorted(places):
        wrong = bytearray(data)
        wrong[place] ^= 0x5A
        for broken in (data[:place], bytes(wrong), data[:place] + bytes(len(data) - place)):
            file.write_bytes(broken)
            assert_equals_decoding(known, few)  # by a process that has read it before
            assert_equals_decoding(AudioCache(file, 1), few)
            found = stored(file, few)
            assert all(waveform is not None for waveform in found), (place, len(broken))


def test_where_it_cannot_be_written_everything_is_decoded(noise: list[Utterance], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "file" / "cache", tmp_path / "folder"):
        cache = AudioCache(place, 1)
        cache.start_over_if_stale(noise, RATE)
        assert_equals_decoding(cache, noise)


def test_a_process_that_is_writing_is_not_waited_for(noise: list[Utterance], file: Path) -> None:
    cache = AudioCache(file, 1)
    cache.load(noise[0], RATE)
    with file.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert_equals_decoding(cache, noise)
    assert [one is None for one in stored(file, noise)] == [False] + [True] * 7
    assert_equals_decoding(cache, noise)
    assert None not in [None if one is None else 1 for one in stored(file, noise)]


def load_all_in_some_order(file: Path, utterances: list[Utterance], seed: int, rounds: int) -> None:
    cache = AudioCache(file, 1)
    for number in range(rounds):
        for index in np.random.default_rng([seed, number]).permutation(len(utterances)):
            waveform = cache.load(utterances[index], RATE)
            if waveform.tobytes() != load_utterance(utterances[index], RATE).tobytes():
                os._exit(3)


def test_processes_that_write_at_once_and_are_killed_leave_a_file_that_others_go_on_with(
    noise: list[Utterance], file: Path
) -> None:
    for attempt in range(6):
        file.unlink(missing_ok=True)
        arguments = [(file, noise, 10 * attempt + number, 10**9) for number in range(3)]
        writers = [FORK.Process(target=load_all_in_some_order, args=one, daemon=True) for one in arguments]
        for writer in writers:
            writer.start()
        time.sleep(0.01 * attempt)
        for writer in writers:
            os.kill(writer.pid or 0, signal.SIGKILL)
            writer.join()
            assert writer.exitcode == -signal.SIGKILL, "no wrong waveform until then"
        load_all_in_some_order(file, noise, 0, 2)
        assert all(one is not None for one in stored(file, noise))
        assert file.stat().st_size <= START + 8 * HEADER + 2 * sum(range(1000, 1008)), "each is stored once"


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_with_and_without_it_and_workers_leave_it_to_the_next_epoch(
    noise: list[Utterance], file: Path, workers: int
) -> None:
    plan = [[Request(index, 0, 1.0) for index in row] for row in ([3, 1], [6, 2], [0, 5], [4, 7])]
    without = list(load_batches(SpeechDataset(noise, [[]] * 8, RATE, 0), plan, 0))
    cached = SpeechDataset(noise, [[]] * 8, RATE, 0, load=AudioCache(file, 1).load)
    for _ in range(3):
        batches = [copy.deepcopy(batch) for batch in load_batches(cached, plan, workers)]
        for one, other in zip(batches, without, strict=True):
            assert one.waveforms.numpy().tobytes() == other.waveforms.numpy().tobytes() and one.indices == other.indices
    assert all(one is not None for one in stored(file, noise))
