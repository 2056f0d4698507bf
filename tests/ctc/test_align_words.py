"""Words found in a recording, with detours where the text or the sound has more: the cheapest path, by plain search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.ctc import align_words as module
from asr.ctc.align_words import DetourCosts, WordPath, align_words
from asr.errors import ModelError, TextError
from tests.ctc.test_align import make_log_probs

SPACE = 3


def cheapest_by_plain_search(
    log_probs: NDArray[np.float32], words: Sequence[Sequence[int]], separator: int | None, costs: DetourCosts
) -> float:
    """Every state by its name: ("token" or "blank", place in the text), or ("away", words before it)."""
    tokens: list[int] = []
    firsts, stops = [], []
    for number, word in enumerate(words):
        tokens += [separator] if number and separator is not None else []
        firsts.append(len(tokens))
        tokens += word
        stops.append(len(tokens))
    now: dict[tuple[str, int], float] = {("away", 0): 0.0}
    for row in np.minimum(log_probs.max(axis=1, keepdims=True) - log_probs, costs.limit):
        before, now = now, {}

        def reach(kind: str, place: int, cost: float, into: dict[tuple[str, int], float] = now) -> None:
            into[kind, place] = min(cost, into.get((kind, place), np.inf))

        for (kind, place), cost in before.items():
            if kind == "away":
                reach("away", place, cost + min(row[0], costs.away))
                if place < len(words):
                    reach("token", firsts[place], cost + row[tokens[firsts[place]]])
                continue
            reach("blank", place, cost + row[0])
            if kind == "token":
                reach("token", place, cost + row[tokens[place]])
            following = [place + 1] if place + 1 < len(tokens) else []
            if place + 1 in stops:
                rest = stops.index(place + 1) + 1
                reach("away", rest, cost + costs.enter + min(row[0], costs.away))
                following += firsts[rest : rest + 1]
            for other in following:
                if kind == "blank" or tokens[other] != tokens[place]:
                    reach("token", other, cost + row[tokens[other]])
        for left, skipped in enumerate(words):
            if ("away", left) in now:
                price = costs.skip * len(skipped) + (costs.enter if left == 0 else 0.0)
                reach("away", left + 1, now["away", left] + price)
    ends = [("token", len(tokens) - 1), ("blank", len(tokens) - 1), ("away", len(words))]
    return min(now.get(end, np.inf) for end in ends)


def price(found: WordPath, words: Sequence[Sequence[int]], costs: DetourCosts) -> float:
    """What the path that was found costs: its frames, each going away, and the words left out."""
    frames = np.minimum(found.costs, np.where(found.away, costs.away, costs.limit)).sum(dtype=np.float64)
    entered = int(np.sum(found.away[1:] & ~found.away[:-1])) + int(found.spans[0, 0] < 0)
    skipped = sum(len(word) for word, span in zip(words, found.spans, strict=True) if span[0] < 0)
    return float(frames + costs.enter * entered + costs.skip * skipped)


@pytest.mark.parametrize("steps", [1, 1 << 25])
@pytest.mark.parametrize("separator", [None, SPACE])
def test_the_path_is_the_cheapest_whether_or_not_it_is_searched_in_parts(
    monkeypatch: pytest.MonkeyPatch, separator: int | None, steps: int
) -> None:
    monkeypatch.setattr(module, "MAX_STEPS", steps)
    monkeypatch.setattr(module, "MARKS", 3)
    generator = np.random.default_rng(0)
    for seed in range(40):
        log_probs = make_log_probs(int(generator.integers(1, 14)), 4, seed, sharpness=2)
        count = int(generator.integers(1, 5))
        words = [generator.integers(1, 3, generator.integers(1, 4)).tolist() for _ in range(count)]
        prices = {name: float(generator.uniform(0, top)) for name, top in (("enter", 4), ("away", 2), ("skip", 1))}
        costs = DetourCosts(**prices, limit=6.0)
        found = align_words(log_probs, words, separator, costs)
        expected = cheapest_by_plain_search(log_probs, words, separator, costs)
        assert price(found, words, costs) == pytest.approx(expected, abs=1e-4), (seed, words)


def spoken(*words: Sequence[int], vocab: int = 12) -> NDArray[np.float32]:
    """A model that is quite sure: three frames for each token, the blank in the middle one, and two between words."""
    path = [0]
    for word in words:
        path += [frame for token in word for frame in (token, token, 0)] + [0, 0]
    log_probs = np.full((len(path), vocab), np.log(0.05 / (vocab - 1)))
    log_probs[np.arange(len(path)), path] = np.log(0.95)
    return log_probs.astype(np.float32)


def some_words(count: int, seed: int) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 12, generator.integers(3, 7)).tolist() for _ in range(count)]


def test_a_paragraph_that_is_not_spoken_is_left_out_and_the_rest_stays_where_it_is() -> None:
    words, other = some_words(60, 1), some_words(25, 2)
    plain = align_words(spoken(*words), words)
    assert (plain.spans >= 0).all() and not plain.away[1:].any() and plain.costs.max() < 1e-5
    longer = align_words(spoken(*words), [*words[:30], *other, *words[30:]])
    assert (longer.spans[30:55] == -1).all()
    assert np.array_equal(np.delete(longer.spans, np.s_[30:55], axis=0), plain.spans)


def test_sound_that_the_text_lacks_belongs_to_no_word() -> None:
    words, other = some_words(60, 1), some_words(25, 2)
    sound, start = spoken(*words[:30], *other, *words[30:]), len(spoken(*words[:30]))
    found = align_words(sound, words)
    stop = start + len(spoken(*other)) - 1
    assert (found.spans >= 0).all() and found.spans[29, 1] <= start and found.spans[30, 0] >= stop - 2
    assert found.away[start : stop - 2].all() and found.away[start:].sum() <= stop - start + 4


def test_a_chapter_is_found_in_its_book_and_a_page_in_a_chapter() -> None:
    book = some_words(200, 3)
    chapter = align_words(spoken(*book[90:130]), book)
    assert np.array_equal(np.flatnonzero(chapter.spans[:, 0] >= 0), np.arange(90, 130))
    page = align_words(spoken(*book), book[90:130])
    assert (page.spans >= 0).all() and page.spans[0, 0] >= len(spoken(*book[:90])) - 3


def test_beyond_a_number_of_cells_the_search_keeps_near_the_likeliest_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = some_words(400, 4)
    plain = align_words(spoken(*words), words)
    monkeypatch.setattr(module, "MAX_CELLS", len(spoken(*words)) * 300)
    assert np.array_equal(align_words(spoken(*words), words).spans, plain.spans)


def test_a_text_of_something_else_is_not_found_at_all() -> None:
    found = align_words(spoken(*([[1, 2, 3]] * 9)), [[7, 8, 9]] * 5)
    assert (found.spans == -1).all() and found.away.all()


@pytest.mark.parametrize(
    "words, message",
    [([], "no word"), ([[1], []], "without tokens"), ([[1, 0]], "must be 1 to 11"), ([[12]], "must be 1 to 11")],
)
def test_words_that_cannot_be_aligned_are_refused(words: Any, message: str) -> None:
    with pytest.raises(TextError, match=message):
        align_words(spoken([1, 2]), words)


def test_emissions_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(ModelError, match="frame 1 are no probabilities"):
        align_words(np.array([[0.0, -1.0], [np.nan, 0.0]], np.float32), [[1]])
    with pytest.raises(TextError, match="no frames"):
        align_words(np.zeros((0, 3), np.float32), [[1]])
