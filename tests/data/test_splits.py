"""Laws of cutting a corpus: no speaker in two parts, the same cut every time, nothing lost."""

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.manifest import Utterance
from asr.data.splits import nested_parts, split_by_speaker, split_off_speakers
from asr.errors import ConfigError, DataError


def make(speaker: str | None, number: int, duration_s: float = 1.0) -> Utterance:
    return Utterance(
        id=f"{speaker}-{number}", audio=f"/a/{speaker}/{number}.wav", duration_s=duration_s, text="a", speaker=speaker
    )


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=3, max_size=30),
    seed=st.integers(0, 5),
    dev=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
)
def test_no_speaker_is_in_two_parts_and_nothing_is_lost(counts: list[int], seed: int, dev: float, test: float) -> None:
    utterances = [make(f"s{speaker}", n) for speaker, count in enumerate(counts) for n in range(count)]
    splits = split_by_speaker(utterances, dev=dev, test=test, seed=seed)
    speakers = [{u.speaker for u in part} for part in splits.named().values()]
    assert all(speakers)
    assert not (speakers[0] & speakers[1] or speakers[0] & speakers[2] or speakers[1] & speakers[2])
    ids = sorted(u.id for part in splits.named().values() for u in part)
    assert ids == sorted(u.id for u in utterances)


def test_shares_are_met_within_one_speaker() -> None:
    utterances = [make(f"s{speaker}", n, duration_s=2.0) for speaker in range(50) for n in range(4)]
    splits = split_by_speaker(utterances, dev=0.1, test=0.2, seed=1)
    assert (len(splits.train), len(splits.dev), len(splits.test)) == (140, 20, 40)


def test_same_seed_same_cut_other_seed_other_cut() -> None:
    utterances = [make(f"s{speaker}", n) for speaker in range(20) for n in range(3)]
    first = split_by_speaker(utterances, seed=0)
    assert first == split_by_speaker(utterances, seed=0)
    assert first.test != split_by_speaker(utterances, seed=1).test


def test_without_speakers_a_recording_stays_whole_and_a_note_says_so() -> None:
    utterances = [
        Utterance(id=f"{recording}-{n}", audio=f"/a/{recording}.wav", start_s=float(n), duration_s=1.0, text="a")
        for recording in range(10)
        for n in range(5)
    ]
    splits = split_by_speaker(utterances)
    recordings = [{u.audio for u in part} for part in splits.named().values()]
    assert not (recordings[0] & recordings[1] or recordings[0] & recordings[2])
    assert "no speaker" in splits.notes[0]


def test_a_corpus_that_was_moved_is_cut_as_before() -> None:
    here = [make(None, number) for number in range(40)]
    there = [replace(one, audio=f"/else/where{one.audio}") for one in here]
    ids = [[[u.id for u in part] for part in split_by_speaker(corpus).named().values()] for corpus in (here, there)]
    assert ids[0] == ids[1]


def test_a_single_speaker_is_cut_by_recording_with_a_note() -> None:
    splits = split_by_speaker([make("ann", n) for n in range(20)])
    assert (len(splits.train), len(splits.dev), len(splits.test)) == (16, 2, 2)
    assert "1 speaker" in splits.notes[0]


def test_too_few_recordings_and_impossible_shares_are_refused() -> None:
    with pytest.raises(DataError, match=r"3 parts .* out of 2"):
        split_by_speaker([make("ann", 0), make("ann", 1)])
    with pytest.raises(ConfigError, match=r"below 1"):
        split_by_speaker([make("ann", 0)], dev=0.5, test=0.5)


def test_split_off_takes_whole_speakers_about_the_share() -> None:
    utterances = [make(f"s{speaker}", n) for speaker in range(30) for n in range(10)]
    rest, taken = split_off_speakers(utterances, 0.1)
    assert len(taken) == 30
    assert len(rest) == 270
    assert not {u.speaker for u in rest} & {u.speaker for u in taken}


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(1, 12), min_size=1, max_size=12), seed=st.integers(0, 5), known=st.booleans())
def test_parts_are_nested_keep_the_order_and_end_with_the_whole(counts: list[int], seed: int, known: bool) -> None:
    all_of_it = [make(f"s{who}", n, duration_s=3.0 + n) for who, count in enumerate(counts) for n in range(count)]
    utterances = all_of_it if known else [replace(one, speaker=None) for one in all_of_it]
    parts = nested_parts(utterances, [0.1, 0.5, 1.0, float("inf")], seed=seed)
    for short, long in pairwise(parts):
        assert 0 < len(short) <= len(long) and {u.id for u in short} <= {u.id for u in long}
    assert parts[-1] == utterances
    assert all(part == [u for u in utterances if u in part] for part in parts)


