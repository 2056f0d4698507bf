"""The plan of an epoch: every utterance once, within the bounds, the same wherever it is made, with little padding."""

import collections
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.batching import BatchingConfig, Request, padding_share, plan_epoch, share
from asr.data.manifest import Utterance
from asr.data.recordings import with_durations
from asr.errors import ConfigError
from asr.schema import build

DURATIONS_S = st.lists(st.floats(0.1, 20.0), min_size=0, max_size=60)
SPEEDS = (0.9, 1.0, 1.1)
MANY_S = [1.0 + (index * 37 % 200) / 10 for index in range(200)]


@settings(max_examples=100, deadline=None)
@given(
    durations_s=DURATIONS_S, batch_s=st.floats(5.0, 60.0), limit=st.integers(1, 9), width=st.floats(0, 1),
    epoch=st.integers(0, 3), seed=st.integers(0, 99), processes=st.integers(1, 3), short_first=st.booleans(),
)  # fmt: skip
def test_every_utterance_once_and_every_bound_kept(
    durations_s: list[float], batch_s: float, limit: int, width: float, epoch: int, seed: int, processes: int,
    short_first: bool,
) -> None:  # fmt: skip
    config = BatchingConfig(batch_s=batch_s, max_utterances=limit, shuffle_width=width, short_first=short_first)
    plan = plan_epoch(durations_s, config, seed=seed, epoch=epoch, speeds=SPEEDS, processes=processes)
    assert sorted(one.index for batch in plan for one in batch) == list(range(len(durations_s)))
    for batch in plan:
        assert batch and all(one.epoch == epoch and one.speed in SPEEDS for one in batch)
        longest_s = max(durations_s[one.index] / one.speed for one in batch)
        assert len(batch) == 1 or longest_s * len(batch) <= batch_s * processes + 1e-9
        assert len(batch) <= limit * processes
        shares = [share(batch, rank, processes) for rank in range(processes)]
        assert collections.Counter(one for part in shares for one in part) == collections.Counter(batch)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert max(map(len, shares)) <= limit
        assert all(longest_s * (len(part) - 1) <= batch_s + 1e-9 for part in shares)


def test_the_plan_depends_on_nothing_but_its_arguments() -> None:
    config = BatchingConfig()
    plans = [plan_epoch(MANY_S, config, seed=1, epoch=2, speeds=SPEEDS) for _ in range(2)]
    assert plans[0] == plans[1]


def test_a_plan_is_that_of_earlier_versions_whose_runs_resume_in_the_middle_of_it() -> None:
    config = BatchingConfig(batch_s=40.0, max_utterances=8)
    plan = plan_epoch(MANY_S, config, seed=1, epoch=2, speeds=SPEEDS, processes=2)
    pairs = json.dumps([[(one.index, one.speed) for one in batch] for batch in plan])
    digest = hashlib.sha256(pairs.encode()).hexdigest()  # of commit 8ca3eb5, which sorted lists
    assert digest == "b16a1405d4a9481b04f7924154914aba11982359d1ab9b2f0c79e9749ac82577"


def test_a_process_reads_its_shares_and_no_empty_ones() -> None:
    plan = plan_epoch(MANY_S[:7], BatchingConfig(max_utterances=1), seed=1, epoch=1, processes=3)
    for rank in range(3):
        shares = [share(batch, rank, 3) for batch in plan]
        assert list(plan.of_process(rank, 3)) == shares
        assert list(plan[1:].of_process(rank, 3).without_empty()) == [one for one in shares[1:] if one]
    assert plan.longest(MANY_S[:7]) == max(plan, key=lambda batch: len(batch) * max(MANY_S[one.index] for one in batch))


def test_epochs_and_seeds_differ() -> None:
    config = BatchingConfig()
    plans = [plan_epoch(MANY_S, config, seed=seed, epoch=epoch, speeds=SPEEDS) for seed in (1, 2) for epoch in (1, 2)]
    for position, one in enumerate(plans):
        assert all(one != other for other in plans[position + 1 :])
        drawn = collections.Counter(request.speed for batch in one for request in batch)
        assert all(40 < drawn[speed] < 95 for speed in SPEEDS), "200 draws of 3: about 67 each"


