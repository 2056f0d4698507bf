"""Find ``lm_weight`` and ``word_score`` for a language model on a dev set.

In: a recogniser, utterances with their texts, a language model. Out: a ``TuningResult``: the errors of greedy decoding,
of the beam search alone, and of every pair of weights that was tried. The model runs once; its output is decoded once
for each pair.

The search tries as few pairs as it can. A coarse grid comes first, because the surface has ridges (a larger word_score
makes up for a larger lm_weight); then the neighbours of the best pair, at half the distance each round. Nothing is
drawn at random: the same dev set gives the same weights.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NotRequired, TypedDict

from asr.cores import usable_cores
from asr.data.manifest import Utterance
from asr.decoding import DecodingConfig, greedy_decode
from asr.decoding.beam import BeamDecoder
from asr.decoding.build import Decoder
from asr.decoding.phone_lexicon import PhoneLexicon
from asr.errors import AsrError, DataError
from asr.lm.model import NgramModel
from asr.recognition.recognizer import Recognizer
from asr.recognition.windows import Emissions
from asr.scoring.counts import count_character_errors, count_word_errors
from asr.text.normalize import Normalizer
from asr.text.pronunciations import Pronunciations

LM_WEIGHTS = (0.2, 0.6, 1.0, 1.4)
WORD_SCORES = (-1.0, 0.5, 2.0)
ROUNDS = 2
LARGEST_WEIGHT = 5.0
MOST_POINTS = len(LM_WEIGHTS) * len(WORD_SCORES) + 8 * ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DevErrors:
    """Errors on dev, compared by words first and by characters where words are equal."""

    words: int
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TunePoint:
    """``errors`` on dev with ``lm_weight`` (α) and ``word_score`` (β)."""

    lm_weight: float
    word_score: float
    errors: DevErrors


class TuningFacts(TypedDict):
    """How the settings of decoding.json were found. Error rates in percent. ``pronunciations``: of the dictionary,
    where there was one, the file's name, its words and its SHA-256.
    """

    dev: str
    language_model: str
    normalizer: str
    dev_wer: dict[str, float]
    points: int
    pronunciations: NotRequired[dict[str, str | int]]


@dataclass(frozen=True, slots=True)
class DevSet:
    """A dev set after one run of the model: its output for each recording, and the references, normalised."""

    recognizer: Recognizer
    emissions: Sequence[Emissions]
    references: Sequence[str]
    normalizer: Normalizer
    words: int
    characters: int

    @classmethod
    def of(
        cls,
        recognizer: Recognizer,
        utterances: Sequence[Utterance],
        normalizer: Normalizer,
        on_utterance: Callable[[], None] = lambda: None,
    ) -> "DevSet":
        """Run the model over ``utterances``; ``on_utterance()`` is called after each.

        Raises AudioError for a recording that cannot be read, DataError when the references hold no words.
        """
        references = [normalizer(one.text) for one in utterances]
        words, characters = sum(len(text.split()) for text in references), sum(map(len, references))
        if not words:
            raise DataError("lm tune: the dev set holds no words; there is nothing to tune on")
        emissions = []
        for one in recognizer.emissions(utterances):
            if isinstance(one, AsrError):
                raise one
            emissions.append(one)
            on_utterance()
        return cls(recognizer, emissions, references, normalizer, words, characters)

    def errors(self, decoder: Decoder) -> DevErrors:
        """The errors of all texts that ``decoder`` makes of the model's output."""
        self.recognizer.decoder = decoder
        with ThreadPoolExecutor(usable_cores()) as pool:  # the search releases the GIL
            texts = list(pool.map(lambda one: self.normalizer(self.recognizer.decode(one).text), self.emissions))
        pairs = list(zip(self.references, texts, strict=True))
        return DevErrors(
            words=sum(count_word_errors(*pair).errors for pair in pairs),
            characters=sum(count_character_errors(*pair).errors for pair in pairs),
        )


