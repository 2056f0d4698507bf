"""The options of decoding that several verbs share, as typed, checked values.

In: words. Out: `DecoderOptions`, or one message that says which of them do not go together.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.commands._arguments import count, number
from asr.errors import UsageError

NONE = Path("none")
DEFAULT_BOOST = 5.0  # nats a hotword earns


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderOptions:
    """How to decode; None leaves the default. The name is "beam" where only a beam search can do what is asked."""

    name: str | None = None  # "greedy" or "beam"
    beam_width: int | None = None
    language_model: Path | None = None  # Path("none"): without one, whatever the model directory holds
    lm_weight: float | None = None
    word_score: float | None = None
    lexicon: Path | None = None
    hotwords: tuple[tuple[str, float], ...] = ()
    n_best: int = 1

    def given(self) -> dict[str, Any]:
        """The keys of `asr.decoding.DecodingConfig` that were asked for, with their values."""
        values: dict[str, Any] = {
            "beam_width": self.beam_width,
            "language_model": None if self.language_model in (None, NONE) else str(self.language_model),
            "lm_weight": self.lm_weight,
            "word_score": self.word_score,
            "lexicon": None if self.lexicon is None else str(self.lexicon),
            "hotwords": dict(self.hotwords) or None,
            "n_best": self.n_best if self.n_best > 1 else None,
        }
        given = {key: value for key, value in values.items() if value is not None}
        if self.language_model == NONE:
            given["language_model"] = None
        name = self.name or ("beam" if given else None)
        return given if name is None else {"name": name, **given}


def add_decoding(group: "argparse._ArgumentGroup") -> None:
    """Add them to a parser's group."""
    group.add_argument(
        "--decoder",
        choices=("greedy", "beam"),
        help="default: as tuned (asr lm tune), or beam where it is needed, or greedy",
    )
    group.add_argument("--beam-width", type=count, metavar="N", help="texts kept in the race")
    group.add_argument("--lm", type=Path, metavar="FILE", help="a language model, binary or ARPA, or none")
    group.add_argument("--lm-weight", type=number, metavar="X", help="how much the language model counts")
    group.add_argument("--word-score", type=number, metavar="X", help="added for each word: more of them, or fewer")
    group.add_argument("--lexicon", type=Path, metavar="FILE", help="a word a line; no others are written")
    group.add_argument(
        "--hotword", type=hotword, action="append", default=[], metavar="WORD[:BOOST]",
        help=f"listen for a word or phrase; repeatable (boost: {DEFAULT_BOOST})",
    )  # fmt: skip
    group.add_argument("--n-best", type=count, default=1, metavar="N", help="alternative texts, in json (default: 1)")


def decoder_options(found: argparse.Namespace) -> DecoderOptions:
    """What was parsed. Raises UsageError for options that do not go together."""
    decoder = DecoderOptions(
        name=found.decoder,
        beam_width=found.beam_width,
        language_model=found.lm,
        lm_weight=found.lm_weight,
        word_score=found.word_score,
        lexicon=found.lexicon,
        hotwords=tuple(found.hotword),
        n_best=found.n_best,
    )
    _check(decoder)
    return decoder


def _check(decoder: DecoderOptions) -> None:
    beam = {key for key in decoder.given() if key != "name"}
    if decoder.name == "greedy" and beam:
        raise UsageError(f"--decoder greedy has no use for {', '.join(sorted(beam))}; leave out one or the other")
    if decoder.lm_weight is not None and decoder.lm_weight < 0:
        raise UsageError(f"--lm-weight {decoder.lm_weight} must be 0 or more")
    if decoder.lm_weight is not None and decoder.language_model == NONE:
        raise UsageError("--lm none leaves --lm-weight without a language model to weigh; leave out one or the other")
    for name, path in (("--lm", decoder.language_model), ("--lexicon", decoder.lexicon)):
        if path not in (None, NONE) and not path.is_file():
            raise UsageError(f"{name} {path}: no such file")


def check_lm_weight(lm_weight: float | None, language_model: str | None) -> None:
    """Raise UsageError where a weight was asked for and, all read, there is no ``language_model`` to weigh."""
    if lm_weight is not None and language_model is None:
        raise UsageError("--lm-weight: the model directory holds no language model; give one with --lm FILE")


def hotword(text: str) -> tuple[str, float]:
    """``WORD[:BOOST]``, for argparse."""
    word, colon, boost = text.rpartition(":")
    if not colon:
        word, boost = text, str(DEFAULT_BOOST)
    if not word.strip():
        raise argparse.ArgumentTypeError(f"{text!r} holds no word")
    return " ".join(word.split()), number(boost)
