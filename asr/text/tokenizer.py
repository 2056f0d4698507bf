"""Tokenizers: transcripts to token ids and back. Id 0 is always the CTC blank.

In: the training transcripts. Out: a tokenizer that spells any text over the same characters, and a plain ``dict`` that
goes into the model directory, so that a model always has its tokens.
"""

import base64
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from asr.errors import ConfigError, DataError, ModelDamagedError, ModelError, TextError
from asr.schema import check, check_choice

BLANK_ID = 0
BLANK = "<blank>"
NAMES = ("characters", "words", "sentencepiece")


@dataclass(kw_only=True, slots=True)
class TokenizerConfig:
    """``name``: "characters"; "words" (a closed vocabulary: digits, commands); or "sentencepiece" (needs that extra).

    ``vocab_size``: how many tokens sentencepiece makes, the blank included. Of characters: ``units``, letters of
    several characters (ng, sh, aa) that are one token each, or a file of them, white space between them; of several
    that fit, the longest is taken. ``graphemes``: a letter and the combining marks after it are one token, as most
    accented letters are anyway, which Unicode has as one character.
    """

    name: str = "characters"
    vocab_size: int = 128  # used by sentencepiece only
    units: list[str] | str = field(default_factory=list)  # characters only: e.g. [ng, sh] are one token each; or a file
    graphemes: bool = False  # characters only: a letter with its combining marks is one token

    def __post_init__(self) -> None:
        check_choice("tokenizer.name", self.name, NAMES)
        check(self.vocab_size >= 2, f"tokenizer.vocab_size={self.vocab_size} must be at least 2")
        for key in ("units", "graphemes"):
            unused = self.name == "characters" or not getattr(self, key)
            check(unused, f"tokenizer.{key} is for tokenizer.name=characters, not {self.name}")
        if not isinstance(self.units, str):
            wrong = [one for one in self.units if len(one.split()) != 1]
            check(not wrong, f"tokenizer.units: {wrong!r} must be letters without white space")

    def listed_units(self) -> list[str]:
        """The units, in NFC, from the file where one is named. Raises DataError where it cannot be read."""
        units = self.units
        if isinstance(units, str):
            try:
                units = Path(units).read_text(encoding="utf-8-sig").split()
            except (OSError, UnicodeDecodeError) as error:
                reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
                raise DataError(f"tokenizer.units={self.units}: {reason}; give a list, or a file of units") from None
        return list(dict.fromkeys(unicodedata.normalize("NFC", unit) for unit in units))


