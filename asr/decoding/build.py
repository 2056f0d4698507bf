"""A decoder from settings: the one place that reads the files which they name.

In: ``DecodingConfig`` and the model's tokenizer. Out: what the recogniser calls with log-probabilities. numba is
imported here only when a beam search is asked for.
"""

import logging
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asr.decoding.config import DecodingConfig
from asr.decoding.greedy import DecodedText, GreedySearch, greedy_decode
from asr.errors import ConfigError
from asr.text.tokenizer import Tokenizer

log = logging.getLogger("asr.decoding")


class Decoder(Protocol):
    """Log-probabilities ``(batch, frames, vocab)`` with lengths ``(batch,)`` to one text each."""

    def __call__(self, log_probs: ArrayLike, lengths: ArrayLike, tokenizer: Tokenizer) -> list[DecodedText]: ...


class Search(Protocol):
    """The decoding of one recording that comes in parts."""

    def advance(self, log_probs: NDArray[np.float32]) -> None:
        """The next ``(frames, vocab)``."""

    def tokens(self) -> tuple[int, ...]:
        """The label ids that are the likeliest so far."""

    def settled(self) -> int:
        """How many of them nothing that follows changes."""

    def finish(self) -> DecodedText:
        """The text, where the recording ends here."""


def begin_search(decoder: Decoder, tokenizer: Tokenizer) -> Search:
    """A search that gives what ``decoder``, one that ``build_decoder`` made, gives for the whole."""
    if decoder is greedy_decode:
        return GreedySearch(tokenizer)
    from asr.decoding.beam import BeamDecoder

    if not isinstance(decoder, BeamDecoder):
        raise TypeError(f"{type(decoder).__name__} cannot decode a recording in parts")
    return decoder.begin()


def reads_phones(decoder: Decoder) -> bool:
    """Whether ``decoder`` reads log-probabilities of the model's phones in place of those of its tokens."""
    return getattr(decoder, "reads_phones", False)


def build_decoder(settings: DecodingConfig, tokenizer: Tokenizer, phones: Sequence[str] = ()) -> Decoder:
    """Greedy decoding or a ``BeamDecoder``, with its language model, lexicon and pronunciations read.

    ``phones``: of the model, the blank first. Where a hotword or a word of the lexicon has no pronunciation, the search
    goes by the tokens, which spell every word, and a warning is logged. Raises ConfigError when greedy decoding is
    given what only a beam search uses, when a file cannot be read, or when what is read shares nothing with the tokens
    or phones; ModelError when the language model cannot be read.
    """
    if settings.name == "greedy":
        _check_greedy(settings)
        return greedy_decode
    from asr.decoding.beam import BeamDecoder
    from asr.decoding.phone_lexicon import PhoneLexicon
    from asr.lm import read_lm
    from asr.text.pronunciations import read_pronunciations

    model = read_lm(Path(settings.language_model)) if settings.language_model else None
    lexicon = read_lexicon(Path(settings.lexicon)) if settings.lexicon else None
    phone_lexicon = None
    if settings.pronunciations:
        if not phones:
            raise ConfigError(
                f"decoding.pronunciations={settings.pronunciations}: this model knows no phones; train one with"
                " training.loss.intermediate_lexicon on its last layer, or decode without pronunciations"
            )
        pronunciations = read_pronunciations(Path(settings.pronunciations), "decoding.pronunciations")
        phone_lexicon = PhoneLexicon(phones, pronunciations)
        wanted = [*(lexicon or ()), *(word for phrase in settings.hotwords or () for word in phrase.split())]
        if lacking := phone_lexicon.lacking(wanted):
            log.warning(
                "decoding.pronunciations=%s has no pronunciation of %s: the search goes by the model's tokens, not by"
                " its phones, with more errors; give it (--pronunciations) a dictionary with a line WORD PHONE ... for"
                " each, in the model's phones: %s",
                settings.pronunciations,
                ", ".join(lacking[:5]) + f" and {len(lacking) - 5:,} more words" * (len(lacking) > 5),
                " ".join(phones[1:]),
            )
            phone_lexicon = None
    return BeamDecoder(tokenizer, settings, model, lexicon, settings.hotwords, phone_lexicon)


def read_lexicon(path: Path) -> list[str]:
    """The first word of each line (a pronunciation may follow), in NFC as the model's texts are; empty lines are left
    out. Raises ConfigError.
    """
    try:
        lines = unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"decoding.lexicon: {path} cannot be read ({reason})") from None
    words = list(dict.fromkeys(line.split()[0] for line in lines if line.split()))
    if not words:
        raise ConfigError(f"decoding.lexicon: {path} holds no words; write one a line")
    return words


def _check_greedy(settings: DecodingConfig) -> None:
    for key in ("language_model", "lexicon", "hotwords", "pronunciations"):
        if getattr(settings, key):
            raise ConfigError(f"decoding.{key} is for the beam search and would be ignored; set decoding.name=beam")
