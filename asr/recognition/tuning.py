"""Which lm_weight and word_score to decode with: a search on dev that looks at as few points as it can.

In: a function that decodes dev with a pair of weights and counts its errors. Out: every point looked at, the best
first. A coarse grid comes first, because the surface has ridges (a larger word_score makes up for a larger lm_weight);
then the surroundings of the best point, at half the distance each round. Nothing is drawn at random: the same dev gives
the same weights.
"""

import argparse
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asr.errors import DataError

if TYPE_CHECKING:
    from asr.data.manifest import Utterance
    from asr.decoding.build import Decoder
    from asr.decoding.config import DecodingConfig
    from asr.recognition.recognizer import Recognizer
    from asr.recognition.windows import Emissions
    from asr.text.normalize import Normalizer


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


def search_weights(
    count: Callable[[float, float], DevErrors],
    *,
    lm_weights: Sequence[float] = LM_WEIGHTS,
    word_scores: Sequence[float] = WORD_SCORES,
    rounds: int = ROUNDS,
) -> list[TunePoint]:
    """All points looked at, the best first; of equals, the one nearest to no language model at all.

    ``count(lm_weight, word_score)`` decodes dev. The grid is ``lm_weights`` x ``word_scores``; each of ``rounds`` then
    looks at the eight neighbours of the best point at half the distance of the round before.
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


@dataclass(frozen=True, slots=True)
class Dev:
    """A dev set, heard once: what the model says about each recording, and the texts that are right."""

    recognizer: "Recognizer"
    emissions: "Sequence[Emissions]"
    references: Sequence[str]
    normalizer: "Normalizer"
    words: int
    characters: int

    @classmethod
    def of(cls, recognizer: "Recognizer", utterances: "Sequence[Utterance]", normalizer: "Normalizer") -> "Dev":
        """Run the model over ``utterances``. Raises AudioError for one that cannot be read, DataError without words."""
        from asr.errors import AsrError
        from asr.terminal import Progress

        references = [normalizer(one.text) for one in utterances]
        words, characters = sum(len(text.split()) for text in references), sum(map(len, references))
        if not words:
            raise DataError("lm tune: the dev set holds no words; there is nothing to tune on")
        emissions = []
        with Progress(len(utterances), "listening", "utterances") as progress:
            for one in recognizer.emissions(utterances):
                if isinstance(one, AsrError):
                    raise one
                emissions.append(one)
                progress.update()
        return cls(recognizer, emissions, references, normalizer, words, characters)

    def errors(self, decoder: "Decoder") -> "DevErrors":
        """The errors of all texts that ``decoder`` makes of the emissions."""
        from asr.scoring.counts import count_character_errors, count_word_errors

        self.recognizer.decoder = decoder
        texts = [self.normalizer(self.recognizer.decode(one).text) for one in self.emissions]
        pairs = list(zip(self.references, texts, strict=True))
        return DevErrors(
            words=sum(count_word_errors(*pair).errors for pair in pairs),
            characters=sum(count_character_errors(*pair).errors for pair in pairs),
        )

    def shown(self, errors: "DevErrors") -> str:
        """WER, as people read it."""
        return f"{errors.words / self.words:.2%} WER"


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found: errors of greedy decoding, of the beam search alone, and all points, the best first."""

    greedy: "DevErrors"
    beam: "DevErrors"
    points: "list[TunePoint]"

    @property
    def best(self) -> "TunePoint":
        """The point with the fewest errors."""
        return self.points[0]

    def facts(self, dev: Dev, options: argparse.Namespace) -> dict[str, Any]:
        """How the settings were found, for decoding.json. Error rates in percent."""
        rates = {"greedy": self.greedy, "beam": self.beam, "language_model": self.best.errors}
        return {
            "dev": str(options.manifest),
            "language_model": str(options.lm),
            "normalizer": dev.normalizer.label,
            "dev_wer": {name: round(100 * one.words / dev.words, 2) for name, one in rates.items()},
            "points": len(self.points),
        }


def tune(dev: Dev, settings: "DecodingConfig", language_model: Any) -> Tuned:
    """Decode dev greedily, by beam alone, and with the language model at every point that the search looks at."""
    from asr.decoding import greedy_decode
    from asr.decoding.beam import BeamDecoder
    from asr.terminal import Progress

    tokenizer = dev.recognizer.tokenizer
    greedy = dev.errors(greedy_decode)
    alone = dev.errors(BeamDecoder(tokenizer, settings))
    decoder = BeamDecoder(tokenizer, settings, language_model)
    with Progress(MOST_POINTS, "tuning", "pairs of weights") as progress:

        def errors_at(lm_weight: float, word_score: float) -> "DevErrors":
            errors = dev.errors(decoder.reweighted(lm_weight, word_score))
            progress.update()
            return errors

        points = search_weights(errors_at)
    return Tuned(greedy, alone, points)
