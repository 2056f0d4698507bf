"""A text without times, aligned with its recording: when each word is said, what is missing, what is extra.

In: a recogniser, a recording of any length, and its text, which need not fit exactly. Out: an ``AlignedText``. The
model's log-probabilities of the whole recording (10 MB an hour of characters) are aligned with all words of the text at
once (``asr.ctc.align_words``), and the words' bounds are put where the sound rises and falls, as those of recognised
words are (``asr.recognition.bounds``).
"""

import copy
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from asr.ctc import collapse
from asr.ctc.align_words import WordPath, align_words
from asr.errors import AsrError, TextError
from asr.recognition.bounds import MIN_WORD_S, PeakOffsets, SpeechLevel, word_bounds
from asr.recognition.hypothesis import Hypothesis, Word
from asr.recognition.reading import AudioSource
from asr.recognition.recognizer import Recognizer
from asr.recognition.windows import MAX_WINDOW_S, Emissions
from asr.recognition.words import WORD_TOKEN_OFFSETS
from asr.text.normalize import get_normalizer
from asr.text.tokenizer import CharacterTokenizer, Tokenizer, WordTokenizer

MIN_EXTRA_S = 0.5  # sound in which less is heard is no passage: a breath, a click
Normalize = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class TextWord:
    """``text`` as it was written, with its punctuation, in ``line`` from 1; ``tokens`` spell it, none where no token
    can.
    """

    text: str
    line: int
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word of the text; times in seconds and confidence from 0 to 1 are None where it was not found in the sound.

    ``confidence``: the geometric mean, over its tokens, of how likely the token is beside the likeliest at its place; 1
    where the model by itself recognises just this word.
    """

    text: str
    line: int
    start_s: float | None = None
    end_s: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class AlignedLine:
    """A line of the text that has words: from its first found word to its last; ``missing`` of its words were not.

    ``confidence``: as that of a word, over all that is heard in between, times the share of words found; None, as are
    the times, where none was.
    """

    line: int
    text: str
    start_s: float | None
    end_s: float | None
    confidence: float | None
    missing: int


@dataclass(frozen=True, slots=True)
class Passage:
    """What one side lacks: ``kind`` "missing" (text that is not in the sound) or "extra" (sound that is not in the
    text).

    From ``start_s`` to ``end_s``: the extra sound, or between the words beside the missing text. ``first_line`` to
    ``last_line`` of the text: of the missing words, or of the words beside the sound. ``text``: the missing text, or
    what the model hears.
    """

    kind: str
    start_s: float
    end_s: float
    first_line: int
    last_line: int
    text: str
    words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedText:
    """All ``words`` of a text in order, found or not; its ``lines``; and the ``passages`` that do not fit.

    ``duration_s`` of the recording; ``score``: the natural log-probability of the path. ``unspelled``: words that the
    model's tokens cannot spell, such as numbers in digits; they have the time that their neighbours leave.
    ``confidence_of(low, high)``: that of the words from ``low`` to before ``high`` together, as that of a line.
    """

    words: tuple[AlignedWord, ...]
    lines: tuple[AlignedLine, ...]
    passages: tuple[Passage, ...]
    duration_s: float
    score: float
    confidence: float | None
    unspelled: tuple[str, ...]
    confidence_of: Callable[[int, int], float | None] = field(repr=False, compare=False)

    @property
    def found(self) -> list[AlignedWord]:
        """The words that have times."""
        return [word for word in self.words if word.start_s is not None]

    @property
    def hypothesis(self) -> Hypothesis:
        """The words found, as recognition gives them: for ``write_transcript`` and whatever takes a hypothesis."""
        words = tuple(Word(w.text, w.start_s or 0.0, w.end_s or 0.0, w.confidence or 0.0) for w in self.found)
        text = " ".join(word.text for word in words)
        return Hypothesis(
            text=text, score=self.score, duration_s=self.duration_s, words=words, confidence=self.confidence
        )

    def __repr__(self) -> str:
        kinds = [passage.kind for passage in self.passages]
        return (
            f"AlignedText({len(self.found)} of {len(self.words)} words in {len(self.lines)} lines found, "
            f"{kinds.count('missing')} passages missing, {kinds.count('extra')} extra, {self.duration_s:.2f} s)"
        )


def spelled_words(text: str, tokenizer: Tokenizer, normalize: Normalize) -> list[TextWord]:
    """The words of a text by white space, each normalised and spelled by itself.

    What has no letter or digit, such as a dash, belongs to the word before it, or after it at a line's beginning.
    """
    words: list[TextWord] = []
    for number, line in enumerate(re.split(r"\r\n?|\n", text), start=1):
        before = ""
        for piece in line.split():
            if any(map(str.isalnum, piece)):
                written = f"{before} {piece}".strip()
                words.append(TextWord(written, number, tuple(_spell(piece, tokenizer, normalize))))
                before = ""
            elif words and words[-1].line == number:
                words[-1] = TextWord(f"{words[-1].text} {piece}", number, words[-1].tokens)
            else:
                before = f"{before} {piece}".strip()
    return words


def _spell(word: str, tokenizer: Tokenizer, normalize: Normalize) -> list[int]:
    """The tokens of ``word``; in the other case or without accents, or without some characters, where it must be."""
    plain = normalize(word)
    bare = "".join(one for one in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(one))
    forms = dict.fromkeys(form for one in (plain, bare) for form in (one, one.lower(), one.upper()))
    for form in forms:
        if (tokens := _encoded(form, tokenizer)) is not None:
            return tokens
    if isinstance(tokenizer, WordTokenizer):
        return []
    longest = max(("".join(one for one in form if _encoded(one, tokenizer)) for form in forms), key=len)
    return _encoded(longest.strip(), tokenizer) or []


def _encoded(text: str, tokenizer: Tokenizer) -> list[int] | None:
    try:
        return tokenizer.encode(text)
    except TextError:
        return None


def align_text(
    recognizer: Recognizer,
    source: AudioSource,
    text: str,
    *,
    progress: Callable[[float, float], None] = lambda done_s, total_s: None,
) -> AlignedText:
    """Find the words of ``text`` in a recording.

    ``progress(done_s, total_s)``, in seconds of audio, is called while the model computes.

    Raises TextError when no word of the text can be spelled with the model's tokens; AudioError when the recording
    cannot be read.
    """
    normalize = get_normalizer(str(recognizer.facts.get("normalizer", "basic")))
    words = spelled_words(text, recognizer.tokenizer, normalize)
    if not any(word.tokens for word in words):
        why = f"the model's tokens spell none of its {len(words):,} words" if words else "it holds no words"
        raise TextError(f"align: the text cannot be aligned: {why}; check the text, or give a model of its language")
    total_s, done_s = source.duration_s(), 0.0

    def computed(_: object, frames: int) -> None:
        nonlocal done_s
        done_s = min(total_s, done_s + max(0, frames) * recognizer.frame_s)
        progress(done_s, total_s)

    workers = 1 if total_s <= MAX_WINDOW_S else None
    (emissions,) = for_alignment(recognizer).emissions([source], workers=workers, on_step=computed)
    if isinstance(emissions, AsrError):
        raise emissions
    return align_emissions(emissions, words, recognizer.tokenizer)


def for_alignment(recognizer: Recognizer) -> Recognizer:
    """The same model without the speech gate, which would make quiet words impossible, and with a mean of each window's
    own: a long recording may have several speakers and levels.
    """
    plain = copy.copy(recognizer)
    plain.speech_gate, plain.words, plain.local_mean = False, True, True
    return plain


def align_emissions(emissions: Emissions, words: Sequence[TextWord], tokenizer: Tokenizer) -> AlignedText:
    """The same from a recording's emissions, not gated, and words of which some have tokens."""
    spelled = [number for number, word in enumerate(words) if word.tokens]
    space = tokenizer.encode(" ")[0] if isinstance(tokenizer, CharacterTokenizer) and " " in tokenizer.tokens else None
    path = align_words(emissions.log_probs, [words[number].tokens for number in spelled], space)
    spans = np.full((len(words), 2), -1)
    spans[spelled] = path.spans
    return _Found(emissions, words, tokenizer, spans, path).result()


