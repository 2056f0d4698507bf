"""What the beam search must agree with: every path counted, every rule of scoring said in a line of plain Python."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from asr.ctc import collapse
from asr.lm import NgramModel, read_lm
from tests.lm.plain_query import sentence_log_prob

# Made up, but proper: bigrams with backoff weights, one of them ("ab b") far from what its unigrams say.
WORD_ARPA = """
\\data\\
ngram 1=7
ngram 2=6

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.3
-0.8\t</s>
-0.6\ta\t-0.2
-0.7\tab\t-0.4
-1.1\tba\t-0.1
-1.6\tb\t-0.25

\\2-grams:
-0.3\t<s> a
-0.9\t<s> ba
-0.2\ta ab
-0.05\tab b
-0.4\tb </s>
-0.5\tba a

\\end\\
"""
CHARACTER_ARPA = """
\\data\\
ngram 1=6
ngram 2=6

\\1-grams:
-1.3\t<unk>
-99\t<s>\t-0.3
-0.9\t</s>
-0.5\ta\t-0.2
-0.7\tb\t-0.4
-0.6\t<space>\t-0.1

\\2-grams:
-0.2\t<s> a
-0.3\ta <space>
-0.4\t<space> b
-0.25\tb a
-0.35\tb </s>
-0.8\t<space> a

\\end\\
"""


def arpa(folder: Path, text: str) -> NgramModel:
    path = folder / "model.arpa"
    path.write_text(text.lstrip(), encoding="utf-8")
    return read_lm(path)


def emissions(frames: int, vocab: int, seed: int, scale: float = 1.5) -> np.ndarray:
    """Random log-probabilities (frames, vocab), float32."""
    logits = np.random.default_rng(seed).standard_normal((frames, vocab)) * scale
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def peaky_emissions(frames: int, vocab: int, seed: int) -> np.ndarray:
    """Like a trained model's: a token every fourth frame or so, blanks between, some frames in doubt."""
    generator = np.random.default_rng(seed)
    chosen = np.where(generator.random(frames) < 0.25, generator.integers(1, vocab, frames), 0)
    logits = generator.standard_normal((frames, vocab))
    logits[np.arange(frames), chosen] += generator.uniform(4, 14, frames)
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def every_labelling(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """The exact log-probability of every labelling, by adding up every path."""
    frames, vocab = log_probs.shape
    paths: dict[tuple[int, ...], list[float]] = {}
    for path in itertools.product(range(vocab), repeat=frames):
        score = float(sum(log_probs[frame, token].astype(float) for frame, token in enumerate(path)))
        paths.setdefault(tuple(collapse(path)), []).append(score)
    return {labels: float(np.logaddexp.reduce(scores)) for labels, scores in paths.items()}


def every_text(
    log_probs: np.ndarray, text_of: Callable[[Sequence[int]], str], worth: Callable[[str], float] = lambda text: 0.0
) -> list[tuple[str, float]]:
    """All texts with their total scores, best first; a text whose worth is -inf may not be."""
    totals: dict[str, float] = {}
    for labels, score in every_labelling(log_probs).items():
        text = " ".join(text_of(labels).split())
        totals[text] = float(np.logaddexp(totals.get(text, -np.inf), score))
    scored = [(text, total + worth(text)) for text, total in totals.items()]
    return sorted((one for one in scored if one[1] > -math.inf), key=lambda one: -one[1])


def every_text_by_phones(
    log_probs: np.ndarray,
    phones: Sequence[str],
    pronunciations: Mapping[str, Sequence[str]],
    worth: Callable[[str], float],
) -> list[tuple[str, float]]:
    """The same where labels are phones: each labelling counts for every word sequence with that pronunciation."""
    totals: dict[str, float] = {}

    def divide(sounds: tuple[str, ...], words: list[str], score: float) -> None:
        if not sounds:
            text = " ".join(words)
            totals[text] = float(np.logaddexp(totals.get(text, -np.inf), score))
        for word, several in pronunciations.items():
            for one in map(str.split, several):
                if sounds[: len(one)] == tuple(one):
                    divide(sounds[len(one) :], [*words, word], score)

    for labels, score in every_labelling(log_probs).items():
        divide(tuple(phones[one] for one in labels), [], score)
    scored = [(text, total + worth(text)) for text, total in totals.items()]
    return sorted((one for one in scored if one[1] > -math.inf), key=lambda one: -one[1])


def word_worth(text: str, model: NgramModel, lm_weight: float, word_score: float, unk_score: float) -> float:
    words = text.split()
    unknown = sum(model.word_id(word) == model.unk for word in words)
    return lm_weight * (sentence_log_prob(model, words) + unk_score * unknown) + word_score * len(words)


def character_worth(text: str, model: NgramModel, lm_weight: float, unk_score: float) -> float:
    letters = ["<space>" if letter == " " else letter for letter in text]
    unknown = sum(model.word_id(letter) == model.unk for letter in letters)
    return lm_weight * (sentence_log_prob(model, letters) + unk_score * unknown)


def hotword_worth(text: str, boosts: Mapping[str, float]) -> float:
    """Every place where a phrase stands as whole words; places may overlap."""
    words = text.split()
    worth = 0.0
    for phrase, boost in boosts.items():
        parts = phrase.split()
        worth += boost * sum(words[at : at + len(parts)] == parts for at in range(len(words)))
    return worth


def plain_prefix_beam(log_probs: np.ndarray, beam_width: int) -> list[tuple[tuple[int, ...], float]]:
    """The textbook search (Hannun et al., 2014), without a language model, to be read rather than to be fast."""

    def add(one: float, other: float) -> float:
        if one == -math.inf or other == -math.inf:
            return max(one, other)
        return max(one, other) + math.log1p(math.exp(-abs(one - other)))

    # prefix -> log-probability of its paths ending in a blank, and in its last label
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for row in log_probs.tolist():
        following: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (blank, label) in beam.items():
            total = add(blank, label)
            for token, log_prob in enumerate(row):
                if token == 0:
                    ends = following.get(prefix, (-math.inf, -math.inf))
                    following[prefix] = (add(ends[0], total + log_prob), ends[1])
                    continue
                repeats = bool(prefix) and token == prefix[-1]
                if repeats:
                    ends = following.get(prefix, (-math.inf, -math.inf))
                    following[prefix] = (ends[0], add(ends[1], label + log_prob))
                longer = (*prefix, token)
                ends = following.get(longer, (-math.inf, -math.inf))
                following[longer] = (ends[0], add(ends[1], (blank if repeats else total) + log_prob))
        best = sorted(following.items(), key=lambda item: -add(*item[1]))[:beam_width]
        beam = dict(best)
    return [(prefix, add(*ends)) for prefix, ends in beam.items()]
