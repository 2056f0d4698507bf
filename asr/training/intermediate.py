"""Other tokens for the intermediate loss than the model's: sub-words, or phones out of a pronouncing dictionary.

In: ``LossConfig`` and the training texts. Out: each text as ids of those tokens. They exist in training alone.

Source: Sanabria & Metze 2018, "Hierarchical Multi Task Learning With CTC" (arXiv 1807.07104).
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import ConfigError, DataError
from asr.text.tokenizer import BLANK, TokenizerConfig, build_tokenizer
from asr.training.objective import LossConfig

STRESS = re.compile(r"(?<=^[A-Z]{2})[012]$")  # of cmudict's vowels
VARIANT = re.compile(r"\(\d+\)$")  # cmudict's further pronunciations of a word
LISTED = 10  # words in the message


@dataclass(frozen=True, slots=True)
class IntermediateTargets:
    """``tokens``: each id's text, the blank first. ``targets``: the ids of each training utterance, none where a word
    has no pronunciation. ``note``: what they are, for the user.
    """

    tokens: tuple[str, ...]
    targets: list[list[int]]
    note: str

    @property
    def fingerprint(self) -> str:
        """A hash that changes with any target."""
        return hashlib.sha256(json.dumps([self.tokens, self.targets]).encode()).hexdigest()


def intermediate_targets(config: LossConfig, texts: Sequence[str]) -> IntermediateTargets | None:
    """The targets of the intermediate loss, or None where they are the model's own.

    Raises ConfigError for a lexicon that cannot be read, DataError where it has no text's words, TextError where the
    sub-words cannot be learned.
    """
    if not config.intermediate_weight:
        return None
    if config.intermediate_lexicon:
        return _phones(config.intermediate_lexicon, texts)
    if config.intermediate_pieces:
        pieces = build_tokenizer(TokenizerConfig(name="sentencepiece", vocab_size=config.intermediate_pieces), texts)
        note = f"intermediate loss: over {pieces.vocab_size - 1} sub-words"
        return IntermediateTargets(pieces.tokens, [pieces.encode(text) for text in texts], note)
    return None


def read_pronunciations(path: Path) -> dict[str, list[str]]:
    """The first pronunciation of each word, in lower case, of a file with lines ``WORD PHONE ...`` such as cmudict's.

    Comments (``;;;``, ``#``), cmudict's variants (``WORD(2)``) and stress marks are left out. Raises ConfigError where
    the file cannot be read or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"config: training.loss.intermediate_lexicon={path}: {error.strerror}") from None
    found: dict[str, list[str]] = {}
    for line in lines:
        word, *phones = line.partition(" #")[0].split() or [""]
        if phones and not word.startswith((";;;", "#")) and not VARIANT.search(word):
            found.setdefault(word.lower(), [STRESS.sub("", phone) for phone in phones])
    if not found:
        raise ConfigError(
            f"config: training.loss.intermediate_lexicon={path}: no line is a word with its phones (WORD PHONE ...)"
        )
    return found


def _phones(lexicon: str, texts: Sequence[str]) -> IntermediateTargets:
    known = read_pronunciations(Path(os.path.expanduser(lexicon)))
    words = {word for text in texts for word in text.split()}
    tokens = (BLANK, *sorted({phone for word in words for phone in known.get(word.lower(), [])}))
    ids = {token: index for index, token in enumerate(tokens)}
    targets = [_spelled(text, known, ids) for text in texts]
    have, missing = sum(map(bool, targets)), sorted(word for word in words if word.lower() not in known)
    more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    lacks = f"; it lacks {', '.join(missing[:LISTED])}{more}" if missing else ""
    if not have:
        raise DataError(f"training.loss.intermediate_lexicon={lexicon}: it spells no training utterance{lacks}")
    note = f"intermediate loss: over {len(tokens) - 1} phones of {lexicon}, in {have} of {len(texts)} utterances{lacks}"
    return IntermediateTargets(tokens, targets, note)


def _spelled(text: str, known: Mapping[str, list[str]], ids: Mapping[str, int]) -> list[int]:
    words = [known.get(word.lower()) for word in text.split()]
    return [ids[phone] for phones in words for phone in phones or ()] if all(words) else []
