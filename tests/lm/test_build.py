"""The estimates: by hand, by brute force, and summing to 1 in every context, whatever is pruned."""

import math
import random

import numpy as np
import pytest

from asr.errors import ConfigError
from asr.lm.build import BuildOptions, build_lm, estimate_discounts
from asr.lm.model import NgramModel
from asr.lm.trie import to_model, to_trie
from tests.lm.brute_force import BruteForce
from tests.lm.plain_query import score, sentence_log_prob


def zipfian_sentences(count: int, seed: int, vocabulary: int = 30) -> list[list[str]]:
    generator = random.Random(seed)
    words = [f"w{i}" for i in range(vocabulary)]
    weights = [1 / (i + 1) for i in range(vocabulary)]
    return [generator.choices(words, weights, k=generator.randrange(0, 9)) or ["w0"] for _ in range(count)]


def model_of(sentences: list[list[str]], **options: object) -> NgramModel:
    return to_model(build_lm(sentences, BuildOptions(**options)).trie)  # type: ignore[arg-type]


def probability(model: NgramModel, word: str, context: tuple[str, ...]) -> float:
    state = 0
    if context[:1] == ("<s>",):
        state, context = model.start_state, context[1:]
    for earlier in context:
        _, state = score(model, state, model.word_id(earlier))
    return math.exp(score(model, state, model.word_id(word))[0])


