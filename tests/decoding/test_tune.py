"""The search for decoding weights finds the least errors of surfaces whose minimum is known."""

from collections.abc import Callable

import pytest

from asr.recognition.tuning import DevErrors, search_weights

Asked = list[tuple[float, float]]


def bowl(centre: tuple[float, float], ridge: float = 0.0) -> tuple[Callable[[float, float], DevErrors], Asked]:
    """A surface with its minimum at ``centre``, its axes tilted by ``ridge``; counts how often it was asked."""
    asked: Asked = []

    def count(lm_weight: float, word_score: float) -> DevErrors:
        asked.append((lm_weight, word_score))
        x, y = lm_weight - centre[0], word_score - centre[1]
        return DevErrors(words=round(1000 * (x * x + 0.1 * y * y + ridge * x * y)), characters=0)

    return count, asked


@pytest.mark.parametrize("centre", [(0.7, 0.3), (1.3, 1.6), (0.25, -0.8)])
@pytest.mark.parametrize("ridge", [0.0, -0.4])
def test_the_best_point_is_next_to_the_minimum(centre: tuple[float, float], ridge: float) -> None:
    count, _ = bowl(centre, ridge)
    best = search_weights(count)[0]
    assert abs(best.lm_weight - centre[0]) <= 0.2 and abs(best.word_score - centre[1]) <= 0.75


def test_no_point_is_decoded_twice_and_few_are() -> None:
    count, asked = bowl((0.6, 0.5))
    search_weights(count)
    assert len(asked) == len(set(asked)) <= 12 + 2 * 8


def test_of_equals_the_least_language_model_wins() -> None:
    points = search_weights(lambda weight, score: DevErrors(words=3, characters=9))
    assert points[0].lm_weight == min(point.lm_weight for point in points)


def test_characters_decide_where_words_are_equal() -> None:
    points = search_weights(lambda weight, score: DevErrors(words=5, characters=int(abs(weight - 1.0) * 100)))
    assert points[0].lm_weight == 1.0


def test_a_weight_is_never_zero_or_negative() -> None:
    count, asked = bowl((-3.0, 0.0))
    search_weights(count, lm_weights=(0.1, 0.2))
    assert min(weight for weight, _ in asked) > 0