class _Found:
    """What a path through a recording says of the text; ``spans`` ``(words, 2)`` in frames, -1 where not found."""

    def __init__(
        self,
        emissions: Emissions,
        words: Sequence[TextWord],
        tokenizer: Tokenizer,
        spans: NDArray[np.int64],
        path: WordPath,
    ) -> None:
        self.emissions, self.words, self.tokenizer, self.spans, self.path = emissions, words, tokenizer, spans, path
        self.sums = np.concatenate([[0.0], np.cumsum(path.costs, dtype=np.float64)])  # of costs before each frame
        self.heard = list(self._extra())
        self.times = self._times()
        self._fill_unspelled()

    def result(self) -> AlignedText:
        found = ~np.isnan(self.times[: len(self.words), 0])
        times: list[list[float]] = self.times.round(6).tolist()
        words = tuple(
            AlignedWord(one.text, one.line, times[number][0], times[number][1], self._confidence(number, number + 1))
            if found[number]
            else AlignedWord(one.text, one.line)
            for number, one in enumerate(self.words)
        )
        log_probs = self.emissions.log_probs
        return AlignedText(
            words=words,
            lines=tuple(self._lines()),
            passages=tuple(sorted([*self._missing(), *self._heard()], key=lambda one: (one.start_s, one.first_line))),
            duration_s=self.emissions.duration_s,
            score=float(log_probs.max(axis=1).sum(dtype=np.float64) - self.sums[-1]),
            confidence=self._confidence(0, len(self.words)),
            confidence_of=self._confidence,
            unspelled=tuple(one.text for one in self.words if not one.tokens),
        )

    def _extra(self) -> Iterator[tuple[int, int, str]]:
        """First frame, the one behind the last, and what is heard, of each stretch that belongs to no word."""
        best = self.emissions.log_probs.argmax(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate(([0], self.path.away.astype(np.int8), [0]))))
        for start, stop in edges.reshape(-1, 2).tolist():
            (loud,) = np.nonzero(best[start:stop])
            if len(loud) and (loud[-1] + 1 - loud[0]) * self.emissions.frame_s >= MIN_EXTRA_S:
                first, last = start + int(loud[0]), start + int(loud[-1]) + 1
                yield first, last, self.tokenizer.decode(collapse(best[first:last].tolist())).strip()

    def _times(self) -> NDArray[np.float64]:
        """Start and end of each word, then of each extra passage, ``(words + passages, 2)``, NaN where not found."""
        emissions = self.emissions
        frames = np.concatenate([self.spans, np.array([one[:2] for one in self.heard]).reshape(-1, 2)])
        (there,) = np.nonzero(frames[:, 0] >= 0)
        order = there[np.argsort(frames[there, 0], kind="stable")]
        seconds = frames[order] * emissions.frame_s - emissions.edge_s
        offsets = WORD_TOKEN_OFFSETS if isinstance(self.tokenizer, WordTokenizer) else PeakOffsets()
        level = emissions.level or SpeechLevel(np.zeros(0, np.float32), 0.01)
        times = np.full((len(frames), 2), np.nan)
        times[order] = word_bounds(seconds[:, 0], seconds[:, 1], emissions.duration_s, level, offsets)
        return times

    def _fill_unspelled(self) -> None:
        """Words without tokens get the time between their neighbours, or that of what is heard there."""
        count = len(self.words)
        for spelled, group in groupby(range(count), key=lambda number: bool(self.words[number].tokens)):
            numbers = list(group)
            low, high = numbers[0] - 1, numbers[-1] + 1
            if (
                spelled
                or (low >= 0 and np.isnan(self.times[low, 0]))
                or (high < count and np.isnan(self.times[high, 0]))
            ):
                continue
            start_s = self.times[low, 1] if low >= 0 else 0.0
            end_s = self.times[high, 0] if high < count else self.emissions.duration_s
            inside = [
                place
                for place in range(count, len(self.times))
                if start_s <= self.times[place, 0] and self.times[place, 1] <= end_s
            ]
            if inside:
                start_s, end_s = self.times[inside[0], 0], self.times[inside[-1], 1]
                self.times[inside] = np.nan
            if end_s - start_s >= MIN_WORD_S * len(numbers):
                bounds = np.linspace(start_s, end_s, len(numbers) + 1)
                self.times[numbers] = np.stack([bounds[:-1], bounds[1:]], axis=1)

    def _confidence(self, low: int, high: int) -> float | None:
        """Of the words from ``low`` to before ``high`` together; None where none was found."""
        if np.isnan(self.times[low:high, 0]).all():
            return None
        sizes = np.array([len(word.tokens) for word in self.words[low:high]])
        (found,) = np.nonzero(self.spans[low:high, 0] >= 0)
        if not len(found):
            return 0.0
        cost = self.sums[self.spans[low + found[-1], 1]] - self.sums[self.spans[low + found[0], 0]]
        spelled = sizes[found].sum()
        return float(np.exp(-cost / spelled) * spelled / np.where(sizes, sizes, np.median(sizes)).sum())

    def _lines(self) -> Iterator[AlignedLine]:
        for line, group in groupby(range(len(self.words)), key=lambda number: self.words[number].line):
            numbers = list(group)
            text = " ".join(self.words[number].text for number in numbers)
            times = self.times[numbers]
            missing = int(np.isnan(times[:, 0]).sum())
            if missing == len(numbers):
                yield AlignedLine(line, text, None, None, None, missing)
                continue
            start_s, end_s = float(np.nanmin(times)), float(np.nanmax(times))
            confidence = self._confidence(numbers[0], numbers[-1] + 1)
            yield AlignedLine(line, text, round(start_s, 6), round(end_s, 6), confidence, missing)

    def _missing(self) -> Iterator[Passage]:
        count = len(self.words)
        for absent, group in groupby(range(count), key=lambda number: bool(np.isnan(self.times[number, 0]))):
            numbers = list(group)
            if not absent:
                continue
            start_s = self.times[numbers[0] - 1, 1] if numbers[0] else 0.0
            end_s = self.times[numbers[-1] + 1, 0] if numbers[-1] + 1 < count else self.emissions.duration_s
            words = [self.words[number] for number in numbers]
            text = " ".join(word.text for word in words)
            yield _passage("missing", (start_s, end_s), words[0].line, words[-1].line, text, len(words))

    def _heard(self) -> Iterator[Passage]:
        count = len(self.words)
        (found,) = np.nonzero(self.spans[:, 0] >= 0)
        for (first, _, text), times in zip(self.heard, self.times[count:], strict=True):
            if np.isnan(times[0]):
                continue
            before = int(np.searchsorted(self.spans[found, 0], first))
            beside = [self.words[found[place]].line for place in (before - 1, before) if 0 <= place < len(found)]
            lines = beside or [self.words[0].line]
            yield _passage("extra", times, lines[0], lines[-1], text, len(text.split()))


def _passage(kind: str, times: Sequence[float], first_line: int, last_line: int, text: str, words: int) -> Passage:
    start_s, end_s = (round(float(one), 6) for one in times)
    return Passage(kind, start_s, max(start_s, end_s), first_line, last_line, text, words)