def test_jitter_brings_other_utterances_together() -> None:
    def groups(width: float, epoch: int) -> set[frozenset[int]]:
        plan = plan_epoch(MANY_S, BatchingConfig(shuffle_width=width), seed=1, epoch=epoch)
        return {frozenset(one.index for one in batch) for batch in plan}

    assert groups(0.0, 1) == groups(0.0, 2)
    assert len(groups(0.03, 1) & groups(0.03, 2)) < len(groups(0.03, 1)) / 2


def test_the_first_epoch_goes_from_short_to_long_where_asked() -> None:
    def mean_lengths(epoch: int, short_first: bool) -> list[float]:
        config = BatchingConfig(shuffle_width=0.0, short_first=short_first)
        plan = plan_epoch(MANY_S, config, seed=1, epoch=epoch)
        return [sum(MANY_S[one.index] for one in batch) / len(batch) for batch in plan]

    assert mean_lengths(0, True) == sorted(mean_lengths(0, True))
    assert mean_lengths(0, False) != sorted(mean_lengths(0, False))
    assert mean_lengths(1, True) != sorted(mean_lengths(1, True))


def test_two_processes_plan_what_one_with_the_double_batch_plans() -> None:
    double = plan_epoch(MANY_S, BatchingConfig(batch_s=80.0, max_utterances=16), seed=1, epoch=1)
    config = BatchingConfig(batch_s=40.0, max_utterances=8)
    assert plan_epoch(MANY_S, config, seed=1, epoch=1, processes=2) == double


def test_an_utterance_longer_than_the_bound_comes_alone() -> None:
    plan = plan_epoch([5.0, 300.0, 5.0], BatchingConfig(batch_s=20.0), seed=1, epoch=0)
    assert [sorted(one.index for one in batch) for batch in plan] == [[0, 2], [1]]


def test_the_share_of_padding_by_hand() -> None:
    batches = [[Request(0, 0, 1.0), Request(1, 0, 2.0)], [Request(2, 0, 1.0)]]
    assert padding_share([4.0, 4.0, 2.0], batches) == pytest.approx(1 - (4 + 2 + 2) / (8 + 2))
    assert padding_share([], []) == 0.0


def test_padding_is_under_5_percent_on_the_librispeech_part(corpora: Path) -> None:
    files = sorted((corpora / "LibriSpeech" / "train-clean-5").rglob("*.opus"))
    utterances = with_durations(Utterance(id=one.stem, audio=str(one), duration_s=0.0, text="") for one in files)
    durations_s = [utterance.duration_s for utterance in utterances]
    assert len(durations_s) == 1519 and sum(durations_s) / 3600 == pytest.approx(5.31, abs=0.01)
    for epoch in (0, 1, 5):
        plan = plan_epoch(durations_s, BatchingConfig(), seed=1, epoch=epoch, speeds=SPEEDS)
        assert padding_share(durations_s, plan) < 0.05
    alphabetical = [[Request(one, 0, 1.0) for one in range(start, start + 8)] for start in range(0, 1512, 8)]
    assert padding_share(durations_s, alphabetical) > 0.10, "without buckets it is not"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"batch_s": 0}, "data.batching.batch_s"),
        ({"max_utterances": 0}, "data.batching.max_utterances"),
        ({"shuffle_width": -0.1}, "data.batching.shuffle_width"),
        ({"shuffle_width": 2}, "data.batching.shuffle_width"),
        ({"batch": 3}, "data.batching.batch"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        build(BatchingConfig, values, "data.batching")


def test_a_batch_holds_a_multiple_of_utterances_where_its_seconds_allow() -> None:
    config = BatchingConfig(batch_s=150.0, max_utterances=20, multiple=8)
    for processes in (1, 2):
        plan = plan_epoch(MANY_S, config, seed=1, epoch=0, speeds=SPEEDS, processes=processes)
        assert sorted(one.index for batch in plan for one in batch) == list(range(len(MANY_S)))
        sizes = [len(batch) for batch in plan]
        assert max(sizes) == 16 * processes
        assert all(size <= 8 * processes or size % (8 * processes) == 0 for size in sizes[:-1])
        for batch in plan:
            assert max(MANY_S[one.index] / one.speed for one in batch) * len(batch) <= 150 * processes + 1e-9
