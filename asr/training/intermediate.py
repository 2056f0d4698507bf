"""Other tokens for the intermediate loss than the model's: sub-words, or phones out of a pronouncing dictionary.

In: ``LossConfig`` and the training texts. Out: each text as ids of those tokens. They exist in training alone, save
for the phones of a loss on the last layer: the model keeps that head, and recognition may go by it
(``decoding.pronunciations``).

Source: Sanabria & Metze 2018, "Hierarchical Multi Task Learning With CTC" (arXiv 1807.07104).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.data.passes import cached_pass, lazy_map
from asr.errors import DataError
from asr.text.pronunciations import Pronunciations, phones_of, read_pronunciations
from asr.text.tokenizer import BLANK, TokenizerConfig, build_tokenizer
from asr.training.objective import LossConfig

LISTED = 10  # words in the message


@dataclass(frozen=True, slots=True)
class IntermediateTargets:
    """``tokens``: each id's text, the blank first. ``targets``: the ids of each training utterance, none where a word
    has no pronunciation. ``note``: what they are, for the user. ``fingerprint``: a hash that changes with any target.
    """

    tokens: tuple[str, ...]
    targets: Sequence[list[int]]
    note: str
    fingerprint: str


def intermediate_targets(
    config: LossConfig, texts: Sequence[str], pronunciations: Pronunciations | None
) -> IntermediateTargets | None:
    """The targets of the intermediate loss, or None where they are the model's own.

    ``pronunciations``: from ``read_lexicon``. Raises DataError where they have no text's words, TextError where the
    sub-words cannot be learned.
    """
    if not config.intermediate_weight:
        return None
    if pronunciations is not None:
        return _phones(str(config.intermediate_lexicon), pronunciations, texts)
    if config.intermediate_pieces:
        pieces = build_tokenizer(TokenizerConfig(name="sentencepiece", vocab_size=config.intermediate_pieces), texts)
        note = f"intermediate loss: over {pieces.vocab_size - 1} sub-words"
        targets = lazy_map(pieces.encode, texts)
        of_all = cached_pass(texts, "pieces", pieces.to_dict(), lambda: _fingerprint(pieces.tokens, targets))
        return IntermediateTargets(pieces.tokens, targets, note, of_all)
    return None


def read_lexicon(config: LossConfig) -> Pronunciations | None:
    """The pronunciations of the intermediate loss, None where it needs none. Raises ConfigError."""
    if not (config.intermediate_weight and config.intermediate_lexicon):
        return None
    path = Path(os.path.expanduser(config.intermediate_lexicon))
    return read_pronunciations(path, "config: training.loss.intermediate_lexicon")


def kept_phones(config: LossConfig, num_layers: int, pronunciations: Pronunciations | None) -> tuple[str, ...]:
    """The phones of a head that the model keeps, the blank first: where the loss over them is on the last layer."""
    is_last = config.intermediate_layer == num_layers
    return () if pronunciations is None or not is_last else _phone_tokens(pronunciations)


def _phone_tokens(known: Pronunciations) -> tuple[str, ...]:
    return (BLANK, *sorted(phones_of(known)))


def _phones(lexicon: str, known: Pronunciations, texts: Sequence[str]) -> IntermediateTargets:
    tokens = _phone_tokens(known)
    ids = {token: index for index, token in enumerate(tokens)}
    targets = lazy_map(lambda text: _spelled(text, known, ids), texts)

    def find() -> tuple[int, list[str], str]:
        words = {word for text in texts for word in text.split()}
        missing = sorted(word for word in words if word.lower() not in known)
        return sum(map(bool, targets)), missing, _fingerprint(tokens, targets)

    have, missing, fingerprint = cached_pass(texts, "phones", [sorted(known.items())], find)
    more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
    lacks = f"; it lacks {', '.join(missing[:LISTED])}{more}" if missing else ""
    if not have:
        raise DataError(f"training.loss.intermediate_lexicon={lexicon}: it spells no training utterance{lacks}")
    note = f"intermediate loss: over {len(tokens) - 1} phones of {lexicon}, in {have} of {len(texts)} utterances{lacks}"
    return IntermediateTargets(tokens, targets, note, fingerprint)


def _fingerprint(tokens: Sequence[str], targets: Iterable[list[int]]) -> str:
    """The SHA-256 of both as JSON, which never is in memory as a whole."""
    digest = hashlib.sha256(f"[{json.dumps(tokens)}, [".encode())
    for number, target in enumerate(targets):
        digest.update((", " * (number > 0) + json.dumps(target)).encode())
    digest.update(b"]]")
    return digest.hexdigest()


def _spelled(text: str, known: Pronunciations, ids: Mapping[str, int]) -> list[int]:
    """By the first pronunciation of each word; none where a word has no pronunciation."""
    words = [known.get(word.lower()) for word in text.split()]
    return [ids[phone] for sounds in words if sounds for phone in sounds[0].split()] if all(words) else []
