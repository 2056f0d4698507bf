"""Subtitles that can be read: the limits hold for every transcript, and breaks fall where a person would put them."""

from itertools import pairwise

import hypothesis.strategies as some
import pytest
from hypothesis import given, settings

from asr.errors import ConfigError
from asr.recognition.hypothesis import Hypothesis
from asr.terminal import display_width
from asr.transcription import Cue, CueLimits, make_cues
from asr.transcription.cues import duration_ms, word_spans
from tests.transcription.made import evenly, spoken


def cues_of(transcript: Hypothesis, label_columns: int = 0, **limits: float) -> list[Cue]:
    spans = word_spans(transcript, "srt")
    return make_cues(spans, duration_ms(transcript, spans), CueLimits(**limits), label_columns)  # type: ignore[arg-type]


WORD = some.text(some.sampled_from("abcdefgé.,?'日ｗ"), min_size=1, max_size=12) | some.text(
    "xy", min_size=1, max_size=130
)
TIMED = some.tuples(WORD, some.integers(0, 3000), some.integers(0, 9000))


@settings(max_examples=150, deadline=None)
@given(some.lists(TIMED, max_size=60), some.integers(0, 5000))
def test_the_limits_hold_for_any_words(timed: list[tuple[str, int, int]], tail_ms: int) -> None:
    words, now_ms = [], 0
    for text, gap_ms, length_ms in timed:
        words.append((text, (now_ms + gap_ms) / 1000, (now_ms + gap_ms + length_ms) / 1000))
        now_ms += gap_ms + length_ms
    transcript = spoken(*words, duration_s=(now_ms + tail_ms) / 1000)
    cues = cues_of(transcript)
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2
        assert all(line.strip() == line and 1 <= display_width(line) <= 42 for line in cue.lines)
        assert 0 <= cue.start_ms < cue.end_ms <= cue.start_ms + 7000
    assert all(one.end_ms <= next_one.start_ms for one, next_one in pairwise(cues))
    spelled = "".join("".join(cue.lines) for cue in cues).replace(" ", "")
    assert spelled == transcript.text.replace(" ", ""), "every word once, in order"
    if cues:
        assert cues[-1].end_ms <= max(now_ms + tail_ms, now_ms + len(words))
    for before, cue, after in zip([None, *cues], cues, [*cues[1:], None], strict=False):
        room_ms = (after.start_ms if after else now_ms + tail_ms) - (before.end_ms if before else 0)
        assert cue.end_ms - cue.start_ms >= min(1000, room_ms) or room_ms < 1000


def test_every_word_belongs_to_the_cue_that_shows_it() -> None:
    texts = [f"w{index}" for index in range(100)]
    shown = [cue for cue in cues_of(evenly(texts))]
    assert [number for cue in shown for number in range(cue.first_word, cue.stop_word)] == list(range(100))
    for cue in shown:
        assert " ".join(cue.lines).split() == texts[cue.first_word : cue.stop_word]


def test_a_long_pause_ends_a_cue_and_a_cue_never_waits_in_it() -> None:
    transcript = spoken(("one", 0.0, 0.4), ("two", 0.5, 1.3), ("three", 3.5, 3.9), ("four", 4.0, 5.0))
    assert [(cue.lines, cue.start_ms, cue.end_ms) for cue in cues_of(transcript)] == [
        (("one two",), 0, 1300),
        (("three four",), 3500, 5000),
    ]


def test_a_cue_breaks_at_the_pause_rather_than_in_the_flow_of_words() -> None:
    # 24 words of 4 letters do not fit into one cue; the only pause is after the tenth
    words = [
        (f"w{index:03d}", index * 0.3 + 0.4 * (index >= 10), index * 0.3 + 0.28 + 0.4 * (index >= 10))
        for index in range(24)
    ]
    assert [cue.first_word for cue in cues_of(spoken(*words))] == [0, 10]


def test_a_cue_breaks_after_a_sentence() -> None:
    text = "so this is where it ends at last. and here the next sentence begins which is a long one too"
    assert [cue.lines[0].split()[0] for cue in cues_of(evenly(text.split()))] == ["so", "and"]


def test_two_lines_are_about_even() -> None:
    text = "the quick brown fox jumps over the lazy dog again"
    (cue,) = cues_of(evenly(text.split()))
    assert cue.lines == ("the quick brown fox jumps", "over the lazy dog again")


