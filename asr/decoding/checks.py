"""What a beam search refuses, each with its remedy: a language model in other letters, NaN."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from asr.decoding.spelling import Spelling
from asr.errors import ConfigError, ModelError
from asr.lm.model import NgramModel

LEAST_SHARE = 0.05  # of a language model's or lexicon's words that the tokens must be able to spell
LARGEST_LOG_PROB = 0.01  # a probability of 1.0 in single precision, and then some


def check_log_probs(log_probs: npt.NDArray[np.float32], vocab_size: int) -> None:
    """Raise ModelError unless ``log_probs`` is ``(frames, vocab)``, every frame's best finite and at most about 0."""
    if log_probs.ndim != 2 or log_probs.shape[1] != vocab_size:
        raise ModelError(
            f"decoding: log-probabilities must be (frames, {vocab_size}) for this vocabulary, not {log_probs.shape}"
        )
    best = log_probs.max(axis=1)
    for wrong, what in (
        (np.isnan(best), "not a number (NaN); the model's weights or its input are damaged"),
        (best == -np.inf, "-inf for every token; at least one must be possible"),
        (best > LARGEST_LOG_PROB, "above 0; give log-probabilities (log_softmax), not logits or probabilities"),
    ):
        if wrong.any():
            raise ModelError(f"decoding: the log-probability at frame {int(wrong.argmax())} is {what}")


def check_sources(
    spelling: Spelling, model: NgramModel | None, lexicon: Sequence[str] | None, hotwords: Mapping[str, float]
) -> None:
    """Raise ConfigError when the model's tokens cannot spell what the others are about."""
    if model is not None and model.unit == "word":
        _check_share(spelling, [word for number, word in enumerate(model.words) if number not in _special(model)])
    elif model is not None and not set(spelling.alphabet) & set(model.words):
        raise ConfigError(
            f"decoding.language_model: it knows none of the model's characters {_shown(spelling.alphabet)}"
            f"{_case_hint(spelling, model.words)}"
        )
    if lexicon is not None and not any(spelling.can_spell(lexicon)):
        raise ConfigError(
            f"decoding.lexicon: the model's tokens spell none of its {len(lexicon):,} words"
            f"{_case_hint(spelling, lexicon)}"
        )
    for phrase in hotwords:
        strange = sorted({one for word in phrase.split() for one in word} - set(spelling.alphabet))
        if strange:
            raise ConfigError(
                f"decoding.hotwords: {phrase!r} cannot be spelled: the model has no {_shown(strange)}"
                f"{_case_hint(spelling, phrase.split())}"
            )


def _check_share(spelling: Spelling, words: Sequence[str]) -> None:
    if spelling.ends_after.any():  # a words tokenizer: a model of few words may well have a large language model
        enough = any(word in set(words) for word in spelling.words())
    else:
        enough = sum(spelling.can_spell(words)) >= max(LEAST_SHARE * len(words), 1)
    if not enough:
        raise ConfigError(
            f"decoding.language_model: the model's tokens spell next to none of its {len(words):,} words"
            f"{_case_hint(spelling, words)}"
        )


def _special(model: NgramModel) -> set[int]:
    return {model.unk, model.bos, model.eos}


def _case_hint(spelling: Spelling, words: Sequence[str]) -> str:
    """What to do, said for the commonest fault where that is it: letters of the other case."""
    before = sum(spelling.can_spell(words))
    for case, change in (("lower", str.lower), ("upper", str.upper)):
        if sum(spelling.can_spell(map(change, words))) > 2 * before:
            return f", because the model writes {case} case; put the text into {case} case and build it again"
    return "; it must be written as the model's training transcripts are: build it from text in the same normal form"


def _shown(characters: Sequence[str]) -> str:
    shown = "".join(characters[:40])
    return repr(shown if len(characters) <= 40 else f"{shown}...")