@dataclass(frozen=True, slots=True)
class TuningResult:
    """Errors of greedy decoding, of the beam search alone, and all pairs of weights tried, the best first.

    ``settings``: those of the beam search, with the best weights. ``words``, ``characters``: of the dev set.
    """

    greedy: DevErrors
    beam: DevErrors
    points: list[TunePoint]
    settings: DecodingConfig
    words: int
    characters: int
    normalizer: str

    @property
    def best(self) -> TunePoint:
        """The pair with the fewest errors."""
        return self.points[0]

    @property
    def helps(self) -> bool:
        """Whether the language model does better than greedy decoding."""
        return self.best.errors < self.greedy

    def facts(self, manifest: Path, language_model: Path) -> TuningFacts:
        """For decoding.json."""
        rates = {"greedy": self.greedy, "beam": self.beam, "language_model": self.best.errors}
        return {
            "dev": str(manifest),
            "language_model": str(language_model),
            "normalizer": self.normalizer,
            "dev_wer": {name: round(100 * one.words / self.words, 2) for name, one in rates.items()},
            "points": len(self.points),
        }


def tune(
    dev: DevSet,
    beam_width: int,
    language_model: NgramModel,
    on_point: Callable[[], None] = lambda: None,
    pronunciations: Pronunciations | None = None,
) -> TuningResult:
    """Decode ``dev`` greedily, by beam alone, and with the language model at every pair of weights that is tried.

    ``pronunciations``: the beam searches go by the model's phones. ``on_point()`` is called after each of these pairs,
    ``MOST_POINTS`` times at most.
    """
    tokenizer = dev.recognizer.tokenizer
    settings = DecodingConfig(name="beam", beam_width=beam_width)
    greedy = dev.errors(greedy_decode)
    phone_lexicon = None if pronunciations is None else PhoneLexicon(dev.recognizer.pretrained.phones, pronunciations)
    alone = dev.errors(BeamDecoder(tokenizer, settings, phone_lexicon=phone_lexicon))
    decoder = BeamDecoder(tokenizer, settings, language_model, phone_lexicon=phone_lexicon)

    def errors_at(lm_weight: float, word_score: float) -> DevErrors:
        errors = dev.errors(decoder.reweighted(lm_weight, word_score))
        on_point()
        return errors

    points = search_weights(errors_at)
    settings = replace(settings, lm_weight=points[0].lm_weight, word_score=points[0].word_score)
    return TuningResult(greedy, alone, points, settings, dev.words, dev.characters, dev.normalizer.label)


def search_weights(
    count: Callable[[float, float], DevErrors],
    *,
    lm_weights: Sequence[float] = LM_WEIGHTS,
    word_scores: Sequence[float] = WORD_SCORES,
    rounds: int = ROUNDS,
) -> list[TunePoint]:
    """All pairs tried, the best first; of equals, the one nearest to no language model at all.

    ``count(lm_weight, word_score)`` decodes dev. The grid is ``lm_weights`` x ``word_scores``; each of ``rounds`` then
    tries the eight neighbours of the best pair at half the distance of the round before.
    """
    found: dict[tuple[float, float], DevErrors] = {}
    for pair in itertools.product(lm_weights, word_scores):
        found[pair] = count(*pair)
    steps = [_spacing(lm_weights), _spacing(word_scores)]
    for _ in range(rounds):
        steps = [step / 2 for step in steps]
        for pair in _around(min(found, key=lambda one: _rank(one, found[one])), steps):
            if pair not in found:
                found[pair] = count(*pair)
    ranked = sorted(found, key=lambda one: _rank(one, found[one]))
    return [TunePoint(lm_weight=pair[0], word_score=pair[1], errors=found[pair]) for pair in ranked]


def _around(centre: tuple[float, float], steps: Sequence[float]) -> list[tuple[float, float]]:
    moves = itertools.product((-1, 0, 1), repeat=2)
    pairs = [(round(centre[0] + x * steps[0], 4), round(centre[1] + y * steps[1], 4)) for x, y in moves]
    return [pair for pair in pairs if 0 < pair[0] <= LARGEST_WEIGHT]


def _rank(pair: tuple[float, float], errors: DevErrors) -> tuple[DevErrors, float, float]:
    return (errors, pair[0], abs(pair[1]))


def _spacing(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / max(1, len(values) - 1)