class Tokenizer(Protocol):
    """What training, decoding and the model directory need from a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the blank included."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Each id's text; ``tokens[0]`` is the blank."""

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, never the blank. Raises TextError naming what cannot be spelled."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; blanks are left out."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values from which ``tokenizer_from_dict`` makes an equal tokenizer."""


class _TokenTable:
    """What all tokenizers share: the token of each id, the blank first, and the id of each token but the blank."""

    def __init__(self, units: Iterable[str]) -> None:
        self._tokens = (BLANK, *units)
        self._ids = {token: index for index, token in enumerate(self._tokens) if index != BLANK_ID}

    @property
    def vocab_size(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> tuple[str, ...]:
        return self._tokens

    def _unknown(self, units: Iterable[str]) -> list[str]:
        return sorted(set(units) - self._ids.keys())

    def _spelled(self, ids: Iterable[int]) -> list[str]:
        return [self._tokens[index] for index in ids if index != BLANK_ID]


class CharacterTokenizer(_TokenTable):
    """One token per character, the space among them."""

    def __init__(self, characters: Sequence[str]) -> None:
        if not characters or any(len(one) != 1 for one in characters) or len(set(characters)) != len(characters):
            raise TextError(
                f"tokenizer: characters must be single, distinct and at least one, not {list(characters)!r}"
            )
        super().__init__(characters)

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> "CharacterTokenizer":
        """The characters that occur, sorted by code point. Raises TextError when there are none."""
        characters = sorted({character for text in texts for character in text})
        if not characters:
            raise TextError(
                "tokenizer: the training transcripts hold no characters; check the 'text' fields of the manifest"
            )
        return cls(characters)

    def encode(self, text: str) -> list[int]:
        try:
            return list(map(self._ids.__getitem__, text))
        except KeyError:
            unknown = "".join(self._unknown(text))
        raise TextError(f"characters {unknown!r} of {text!r} are not in the vocabulary {''.join(self._ids)!r}")

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self._spelled(ids))

    def to_dict(self) -> dict[str, Any]:
        return {"name": "characters", "characters": list(self._tokens[1:])}


class UnitTokenizer(CharacterTokenizer):
    """Characters, some of which are several: digraphs and other units, and letters with their combining marks.

    A text is spelled from its beginning, by the longest token that fits. With ``graphemes`` no token ends between a
    letter and its marks, so that a unit ``ng`` is not found in n and g with a tilde.
    """

    def __init__(self, units: Sequence[str], *, graphemes: bool = False) -> None:
        spaced = any(not one or (len(one) > 1 and len(one.split()) != 1) for one in units)
        if not units or spaced or len(set(units)) != len(units):
            raise TextError(f"tokenizer: units must be distinct, without spaces, and at least one, not {list(units)!r}")
        _TokenTable.__init__(self, units)
        self.graphemes = graphemes
        self._lengths = sorted({len(one) for one in units}, reverse=True)

    @classmethod
    def learn(cls, texts: Iterable[str], units: Iterable[str] = (), *, graphemes: bool = False) -> "UnitTokenizer":
        """Every character (or letter with its marks) of ``texts``, and those of ``units`` that spell some of them."""
        known = list(texts)
        singles = set(CharacterTokenizer.from_texts(known).tokens[1:])
        if graphemes:
            singles = {one for text in known for one in split_graphemes(text)}
        whole = cls(sorted(singles | set(units)), graphemes=graphemes)
        used = {piece for text in known for piece in whole.split(text)}
        return cls(sorted(singles | used), graphemes=graphemes)

    def split(self, text: str) -> Iterator[str]:
        """The tokens of ``text``; what none begins, as a letter with its marks."""
        at = 0
        while at < len(text):
            letter = at + 1
            while letter < len(text) and is_mark(text[letter]):
                letter += 1
            stops = (at + length for length in self._lengths)
            fits = (stop for stop in stops if text[at:stop] in self._ids and stop <= len(text))
            stop = next((one for one in fits if not (self.graphemes and is_mark(text[one : one + 1]))), letter)
            yield text[at:stop]
            at = stop

    def encode(self, text: str) -> list[int]:
        pieces = list(self.split(text))
        if unknown := self._unknown(pieces):
            raise TextError(f"{' '.join(unknown)!r} of {text!r} are not in the vocabulary {' '.join(self._ids)!r}")
        return [self._ids[piece] for piece in pieces]

    def decode(self, ids: Sequence[int]) -> str:
        return unicodedata.normalize("NFC", super().decode(ids))

    def to_dict(self) -> dict[str, Any]:
        return {"name": "units", "units": list(self._tokens[1:]), "graphemes": self.graphemes}


def is_mark(character: str) -> bool:
    """Whether it is a combining mark, which belongs to the letter before it; not at the end of a text ("")."""
    return character != "" and (unicodedata.category(character)[0] == "M" or character in "\u200c\u200d")


def split_graphemes(text: str) -> list[str]:
    """Each character with the combining marks and joiners after it."""
    graphemes: list[str] = []
    for character in text:
        if graphemes and is_mark(character) and not graphemes[-1].isspace():
            graphemes[-1] += character
        else:
            graphemes.append(character)
    return graphemes


class WordTokenizer(_TokenTable):
    """One token per word, for a closed vocabulary (digits, commands).

    Words are never spelled in part, and other words are unknown.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if not words or any(not one or len(one.split()) != 1 for one in words) or len(set(words)) != len(words):
            raise TextError(f"tokenizer: words must be distinct, without spaces, and at least one, not {list(words)!r}")
        super().__init__(words)

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> "WordTokenizer":
        """The words that occur, sorted. Raises TextError when there are none."""
        words = sorted({word for text in texts for word in text.split()})
        if not words:
            raise TextError(
                "tokenizer: the training transcripts hold no words; check the 'text' fields of the manifest"
            )
        return cls(words)

    def encode(self, text: str) -> list[int]:
        if unknown := self._unknown(text.split()):
            raise TextError(
                f"words {', '.join(map(repr, unknown))} of {text!r} are not among the vocabulary's {len(self._ids)}"
            )
        return [self._ids[word] for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self._spelled(ids))

    def to_dict(self) -> dict[str, Any]:
        return {"name": "words", "words": list(self._tokens[1:])}


