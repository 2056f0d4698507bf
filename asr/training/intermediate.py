"""Other tokens for the intermediate loss than the model's: sub-words, or phones out of a pronouncing dictionary.

In: ``LossConfig`` and the training texts. Out: each text as ids of those tokens. They exist in training alone, save
for the phones of a loss on the last layer: the model keeps that head, and recognition may go by it
(``decoding.pronunciations``).

Source: Sanabria & Metze 2018, "Hierarchical Multi Task Learning With CTC" (arXiv 1807.07104).
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import DataError
from asr.text.pronunciations import Pronunciations, read_pronunciations
from asr.text.tokenizer import BLANK, TokenizerConfig, build_tokenizer
from asr.training.objective import LossConfig

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


def kept_phones(config: LossConfig, num_layers: int) -> tuple[str, ...]:
    """The phones of a head that the model keeps, the blank first: where the loss over them is on the last layer.

    Raises ConfigError for a lexicon that cannot be read.
    """
    lexicon = config.intermediate_lexicon
    if not (config.intermediate_weight and lexicon and config.intermediate_layer == num_layers):
        return ()
    return _phone_tokens(_read(lexicon))


def _read(lexicon: str) -> Pronunciations:
    return read_pronunciations(Path(os.path.expanduser(lexicon)), "config: training.loss.intermediate_lexicon")


def _phone_tokens(known: Pronunciations) -> tuple[str, ...]:
    return (BLANK, *sorted({phone for sounds in known.values() for one in sounds for phone in one}))


def _phones(lexicon: str, texts: Sequence[str]) -> IntermediateTargets:
    known = _read(lexicon)
    words = {word for text in texts for word in text.split()}
    tokens = _phone_tokens(known)
    ids = {token: index for index, token in enumerate(tokens)}
    targets = [_spelled(text, known, ids) for text in texts]
    have, missing = sum(map(bool, targets)), sorted(word for word in words if word.lower() not in known)
    more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    lacks = f"; it lacks {', '.join(missing[:LISTED])}{more}" if missing else ""
    if not have:
        raise DataError(f"training.loss.intermediate_lexicon={lexicon}: it spells no training utterance{lacks}")
    note = f"intermediate loss: over {len(tokens) - 1} phones of {lexicon}, in {have} of {len(texts)} utterances{lacks}"
    return IntermediateTargets(tokens, targets, note)


def _spelled(text: str, known: Pronunciations, ids: Mapping[str, int]) -> list[int]:
    """By the first pronunciation of each word; none where a word has no pronunciation."""
    words = [known.get(word.lower()) for word in text.split()]
    return [ids[phone] for sounds in words for phone in (sounds or [()])[0]] if all(words) else []
