"""The automaton scores as ARPA's rule says (the n-gram if it is there, else backoff weight times the shorter one)."""

import math

import pytest

from asr.lm.model import NgramModel
from asr.lm.query import lm_step
from tests.lm.plain_query import model_of, score, sentence_log_prob

ARPA = """\\data\\
ngram 1=5
ngram 2=4
ngram 3=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.7\t</s>
-0.6\ta\t-0.2
-0.5\tb\t-0.1

\\2-grams:
-0.2\t<s> a\t-0.05
-0.3\ta b
-0.35\tb b\t-0.07
-0.4\tb </s>

\\3-grams:
-0.1\t<s> a b
-0.15\tb b </s>

\\end\\
"""


@pytest.fixture(scope="module")
def model() -> NgramModel:
    return model_of(ARPA)


@pytest.mark.parametrize(
    ("sentence", "log10"),
    [
        ("a b", -0.2 - 0.1 - 0.4),
        ("b a", (-0.3 - 0.5) + (-0.1 - 0.6) + (-0.2 - 0.7)),
        ("b b", (-0.3 - 0.5) - 0.35 - 0.15),
        ("b b a", (-0.3 - 0.5) - 0.35 + (-0.07 - 0.1 - 0.6) + (-0.2 - 0.7)),
        ("a a", -0.2 + (-0.05 - 0.2 - 0.6) + (-0.2 - 0.7)),
        ("z b", (-0.3 - 1.0) - 0.5 - 0.4),
        ("", -0.3 - 0.7),
    ],
)
def test_sentences_score_as_worked_out_by_hand(model: NgramModel, sentence: str, log10: float) -> None:
    assert sentence_log_prob(model, sentence.split()) == pytest.approx(log10 * math.log(10), abs=1e-6)


def test_a_sentence_can_leave_out_its_bounds(model: NgramModel) -> None:
    middle = sentence_log_prob(model, ["a", "b"], bos=False, eos=False)

    assert middle == pytest.approx((-0.6 - 0.3) * math.log(10), abs=1e-6)


def test_the_compiled_step_equals_the_plain_one_to_the_bit(model: NgramModel) -> None:
    arrays = (
        model.arc_start, model.arc_word, model.arc_log_prob, model.arc_next,
        model.backoff_log_weight, model.backoff_state,
    )  # fmt: skip
    for state in range(len(model.backoff_state)):
        for word in range(len(model.words)):
            assert lm_step(*arrays, state, word) == score(model, state, word)


def test_contexts_that_change_nothing_are_no_states(model: NgramModel) -> None:
    # "a b" has neither continuation nor weight: after "<s> a b" the model is where it is after "b"
    state = model.start_state
    for word in ("a", "b"):
        _, state = score(model, state, model.word_id(word))

    assert state == score(model, 0, model.word_id("b"))[1]
    assert len(model.backoff_state) == 6  # "", <s>, a, b, "<s> a", "b b"
