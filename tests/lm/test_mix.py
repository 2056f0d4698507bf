"""A mixture holds the weighted sums, sums to 1, and its weights are those under which a text is likeliest."""

import math

import numpy as np
import pytest

from asr.errors import DataError, ModelError
from asr.lm.build import BuildOptions, build_lm
from asr.lm.mix import fit_weights, mix
from asr.lm.query import measure
from asr.lm.trie import NgramTrie, to_model
from tests.lm.plain_query import score
from tests.lm.test_build import probability, zipfian_sentences

SMALL = [["one", "two"], ["two", "w3", "one"], ["w3", "w1"], ["one"]] * 3


@pytest.fixture(scope="module")
def small() -> NgramTrie:
    return build_lm(SMALL, BuildOptions(order=2)).trie


@pytest.fixture(scope="module")
def large() -> NgramTrie:
    return build_lm(zipfian_sentences(300, seed=8), BuildOptions(order=3, cutoffs=(0, 0, 1))).trie


def test_each_ngram_has_the_weighted_sum_of_the_models_probabilities(small: NgramTrie, large: NgramTrie) -> None:
    mixed, first, second = to_model(mix([small, large], [0.3, 0.7])), to_model(small), to_model(large)

    for context, word in [((), "w3"), (("w3",), "w1"), (("<s>",), "w3"), (("<s>", "w0"), "w0"), ((), "</s>")]:
        own = [probability(model, word, context) if word in model.words else 0.0 for model in (first, second)]
        expected = 0.3 * own[0] + 0.7 * own[1]
        assert probability(mixed, word, context) == pytest.approx(expected, rel=1e-5), (context, word)
    assert probability(mixed, "one", ()) == pytest.approx(0.3 * probability(first, "one", ()), rel=1e-5)  # one knows it
    assert probability(mixed, "two", ("one",)) == pytest.approx(0.3 * probability(first, "two", ("one",)), rel=1e-5)


def test_every_context_of_a_mixture_sums_to_1(small: NgramTrie, large: NgramTrie) -> None:
    mixed = to_model(mix([small, large], [0.5, 0.5]))

    assert set(mixed.words) == set(small.words) | set(large.words)
    assert mixed.order == 3
    for state in range(len(mixed.backoff_state)):
        words = (word for word in range(len(mixed.words)) if word != mixed.bos)
        assert sum(math.exp(score(mixed, state, word)[0]) for word in words) == pytest.approx(1.0, abs=3e-6)


def test_a_model_mixed_with_itself_is_itself(large: NgramTrie) -> None:
    mixed = mix([large, large], [0.4, 0.6])

    assert mixed.counts == large.counts
    np.testing.assert_allclose(mixed.log_prob[2:], large.log_prob[2:], atol=1e-5)
    np.testing.assert_allclose(mixed.backoff, large.backoff, atol=1e-4)


def test_fitted_weights_are_the_best_on_the_text(small: NgramTrie, large: NgramTrie) -> None:
    # The likelihood of the two models' unmixed probabilities, searched on a grid, must peak at the fitted weight.
    dev = [["one", "two", "w3"], ["w0", "w1"], ["w1", "w0", "w2"], ["two", "nowhere"]]
    weight = fit_weights([small, large], dev)[0]

    def log_likelihood(share: float) -> float:
        total = 0.0
        for sentence in dev:
            states = [to_model(small).start_state, to_model(large).start_state]
            for word in [*sentence, "</s>"]:
                p = [0.0, 0.0]
                for i, model in enumerate((to_model(small), to_model(large))):
                    log_prob, states[i] = score(model, states[i], model.word_id(word))
                    p[i] = math.exp(log_prob) if word in model.words else 0.0
                mixture = share * p[0] + (1 - share) * p[1]
                total += math.log(mixture) if mixture else 0.0  # no model knows "nowhere"
        return total

    best = max(np.linspace(0.01, 0.99, 99), key=log_likelihood)
    assert weight == pytest.approx(best, abs=0.0101)
    assert 0.1 < weight < 0.9


def test_a_fitted_mixture_beats_both_on_text_between_them(small: NgramTrie, large: NgramTrie) -> None:
    dev = [*SMALL[:4], *zipfian_sentences(4, seed=99)]
    mixed = mix([small, large], fit_weights([small, large], dev))

    found = [measure(to_model(trie), dev).including_unknown for trie in (mixed, large)]

    assert found[0] < found[1]


def test_what_cannot_be_mixed_is_refused(small: NgramTrie) -> None:
    characters = build_lm([["a", "<space>", "b"]], BuildOptions(order=2, unit="character")).trie
    with pytest.raises(ModelError, match="character and word"):
        mix([small, characters], [0.5, 0.5])
    with pytest.raises(DataError, match="no words"):
        fit_weights([small, small], [])
