"""From the tokens of a text to its words, with times and confidence.

In: a recording's log-probabilities, the tokens that its text is made of, and optionally its speech level. Out:
``Word``s. The tokens are aligned with the frames (``asr.ctc.align``), grouped into words as their tokenizer has it, and
the words' bounds are put where the sound rises and falls (``asr.recognition.bounds``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.ctc import frames_needed
from asr.ctc.align import forced_align
from asr.decoding.greedy import Alternative
from asr.recognition.bounds import PeakOffsets, SpeechLevel, word_bounds
from asr.recognition.calibration import Calibration, n_best_agreement, silence_confidence, uncalibrated, word_evidence
from asr.recognition.hypothesis import Word
from asr.text.tokenizer import CharacterTokenizer, Tokenizer, WordTokenizer

PIECE_START = "▁"  # begins a sentencepiece token that begins a word
# A word token has one peak, anywhere in its word and rather late in it: the sound must say more.
WORD_TOKEN_OFFSETS = PeakOffsets(start_s=-0.2, start_spread_s=0.3, end_s=0.0, end_spread_s=0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedWords:
    """``words`` in order; ``confidence`` of the text, the expected share of right words among its words.

    ``evidence``: a row of ``asr.recognition.calibration.EVIDENCE`` for each word, for `asr calibrate`. ``stops``: for
    each word the frame after its last token's.
    """

    words: tuple[Word, ...]
    confidence: float
    evidence: tuple[tuple[float, ...], ...]
    stops: tuple[int, ...] = ()


def word_times(
    log_probs: NDArray[np.float32],
    tokens: Sequence[int],
    tokenizer: Tokenizer,
    frame_s: float,
    *,
    duration_s: float,
    start_s: float = 0.0,
    level: SpeechLevel | None = None,
    n_best: Sequence[Alternative] = (),
    calibration: Calibration | None = None,
    device: object = "cpu",
    must_fit: bool = True,
) -> TimedWords:
    """Times and confidence of the words that ``tokens`` spell, for one whole recording of ``duration_s``.

    ``log_probs`` ``(frames, vocab)``, natural logs; frame t is centred on ``start_s + t * frame_s`` seconds, where
    ``start_s`` is negative if silence was put before the recording. ``level``: see ``speech_level``; without it, times
    come from CTC's peaks alone, and are worse. ``device``: where the model runs, see ``forced_align``. Raises TextError
    when ``tokens`` do not fit ``log_probs``; without ``must_fit`` each frame counts as several then.
    """
    times = 1 if must_fit else max(1, -(-frames_needed(tokens) // max(1, len(log_probs))))
    if times > 1:  # of frame t the parts are centred around its own centre
        log_probs, frame_s = np.repeat(log_probs, times, axis=0), frame_s / times
        start_s -= (times - 1) / 2 * frame_s
    alignment = forced_align(log_probs, tokens, device)
    grouped = group_words(tokens, tokenizer)
    if not grouped:
        return TimedWords(words=(), confidence=silence_confidence(log_probs), evidence=())
    texts = [text for text, _, _ in grouped]
    spans = [(first, stop) for _, first, stop in grouped]
    first_s = np.array([start_s + alignment.spans[first].start_frame * frame_s for first, _ in spans])
    last_s = np.array([start_s + alignment.spans[stop - 1].end_frame * frame_s for _, stop in spans])
    offsets = WORD_TOKEN_OFFSETS if isinstance(tokenizer, WordTokenizer) else PeakOffsets()
    no_level = SpeechLevel(np.zeros(0, np.float32), 0.01)
    bounds_s = word_bounds(first_s, last_s, duration_s, level or no_level, offsets)
    evidence = word_evidence(log_probs, alignment, spans, n_best_agreement(texts, n_best))
    confidence = uncalibrated(evidence) if calibration is None else calibration.confidence(evidence)
    rows = zip(texts, bounds_s.round(6).tolist(), confidence.tolist(), strict=True)
    return TimedWords(
        words=tuple(Word(text, start, end, sure) for text, (start, end), sure in rows),
        confidence=float(confidence.mean()),
        evidence=tuple(tuple(row) for row in evidence.tolist()),
        stops=tuple(-(-alignment.spans[stop - 1].end_frame // times) for _, stop in spans),
    )


def group_words(tokens: Sequence[int], tokenizer: Tokenizer) -> list[tuple[str, int, int]]:
    """Each word's text, its first token and the one after its last, as indices of ``tokens``.

    Joined by spaces, the texts are the decoded text with its white space tidied.
    """
    texts = [tokenizer.tokens[token] for token in tokens]
    if isinstance(tokenizer, WordTokenizer):
        return [(text, index, index + 1) for index, text in enumerate(texts)]
    if isinstance(tokenizer, CharacterTokenizer):
        is_space = [text.isspace() for text in texts]
        starts = [not here and before for here, before in zip(is_space, [True, *is_space], strict=False)]
    else:
        is_space = [text == PIECE_START for text in texts]
        lone = [False, *is_space]  # "▁" alone begins a word too, with the piece after it
        starts = [text.startswith(PIECE_START) or lone[index] for index, text in enumerate(texts)]
    words: list[tuple[str, int, int]] = []
    for index, (begins, space) in enumerate(zip(starts, is_space, strict=True)):
        if space:
            continue
        if begins or not words:
            words.append(("", index, index + 1))
        words[-1] = ("", words[-1][1], index + 1)
    return [(tokenizer.decode(tokens[first:stop]).strip(), first, stop) for _, first, stop in words]


def complete_words(tokens: Sequence[int], tokenizer: Tokenizer) -> int:
    """How many of the words that ``tokens`` spell no further token can change."""
    words = len(group_words(tokens, tokenizer))
    ended = isinstance(tokenizer, WordTokenizer) or (bool(tokens) and tokenizer.tokens[tokens[-1]].isspace())
    return words if ended else max(0, words - 1)