def test_a_part_is_as_long_as_whole_utterances_allow() -> None:
    utterances = [make(f"s{who}", n, duration_s=4.0) for who in range(5) for n in range(60)]  # 20 minutes
    for wanted, part in zip((0.1, 1, 5), nested_parts(utterances, [0.1, 1, 5]), strict=True):
        assert len(part) * 4.0 == pytest.approx(60 * wanted, abs=2.0)


@pytest.mark.parametrize("known", [True, False])
def test_a_part_has_the_same_share_of_every_speakers_speech(known: bool) -> None:
    loud = [make("loud", n, duration_s=2.0) for n in range(300)]  # 10 minutes
    rare = [make("rare", n, duration_s=2.0) for n in range(30)]  # 1 minute
    utterances = [*loud, *rare]
    if not known:  # one recording each
        utterances = [replace(one, speaker=None, audio=f"/a/{one.speaker}.wav") for one in utterances]
    (part,) = nested_parts(utterances, [5.5], seed=3)
    assert [sum(name in one.id for one in part) for name in ("loud", "rare")] == [150, 15]


def test_speakers_of_one_utterance_are_in_small_parts_too_and_a_seed_chooses_them() -> None:
    utterances = [make(f"s{who}", 0, duration_s=3.0) for who in range(200)]  # 10 minutes
    first, again, other = (nested_parts(utterances, [1.0], seed=seed)[0] for seed in (1, 1, 2))
    assert len(first) == 20 and first == again
    assert len({u.id for u in first} & {u.id for u in other}) < 10


def conversations(pairs: list[tuple[str, str]], annotation: str = "{}.eaf") -> list[Utterance]:
    return [
        Utterance(
            id=f"{number}-{speaker}", audio=f"/a/{number}.wav", duration_s=1.0, text="a", speaker=speaker,
            extra={"annotation_file": annotation.format(number)},
        )
        for number, pair in enumerate(pairs) for speaker in pair
    ]  # fmt: skip


def parts_of(utterances: list[Utterance], field: str) -> set[int]:
    parts: dict[object, set[str]] = defaultdict(set)
    for name, part in split_by_speaker(utterances, dev=0.2, test=0.2).named().items():
        for one in part:
            parts[getattr(one, field)].add(name)
    return {len(names) for names in parts.values()}


def test_speakers_who_share_a_recording_stay_together() -> None:
    utterances = conversations([(f"s{n}", f"s{n + 1}") for n in range(0, 20, 2)] * 2)
    assert parts_of(utterances, "audio") == {1} == parts_of(utterances, "speaker")
    rest, taken = split_off_speakers(utterances, 0.2)
    assert not {one.audio for one in rest} & {one.audio for one in taken} and len(taken) == 8


def test_an_interviewer_in_all_recordings_leaves_a_split_by_recording_and_a_note() -> None:
    utterances = conversations([("me", f"s{n}") for n in range(10)])
    assert parts_of(utterances, "audio") == {1}
    (note,) = split_by_speaker(utterances).notes
    assert note.startswith("The 11 speakers cannot be kept apart, as they share recordings: parts share speakers")


def test_recordings_of_one_annotation_file_stay_together() -> None:
    two_microphones = [
        replace(one, id=f"{one.id}-{mic}", audio=f"/a/{mic}-{one.id}.wav", speaker=None)
        for one in conversations([(f"s{n}", f"s{n}x") for n in range(10)])
        for mic in "ab"
    ]
    splits = split_by_speaker(two_microphones, dev=0.2, test=0.2)
    files = [{one.extra["annotation_file"] for one in part} for part in splits.named().values()]
    assert all(files) and not (files[0] & files[1] or files[0] & files[2] or files[1] & files[2])
