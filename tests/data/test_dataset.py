"""Requests become the same batches whatever reads them, and the error of a bad file names it."""

import copy
import errno
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from asr.data.batching import Request
from asr.data.dataset import Batch, SpeechDataset, collate, load_batches
from asr.data.manifest import Utterance
from asr.data.recordings import load_utterance
from asr.errors import AudioError, DataError
from tests.forked import Forked

RATE = 8000
ENDS_IN_MID_PLAN = """
import sys
from asr.data.batching import Request
from asr.data.dataset import SpeechDataset, load_batches
from asr.data.manifest import Utterance
utterance = Utterance(id="a", audio=sys.argv[1], duration_s=0.2, text="")
batches = load_batches(SpeechDataset([utterance], [[]], 8000, 0), [[Request(0, 0, 1.0)]] * 40, 2)
next(batches)
raise RuntimeError("something unexpected")
"""
Waveform = NDArray[np.float32]


def noisy(waveform: Waveform, speed: float, generator: np.random.Generator) -> Waveform:
    """A change that shows the speed and every draw."""
    changed: Waveform = (waveform * speed + generator.standard_normal(waveform.shape)).astype(np.float32)
    return changed


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    generator = np.random.default_rng(0)
    made = []
    for index in range(7):
        path, samples = tmp_path / f"take {index}.wav", RATE // 4 + 100 * index
        soundfile.write(path, generator.uniform(-0.5, 0.5, samples), RATE, subtype="FLOAT")
        made.append(Utterance(id=str(index), audio=str(path), duration_s=samples / RATE, text="ab"))
    return made


def make_dataset(utterances: list[Utterance], seed: int = 3) -> SpeechDataset:
    return SpeechDataset(utterances, [[one + 1] for one in range(len(utterances))], RATE, seed, noisy)


def make_plan(epoch: int = 1) -> list[list[Request]]:
    rows = [[3, 1], [6], [0, 5, 2], [4]]
    return [[Request(index, epoch, 0.9 if index % 2 else 1.1) for index in row] for row in rows]


def read(utterances: list[Utterance], workers: int, epoch: int = 1, seed: int = 3) -> list[Batch]:
    batches = load_batches(make_dataset(utterances, seed), make_plan(epoch), workers)
    return [copy.deepcopy(batch) for batch in batches]


def assert_equal(one: Batch, other: Batch) -> None:
    assert torch.equal(one.waveforms, other.waveforms) and torch.equal(one.lengths, other.lengths)
    assert one.targets == other.targets and one.indices == other.indices


def test_batches_come_in_the_plans_order_to_the_bit_with_any_number_of_workers(utterances: list[Utterance]) -> None:
    alone = read(utterances, 0)
    assert [batch.indices for batch in alone] == [[request.index for request in row] for row in make_plan()]
    for workers in (1, 2):
        for one, other in zip(alone, read(utterances, workers), strict=True):
            assert_equal(one, other)


def test_the_rest_of_a_plan_is_what_the_whole_would_have_given(utterances: list[Utterance]) -> None:
    """Exact resume: the draws of an utterance follow from seed, epoch and index alone, not from what came before."""
    whole = read(utterances, 0)
    rest = list(load_batches(make_dataset(utterances), make_plan()[2:], 0))
    for one, other in zip(whole[2:], rest, strict=True):
        assert_equal(one, other)


def test_epochs_and_seeds_draw_again(utterances: list[Utterance]) -> None:
    first = read(utterances, 0)[0].waveforms
    assert not torch.equal(first, read(utterances, 0, epoch=2)[0].waveforms)
    assert not torch.equal(first, read(utterances, 0, seed=4)[0].waveforms)