def test_a_bigram_model_worked_out_by_hand() -> None:
    # Texts "a b" and "a c". Bigrams: <s> a 2, a b 1, a c 1, b </s> 1, c </s> 1: counts of counts t1 = 4, t2 = 1, no
    # t3: one absolute discount 4 / (4 + 2) = 2/3. Unigrams by what stands to their left: a 1, b 1, c 1, </s> 2:
    # t1 = 3, t2 = 1, discount 3/5. Uniform over a, b, c, </s>, <unk>: 1/5. gamma() = 4 * 3/5 / 5 = 12/25.
    model = model_of([["a", "b"], ["a", "c"]], order=2)
    unknown = 12 / 25 / 5
    b = (1 - 3 / 5) / 5 + unknown
    end = (2 - 3 / 5) / 5 + unknown

    assert probability(model, "zebra", ()) == pytest.approx(unknown, rel=1e-6)
    assert probability(model, "b", ()) == pytest.approx(b, rel=1e-6)
    assert probability(model, "</s>", ()) == pytest.approx(end, rel=1e-6)
    assert probability(model, "b", ("a",)) == pytest.approx((1 - 2 / 3) / 2 + 2 / 3 * b, rel=1e-6)
    assert probability(model, "</s>", ("a",)) == pytest.approx(2 / 3 * end, rel=1e-6)
    assert probability(model, "a", ("<s>",)) == pytest.approx((2 - 2 / 3) / 2 + 1 / 3 * b, rel=1e-6)
    assert probability(model, "</s>", ("b",)) == pytest.approx((1 - 2 / 3) + 2 / 3 * end, rel=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_probability_equals_brute_force(order: int) -> None:
    sentences = zipfian_sentences(200, seed=order, vocabulary=300)
    built = build_lm(sentences, BuildOptions(order=order))
    model = to_model(built.trie)
    reference = BruteForce(sentences, order, [discounts.values for discounts in built.discounts])
    contexts = {(), ("<s>",), *(tuple(s[i : i + order - 1]) for s in sentences[:9] for i in range(len(s)))}
    contexts |= {("<s>", *s[: order - 2]) for s in sentences[:20] if order > 2}

    for context in sorted(contexts) if order > 1 else [()]:
        for word in reference.vocabulary[:: 1 if len(context) < 2 else 17]:
            expected = reference.probability(word, context)
            assert probability(model, word, context) == pytest.approx(expected, rel=2e-6), (context, word)
    modified = [length for length, found in enumerate(built.discounts, start=1) if found.source == "modified"]
    assert modified
    for length in modified:
        assert built.discounts[length - 1].values == pytest.approx(reference.estimate(length))


def test_discounts_follow_the_paper() -> None:
    # t = 40, 10, 4, 2: Y = 40 / 60; D1 = 1 - 2 Y 10/40, D2 = 2 - 3 Y 4/10, D3 = 3 - 4 Y 2/4
    adjusted = np.repeat([1, 2, 3, 4, 9], [40, 10, 4, 2, 7]).astype(np.int32)

    found = estimate_discounts(adjusted)

    assert found.source == "modified"
    assert found.values == pytest.approx((1 - 1 / 3, 2 - 0.8, 3 - 4 / 3))


@pytest.mark.parametrize(
    ("counts", "values", "source"),
    [
        ([1, 1, 2], (0.5, 0.5, 0.5), "absolute"),  # no 3 and no 4
        ([1] * 2 + [2] * 2 + [3] * 9 + [4], (1 / 3,) * 3, "absolute"),  # D2 would be 2 - 3/3 * 9/2 < 0
        ([1, 1, 1], (0.5, 1.0, 1.5), "default"),
        ([5, 9], (0.5, 1.0, 1.5), "default"),
        ([], (0.5, 1.0, 1.5), "default"),
    ],
)
def test_counts_that_give_no_discounts_fall_back(counts: list[int], values: tuple[float, ...], source: str) -> None:
    found = estimate_discounts(np.array(counts, np.int32))

    assert found.source == source
    assert found.values == pytest.approx(values)


VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "cutoffs": {"cutoffs": (0, 0, 1, 2)},
    "entropy": {"prune_entropy": 1e-4},
    "both": {"cutoffs": (0, 1), "prune_entropy": 3e-5},
    "few words": {"vocab_size": 8},
    "given words": {"limit": ("w1", "w2", "w5", "never")},
    "unigrams": {"order": 1},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_context_sums_to_1(name: str) -> None:
    model = model_of(zipfian_sentences(300, seed=7), **({"order": 4} | VARIANTS[name]))

    for state in range(len(model.backoff_state)):
        total = sum(math.exp(score(model, state, word)[0]) for word in range(len(model.words)) if word != model.bos)
        assert total == pytest.approx(1.0, abs=2e-6), state
    assert math.exp(score(model, 0, model.bos)[0]) < 1e-90  # <s> is never predicted


@pytest.mark.parametrize("texts", [[["a"]], [["a", "a", "a"]], [["a"], ["a"], ["b"]], [["a", "b"]] * 50])
def test_tiny_texts_give_models_that_sum_to_1(texts: list[list[str]]) -> None:
    model = model_of(texts, order=3)

    for state in range(len(model.backoff_state)):
        words = (word for word in range(len(model.words)) if word != model.bos)
        assert sum(math.exp(score(model, state, word)[0]) for word in words) == pytest.approx(1.0, abs=1e-6)


def test_cutoffs_drop_what_is_seen_so_often_or_less() -> None:
    sentences = zipfian_sentences(300, seed=3)
    raw: dict[tuple[str, ...], int] = {}
    for sentence in sentences:
        padded = ("<s>", *sentence, "</s>")
        for i in range(len(padded) - 2):
            raw[padded[i : i + 3]] = raw.get(padded[i : i + 3], 0) + 1

    built = build_lm(sentences, BuildOptions(order=3, cutoffs=(0, 0, 2)))

    assert built.trie.counts[2] == sum(count > 2 for count in raw.values())
    assert built.counted[2] == len(raw)


def test_entropy_pruning_costs_little_and_more_with_a_higher_threshold() -> None:
    sentences = zipfian_sentences(2000, seed=5)
    sizes, losses = [], []
    for threshold in (0.0, 1e-6, 1e-5, 1e-4):
        built = build_lm(sentences, BuildOptions(order=3, prune_entropy=threshold))
        model = to_model(built.trie)
        sizes.append(len(model.arc_word))
        losses.append(-sum(sentence_log_prob(model, one) for one in sentences) / built.tokens)

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[3] < sizes[0] / 3
    assert losses == sorted(losses)


def test_entropy_pruning_drops_just_the_bigrams_whose_loss_is_below_the_threshold() -> None:
    # Relative entropy of the model with and without one bigram, by summing over all words, weighted with how often its
    # context stands in the text (Stolcke's equation 2; a probability is p, or weight(h) p(w) without the bigram).
    sentences, threshold = zipfian_sentences(300, seed=9), 2e-4
    full = build_lm(sentences, BuildOptions(order=2)).trie
    model = to_model(full)
    tokens = [word for sentence in sentences for word in ("<s>", *sentence, "</s>")]
    predicted = len(tokens) - len(sentences)
    vocabulary = [word for word in full.words if word != "<s>"]
    below = {word: probability(model, word, ()) for word in vocabulary}

    kept = set()
    for parent, number in zip(full.parent[full.counts[0] :], full.word[full.counts[0] :], strict=True):
        context, word = full.words[parent - 1], full.words[number]
        p = {w: probability(model, w, (context,)) for w in vocabulary}
        explicit = {full.words[w] for w in full.word[1:][full.parent[1:] == parent]} - {word}
        weight = (1 - sum(p[w] for w in explicit)) / (1 - sum(below[w] for w in explicit))
        q = {w: p[w] if w in explicit else weight * below[w] for w in vocabulary}
        entropy = sum(p[w] * math.log(p[w] / q[w]) for w in vocabulary)
        if math.expm1(tokens.count(context) / predicted * entropy) >= threshold:
            kept.add((context, word))

    pruned = build_lm(sentences, BuildOptions(order=2, prune_entropy=threshold)).trie
    first = pruned.counts[0]
    found = {
        (pruned.words[parent - 1], pruned.words[word])
        for parent, word in zip(pruned.parent[first:], pruned.word[first:], strict=True)
    }
    assert found == kept
    assert 20 < len(kept) < 0.7 * full.counts[1]


def test_words_outside_the_vocabulary_are_counted_as_unknown() -> None:
    built = build_lm([["a", "b", "a", "c"], ["a", "d"]], BuildOptions(order=2, vocab_size=1))

    assert built.trie.words == ("<unk>", "<s>", "</s>", "a")
    assert (built.tokens, built.unknown) == (8, 3)
    assert probability(to_model(built.trie), "anything", ("a",)) > 0.3


def test_given_words_are_in_the_model_unseen_ones_too() -> None:
    built = build_lm([["a", "b"]], BuildOptions(order=2, limit=["b", "z"]))

    assert set(built.trie.words) == {"<unk>", "<s>", "</s>", "b", "z"}


def test_a_model_and_its_trie_turn_into_each_other() -> None:
    built = build_lm(zipfian_sentences(200, seed=1), BuildOptions(order=4, cutoffs=(0, 1)))

    again = to_trie(to_model(built.trie))

    assert again.counts == built.trie.counts
    for name in ("parent", "word", "log_prob", "backoff"):
        np.testing.assert_array_equal(getattr(again, name), getattr(built.trie, name))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 0}, "order must be 1 to 10"),
        ({"cutoffs": (1, 1)}, "must begin with 0"),
        ({"cutoffs": (0, 2, 1)}, "never decrease"),
        ({"order": 2, "cutoffs": (0, 0, 1)}, "3 numbers"),
        ({"unit": "syllable"}, "word or character"),
        ({"prune_entropy": -1.0}, "prune-entropy"),
        ({"vocab_size": 0}, "vocab-size"),
        ({"min_count": 0}, "min-count"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        BuildOptions(**options)  # type: ignore[arg-type]
