"""Which recording teaches most: the values of small pools computed by hand, the greedy choice by trying all."""

import math
import random
from collections import Counter
from typing import Any

import pytest

from asr.recognition.suggestions import Candidate, Suggestion, rank_untranscribed

NINE = "ba bo bi bu be da do di du"


def one(name: str, text: str = "a", confidence: float | None = 0.5, duration_s: float = 1.0, **more: Any) -> Candidate:
    return Candidate(id=name, text=text, confidence=confidence, duration_s=duration_s, **more)


def ids(ranking: list[Suggestion]) -> str:
    return " ".join(f"{each.candidate.id}{'' if each.within_budget else '-'}" for each in ranking)


def test_the_value_by_hand() -> None:
    ranking = rank_untranscribed([one("sure", "a", 0.9), one("new", "b"), one("doubtful", "a")], [("a", None)])

    # the drafts have #a# twice and #b# once, the transcribed text #a# once; each costs its second and one more
    doubtful, new, sure = 2 * math.log(1 + 0.5 / 2), math.log(1 + 0.5), 2 * math.log(1 + 0.1 / 2.5)
    assert ids(ranking) == "doubtful new sure"
    assert [each.score for each in ranking] == pytest.approx([doubtful / 2, new / 2, sure / 2])
    assert ranking[1].reasons == ("confidence 0.50",), "what one draft alone has may be an error of the model"
    assert ranking[0].reasons == ("confidence 0.50", "rare: #a#")


@pytest.mark.parametrize(
    ("pool", "known", "order"),
    [
        ([one("sure", "a", 0.9), one("doubtful", "a", 0.1)], "", "doubtful sure"),
        ([one("noise", "a", 0.0, 9.0), one("speech", NINE, 0.6, 9.0)], "", "speech noise"),
        ([one("known", "ba ba"), one("rare", "do do")], "ba ba ba", "rare known"),
        ([one("a1", "a a a a"), one("a2", "a"), one("b", "b b")], "", "a1 b a2"),  # 5 ln(1 + .5 / 3) < 2 ln 2
        ([one("agreed", second_text="a"), one("disputed", second_text="b")], "", "disputed agreed"),
        ([one("long", "a", duration_s=9.0), one("short", "a")], "", "short long"),
        ([one("silent", "", 0.1), one("sure", "a", 1.0)], "", "sure silent"),
        (
            [one("none", confidence=None), one("less", confidence=0.6), one("more", confidence=0.4)],
            "",
            "more none less",
        ),
        ([], "", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_comes_first(pool: list[Candidate], known: str, order: str) -> None:
    assert ids(rank_untranscribed(pool, [(known, None)])) == order


def test_a_new_speaker_comes_first_and_speakers_take_turns() -> None:
    pool = [one(f"{who}{n}", text, speaker=who) for who in "xy" for n, text in ((1, "aa ab"), (2, "ba bb"))]
    ranking = rank_untranscribed(pool, [("aa ab ba bb", "x")])

    assert ids(ranking) == "y1 y2 x1 x2"
    assert [each.new_speaker for each in ranking] == [True, False, False, False]
    assert ranking[0].reasons[0] == "new speaker y"
    assert ids(rank_untranscribed(pool)) == "x1 y2 x2 y1"


def test_near_duplicates_come_last_and_say_of_what() -> None:
    pool = [
        one("copy", "b", 0.3), one("first", NINE), one("near", f"{NINE[:-1]}o"), one("other voice", NINE, speaker="y"),
        one("longer", NINE, duration_s=1.5), one("again", "b", 0.3), one("by chance", "b", 0.31), one("silent", ""),
        one("my voice", NINE, speaker="x"),
    ]  # fmt: skip
    ranking = rank_untranscribed(pool)
    twins = {each.candidate.id: each.duplicate_of for each in ranking if each.duplicate_of}

    assert twins == {"near": "first", "other voice": "first", "again": "copy", "my voice": "first"}
    assert {each.candidate.id for each in ranking[-4:]} == twins.keys() and ranking[-5].candidate.id == "silent"
    assert ranking[-5].reasons[0] == "nothing recognised"
    assert ranking[-1].reasons[0].startswith("nearly as ")
    voices = rank_untranscribed([one("x", NINE, speaker="x"), one("y", NINE, speaker="y")])
    assert not any(each.duplicate_of for each in voices)


def test_the_budget_takes_what_fits_and_ranks_the_rest_behind() -> None:
    pool = [one("a", "aa ab", duration_s=4.0), one("b", "b", duration_s=2.1), one("c", "c", duration_s=1.9)]

    assert ids(rank_untranscribed(pool, budget_s=6.0)) == "a c b-"
    assert ids(rank_untranscribed(pool, budget_s=6.1)) == "a c b-"
    assert ids(rank_untranscribed(pool, budget_s=8.0)) == "a c b"
    assert ids(rank_untranscribed(pool, budget_s=1.0)) == "a- c- b-"
    silent = one("silent", "", duration_s=0.1)
    assert ids(rank_untranscribed([*pool, silent], budget_s=6.0)) == "a c b- silent-", "speech first, if it waits"


def test_the_greedy_choice_is_that_of_trying_all() -> None:
    chance = random.Random(1)
    pool = [
        one(
            str(n), " ".join(chance.choices("abcdef", k=chance.randint(1, 3))), chance.random(), chance.uniform(1, 5),
            speaker=chance.choice(["x", "y", None]),
        )
        for n in range(40)
    ]  # fmt: skip

    def units(each: Candidate) -> Counter[str]:
        words = each.text.split()
        return Counter([f"#{word}#" for word in words] + [f"speaker {each.speaker}"] * bool(each.speaker) * len(words))

    total, have, left, expected = Counter[str](), Counter[str](), list(pool), []
    for each in pool:
        total += units(each)

    def rate(each: Candidate) -> float:
        doubt = 1 - (each.confidence or 0.0)
        gains = (
            total[unit] * (math.log(1 + have[unit] + doubt * count) - math.log(1 + have[unit]))
            for unit, count in units(each).items()
        )
        return sum(gains) / (each.duration_s + 1)

    while left:
        best = max(left, key=rate)
        expected.append((best.id, rate(best)))
        left.remove(best)
        for unit, count in units(best).items():
            have[unit] += (1 - (best.confidence or 0.0)) * count  # type: ignore[assignment]
    ranking = rank_untranscribed(pool)
    assert [each.candidate.id for each in ranking] == [name for name, _ in expected]
    assert [each.score for each in ranking] == pytest.approx([score for _, score in expected])


def test_letters_keep_their_marks_and_rare_ones_are_named() -> None:
    drafts = [one("1", "ŋwέ ŋwέ"), one("2", "ŋwέ ba")]  # the accent is a combining mark
    rare = rank_untranscribed(drafts, [("ba " * 5, None)])[0].rare

    assert rare == ("#ŋw", "wέ#", "ŋwέ")