def test_without_a_change_the_recording_itself_arrives(utterances: list[Utterance]) -> None:
    dataset = SpeechDataset(utterances, [[] for _ in utterances], RATE, 0)
    batch = next(load_batches(dataset, [[Request(2, 0, 0.9)]], 0))
    recorded, _ = soundfile.read(utterances[2].audio, dtype="float32")
    assert np.array_equal(batch.waveforms[0].numpy(), recorded)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_arrives_as_its_own_error(utterances: list[Utterance], workers: int) -> None:
    damaged = Path(utterances[5].audio)
    damaged.write_bytes(b"RIFF" + b"\1" * 50)
    batches = load_batches(make_dataset(utterances), make_plan(), workers)
    assert [next(batches).indices for _ in range(2)] == [[3, 1], [6]], "what comes before it is read"
    with pytest.raises(AudioError, match=r"take 5\.wav") as caught:
        next(batches)
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children(), "the readers end with the error, not when it is forgotten"


def test_readers_end_when_their_batches_are_no_longer_wanted(utterances: list[Utterance]) -> None:
    batches = load_batches(make_dataset(utterances), make_plan(), 2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # torch's own, of its half-made loader
def test_no_reader_is_left_where_one_cannot_be_started(
    utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, forks = os.fork, itertools.count(1)

    def failing() -> int:
        if next(forks) == 2:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", failing)
    with pytest.raises(OSError, match="temporarily unavailable") as caught:
        next(load_batches(make_dataset(utterances), make_plan(), 2))
    assert caught and not multiprocessing.active_children(), "they end with the error, not when it is forgotten"


@pytest.mark.parametrize(
    ("act", "stuck_s", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), 600.0, "a worker process was killed, perhaps because memory"),
        (lambda: time.sleep(60), 1.0, r"no batch came for 1 s; a worker process is stuck, .*, with .*take 6\.wav; see"),
    ],
    ids=["killed", "stuck"],
)
def test_a_worker_that_is_killed_or_stuck_ends_the_reading_with_what_to_do(
    utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], stuck_s: float, said: str
) -> None:
    def load(utterance: Utterance, rate: int) -> NDArray[np.float32]:
        act()
        return load_utterance(utterance, rate)

    monkeypatch.setattr("asr.data.dataset.STUCK_S", stuck_s)
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)  # how long it waits for the stuck one
    dataset = SpeechDataset(utterances, [[1]] * len(utterances), RATE, 3, load=load)
    with pytest.raises(DataError, match=said):
        list(load_batches(dataset, [[Request(6, 0, 1.0)]], 1))
    ends_s = time.monotonic() + 60
    while multiprocessing.active_children() and time.monotonic() < ends_s:
        time.sleep(0.01)
    assert not multiprocessing.active_children()


def test_a_process_that_ends_in_mid_plan_ends_at_once(utterances: list[Utterance], repository: Path) -> None:
    """Readers ignore SIGTERM, with which multiprocessing asks them to end before it waits for them without limit."""
    command = [sys.executable, "-c", ENDS_IN_MID_PLAN, utterances[0].audio]
    ended = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and "something unexpected" in ended.stderr


def test_a_process_of_multiprocessing_ends_too(utterances: list[Utterance], tmp_path: Path) -> None:
    """Its exit handlers are not called. Batches that something still holds, as a traceback may, do not keep it."""
    held = []

    def run() -> int:
        held.append(load_batches(make_dataset(utterances), make_plan(), 2))
        next(held[0])
        return 3

    process = Forked(run, tmp_path / "forked")
    process.communicate(timeout=60)
    assert process.returncode == 3


def test_an_utterance_is_its_own_span_of_its_recording(utterances: list[Utterance]) -> None:
    whole, _ = soundfile.read(utterances[0].audio, dtype="float32")
    part = Utterance(id="p", audio=utterances[0].audio, start_s=0.05, duration_s=0.1, text="")
    assert np.array_equal(load_utterance(part, RATE), whole[400:1200])


def test_collate_pads_with_zeros_to_the_longest() -> None:
    batch = collate([np.array([1, 2, 3], np.float32), np.array([4], np.float32)], [[1], [2, 3]], [7, 8])
    assert batch.waveforms.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert batch.lengths.tolist() == [3, 1] and batch.lengths.dtype == torch.int64
    assert batch.targets == [[1], [2, 3]] and batch.indices == [7, 8]


def test_an_empty_plan_gives_no_batches(utterances: list[Utterance]) -> None:
    assert list(load_batches(make_dataset(utterances), [], 0)) == []
