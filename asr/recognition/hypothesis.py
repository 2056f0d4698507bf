"""The result of recognition: text, words with times and confidence, n-best list; and those of several channels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from asr.decoding.greedy import Alternative

_SHOWN = 200  # characters of a text
TURN_PAUSE_S = 0.5  # a pause in a channel from which another one may have its turn
Channel = int | Literal["split"] | None  # from 0; "split": each by itself; None: all of them mixed


@dataclass(frozen=True, slots=True)
class Word:
    """``text`` as it is in the hypothesis, from ``start_s`` to before ``end_s`` in seconds of the recording.

    ``confidence``: 0 to 1; the probability that the word is right where the model is calibrated (`asr calibrate`), else
    how sure the model is of the word's tokens.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float

    def __repr__(self) -> str:
        return f"Word({self.text!r}, {self.start_s:.2f} to {self.end_s:.2f} s, confidence={self.confidence:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """``text``; ``score``, the natural log-probability of the path that spelled it, or what ranked it (beam search).

    ``duration_s`` of the audio. ``words``: those of the text, in order, without overlap; empty where word times
    are switched off. ``confidence``: the expected share of right words, None where word times are off. ``n_best``: the
    best texts, this one first; empty where the decoder knows one only. ``evidence``: what each word's confidence was
    computed from, a row per word, see ``asr.recognition.calibration.EVIDENCE``.

    ``channels``: a hypothesis for each channel, the first is channel 0; empty unless they were split. Then ``text`` and
    ``words`` are those of all channels by time, in which words of different channels may overlap, and score and
    confidence are those of all.
    """

    text: str
    score: float
    duration_s: float
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    n_best: tuple[Alternative, ...] = ()
    evidence: tuple[tuple[float, ...], ...] = ()
    channels: tuple["Hypothesis", ...] = ()

    def turns(self) -> list[tuple[int, str]]:
        """Who says what after whom, where channels were split: ``(channel, text)`` by time.

        A channel's text is parted at pauses of ``TURN_PAUSE_S`` where another channel begins before it goes on. Without
        word times it is one turn.
        """
        return _turns(self.channels)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        """Short: a text may have thousands of words."""
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        sure = "" if self.confidence is None else f", confidence={self.confidence:.2f}"
        return f"Hypothesis({text!r}, {len(self.words)} timed words{sure}, duration_s={self.duration_s:.2f})"


def joined(parts: Sequence[tuple[float, Hypothesis]]) -> Hypothesis:
    """Consecutive parts of one recording, each with the second at which it begins, as its hypothesis."""
    if len(parts) == 1:
        return parts[0][1]
    hypotheses = [hypothesis for _, hypothesis in parts]
    words = tuple(
        replace(word, start_s=round(word.start_s + start_s, 6), end_s=round(word.end_s + start_s, 6))
        for start_s, hypothesis in parts
        for word in hypothesis.words
    )
    return Hypothesis(
        text=" ".join(one.text for one in hypotheses if one.text),
        score=sum(one.score for one in hypotheses),
        duration_s=parts[-1][0] + hypotheses[-1].duration_s,
        words=words,
        confidence=_confidence(hypotheses),
        evidence=tuple(row for one in hypotheses for row in one.evidence),
    )


def _confidence(hypotheses: Sequence[Hypothesis]) -> float | None:
    """The mean over all words; without a word, that of the least sure silence."""
    sure = [(one.confidence, len(one.words)) for one in hypotheses if one.confidence is not None]
    words = sum(count for _, count in sure)
    if words:
        return sum(one * count for one, count in sure) / words
    return min((one for one, _ in sure), default=None)


def merged(channels: Sequence[Hypothesis]) -> Hypothesis:
    """The hypotheses of a recording's channels, from channel 0 on, as that of the recording."""
    return Hypothesis(
        text=" ".join(text for _, text in _turns(channels)),
        score=sum(one.score for one in channels),
        duration_s=max(one.duration_s for one in channels),
        words=tuple(sorted((word for one in channels for word in one.words), key=lambda word: word.start_s)),
        confidence=_confidence(channels),
        channels=tuple(channels),
    )


def _turns(channels: Sequence[Hypothesis]) -> list[tuple[int, str]]:
    parts: list[tuple[float, int, str]] = []
    for channel, hypothesis in enumerate(channels):
        if not hypothesis.words and hypothesis.text:
            parts.append((0.0, channel, hypothesis.text))
        end_s = -TURN_PAUSE_S
        for word in hypothesis.words:
            if word.start_s - end_s >= TURN_PAUSE_S:
                parts.append((word.start_s, channel, word.text))
            else:
                start_s, _, text = parts[-1]
                parts[-1] = (start_s, channel, f"{text} {word.text}")
            end_s = word.end_s
    found: list[tuple[int, str]] = []
    for _, channel, text in sorted(parts, key=lambda part: part[:2]):
        if found and found[-1][0] == channel:
            found[-1] = (channel, f"{found[-1][1]} {text}")
        else:
            found.append((channel, text))
    return found