def test_a_short_cue_stands_for_a_second_where_there_is_room() -> None:
    assert [(c.start_ms, c.end_ms) for c in cues_of(spoken(("hi", 2.0, 2.1), duration_s=9.0))] == [(2000, 3000)]
    # at the recording's end there is room before it only
    assert [(c.start_ms, c.end_ms) for c in cues_of(spoken(("hi", 2.0, 2.1), duration_s=2.2))] == [(1200, 2200)]


def test_a_full_cue_stands_until_it_can_be_read() -> None:
    transcript = spoken(*((f"{index:05d}", index * 0.1, index * 0.1 + 0.1) for index in range(12)), duration_s=9.0)
    (cue,) = cues_of(transcript)
    assert cue.end_ms == 50 * sum(map(len, cue.lines))  # 20 characters a second


def test_no_words_give_no_cues() -> None:
    assert cues_of(spoken(duration_s=3.0)) == []


@pytest.mark.parametrize("length", [43, 84, 85, 300, 20_000])
def test_a_word_longer_than_a_line_is_cut_into_lines(length: int) -> None:
    cues = cues_of(spoken(("x" * length, 0.0, 5.0)))
    assert [len(line) for cue in cues for line in cue.lines] == [42] * (length // 42) + [length % 42] * (
        length % 42 > 0
    )


FOX = "the quick brown fox jumps over the lazy dog again"
TALK = "so this is where it ends at last and here the next sentence begins which is a long one too"


@pytest.mark.parametrize("label_columns", [0, 11])
@pytest.mark.parametrize(("columns", "lines", "longest_s"), [(20, 1, 7.0), (24, 3, 4.0), (100, 2, 1.5)])
def test_limits_that_are_asked_for_hold(columns: int, lines: int, longest_s: float, label_columns: int) -> None:
    limits = {"max_line_width": columns, "max_lines": lines, "max_cue_s": longest_s, "min_cue_s": 0.5}
    cues = cues_of(evenly(TALK.split()), label_columns, **limits)
    assert [word for cue in cues for line in cue.lines for word in line.split()] == TALK.split()
    for cue in cues:
        assert len(cue.lines) <= lines and cue.end_ms - cue.start_ms <= 1000 * longest_s
        assert all(len(line) + label_columns * (line is cue.lines[0]) <= columns for line in cue.lines)


def test_lines_are_as_few_and_even_as_can_be_with_the_label_on_the_first() -> None:
    fox = evenly(FOX.split())
    assert [cue.lines for cue in cues_of(fox, 11)] == [
        ("the quick brown fox", "jumps over the lazy dog again")
    ]  # 30, 29
    three = [("the quick brown", "fox jumps over", "the lazy dog again")]
    assert [cue.lines for cue in cues_of(fox, max_line_width=20, max_lines=3)] == three
    assert [cue.lines for cue in cues_of(fox, max_line_width=60)] == [(FOX,)]


def test_a_gap_is_closed_up_to_the_length_asked_for_and_the_longest_cue() -> None:
    transcript = spoken(("one.", 0.0, 1.0), ("two.", 2.3, 3.3), ("three.", 6.0, 7.0), duration_s=7.0)
    times = [[(cue.start_ms, cue.end_ms) for cue in cues_of(transcript, close_gaps_s=gap)] for gap in (0, 1.3, 2.7)]
    assert times[0] == [(0, 1000), (2300, 3300), (6000, 7000)]
    assert times[1] == [(0, 2300), (2300, 3300), (6000, 7000)]
    assert times[2] == [(0, 2300), (2300, 6000), (6000, 7000)]
    short = cues_of(transcript, close_gaps_s=3, max_cue_s=2)
    assert [(cue.start_ms, cue.end_ms) for cue in short] == [(0, 2000), (2300, 4300), (6000, 7000)]


def test_the_pause_that_ends_a_cue_and_the_reading_speed_are_as_asked_for() -> None:
    transcript = spoken(("one", 0.0, 0.4), ("two", 0.7, 1.1), duration_s=9.0)
    assert [cue.lines for cue in cues_of(transcript, cue_pause_s=0.3)] == [("one",), ("two",)]
    assert [cue.lines for cue in cues_of(transcript)] == [("one two",)]
    assert [cue.end_ms for cue in cues_of(transcript, reading_speed=2)] == [3500]  # 7 characters


def test_an_impossible_limit_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"max_line_width=3 must be 16 to 1000"):
        CueLimits(max_line_width=3)
    with pytest.raises(ConfigError, match=r"min_cue_s=9 must be 0 to 7"):
        CueLimits(min_cue_s=9)