class SentencePieceTokenizer(_TokenTable):
    """Unigram pieces by the ``sentencepiece`` library; the piece model travels inside ``to_dict`` as base64."""

    def __init__(self, model: bytes) -> None:
        spm = _sentencepiece()
        try:
            self._processor = spm.SentencePieceProcessor(model_proto=model)
        except (RuntimeError, TypeError) as error:
            raise ModelDamagedError(f"tokenizer: the sentencepiece model cannot be read: {error}") from None
        self._model = model
        pieces = self._processor.get_piece_size() if model else 0  # no bytes at all load as no model, without an error
        if not pieces:
            raise ModelDamagedError("tokenizer: the sentencepiece model holds no pieces")
        super().__init__(self._processor.id_to_piece(index) for index in range(pieces))

    @classmethod
    def from_texts(cls, texts: Iterable[str], vocab_size: int) -> "SentencePieceTokenizer":
        """Train a unigram model of at most ``vocab_size`` - 1 pieces with full character coverage."""
        spm = _sentencepiece()
        with tempfile.TemporaryDirectory() as folder:
            prefix = Path(folder) / "pieces"
            try:
                spm.SentencePieceTrainer.train(
                    sentence_iterator=iter([text for text in texts if text]),
                    model_prefix=str(prefix),
                    vocab_size=vocab_size - 1,
                    character_coverage=1.0,
                    hard_vocab_limit=False,
                    minloglevel=2,
                    bos_id=-1,
                    eos_id=-1,
                    unk_id=0,
                    add_dummy_prefix=True,
                    num_threads=1,
                )
            except (RuntimeError, OSError) as error:
                raise TextError(
                    f"tokenizer: sentencepiece cannot learn {vocab_size} pieces from these texts: {error}"
                ) from None
            return cls(prefix.with_suffix(".model").read_bytes())

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(text)
        if self._processor.unk_id() in ids:
            raise TextError(f"{text!r} holds characters that are not in the sentencepiece vocabulary")
        return [index + 1 for index in ids]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._processor.decode([int(index) - 1 for index in ids if index != BLANK_ID])
        return text

    def to_dict(self) -> dict[str, Any]:
        return {"name": "sentencepiece", "model_base64": base64.b64encode(self._model).decode("ascii")}


def build_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer that ``config`` names, learned from the (already normalised) training texts."""
    if config.name == "characters":
        if config.units or config.graphemes:
            return UnitTokenizer.learn(texts, config.listed_units(), graphemes=config.graphemes)
        return CharacterTokenizer.from_texts(texts)
    if config.name == "words":
        return WordTokenizer.from_texts(texts)
    return SentencePieceTokenizer.from_texts(texts, config.vocab_size)


def tokenizer_from_dict(values: Mapping[str, Any]) -> Tokenizer:
    """The inverse of ``to_dict``. Raises ModelError when the values name no known tokenizer or are damaged."""
    try:
        if values["name"] == "characters":
            return CharacterTokenizer(values["characters"])
        if values["name"] == "units":
            return UnitTokenizer(values["units"], graphemes=values["graphemes"] is True)
        if values["name"] == "words":
            return WordTokenizer(values["words"])
        if values["name"] == "sentencepiece":
            return SentencePieceTokenizer(base64.b64decode(values["model_base64"], validate=True))
    except (KeyError, TypeError, ValueError, AttributeError, TextError) as error:
        raise ModelDamagedError(f"tokenizer: the stored description is damaged ({error!r})") from None
    raise ModelError(f"tokenizer: {values['name']!r} is unknown; choices: {', '.join((*NAMES, 'units'))}")


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise ConfigError(
            "tokenizer.name=sentencepiece needs the sentencepiece extra: pip install 'sentencepiece'"
        ) from None
    return sentencepiece
