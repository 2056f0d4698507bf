"""Recognition of sound that still goes on: partial text, words as they settle, segments at pauses.

In: samples as they come. Out: ``StreamEvent``s. The same features, model, gate, decoder and word times as for whole
recordings, over chunks of ``chunk_s``, each computed when ``look_ahead_s`` of sound behind it is there. With the whole
recording as look-ahead the result is that of ``Recognizer.transcribe``, to the word, for recordings of up to
``MAX_WINDOW_S``. How the samples are divided into blocks never changes a result.

A word is settled once the next one has begun or a pause has come, and, in beam search, all prefixes that are left agree
on it; what is settled never changes. A segment ends at a pause of ``pause_s`` without a token, as long recordings are
cut for decoding (asr/recognition/windows.py); one longer than ``MAX_WINDOW_S`` at a shorter one: the longer, the
shorter, and none is longer than about twice that, so that sound without pauses takes no more memory either.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.audio import Resampler
from asr.decoding import DecodedText
from asr.decoding.build import Decoder, begin_search, reads_phones
from asr.decoding.greedy import tidy_text
from asr.errors import ConfigError
from asr.features import StreamingFeatures
from asr.recognition.bounds import SpeechLevel, speech_level
from asr.recognition.given import checked_rate, mono_samples
from asr.recognition.hypothesis import Word
from asr.recognition.reading import GATE_LEVEL_DB, Waveform
from asr.recognition.streaming_gate import StreamingGate
from asr.recognition.windows import MAX_WINDOW_S, PAUSE_S, Array, Emissions, without_phones
from asr.recognition.words import TimedWords, complete_words, group_words
from asr.text.tokenizer import BLANK_ID, Tokenizer

if TYPE_CHECKING:
    from asr.features import Features
    from asr.models import AcousticModel

CHUNK_S, LOOK_AHEAD_S = 1.0, 1.0
LEVEL_S = 30.0  # of sound by which quiet and loud are told, for word times


class RecognizerParts(Protocol):
    """What a stream uses of a ``Recognizer``."""

    tokenizer: Tokenizer
    decoder: Decoder
    columns: int
    speech_gate: bool
    words: bool
    frame_s: float

    @property
    def features(self) -> "Features":
        """In torch, as the model."""

    @property
    def model(self) -> "AcousticModel":
        """The model in torch: onnxruntime runs whole recordings only."""

    def timed_words(self, emissions: Emissions, decoded: DecodedText) -> TimedWords:
        """The words of a text, with their times and confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """What has become known, in seconds of the sound since its start.

    ``kind``: "partial", the ``text`` behind the settled words, which may still change and replaces the partial text
    before; "words", words that have settled; or "segment", the end of one, with its whole ``text``, all its words (each
    was in a "words" event) and its ``confidence``. ``words`` is empty in partial text, and where word times are off.
    ``end_s``: of the sound that the event covers; ``start_s``: where that, in a segment the first word, begins.
    """

    kind: Literal["partial", "words", "segment"]
    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """``chunk_s``: sound computed at a time, in seconds. ``look_ahead_s``: sound that a bidirectional model hears
    behind a chunk before it writes the chunk's text; None: ``LOOK_AHEAD_S``, or 0 for models of one direction. Both
    together are the delay. ``pause_s`` without a token ends a segment. Raises ConfigError.
    """

    chunk_s: float = CHUNK_S
    look_ahead_s: float | None = None
    pause_s: float = PAUSE_S

    def __post_init__(self) -> None:
        for name, least in (("chunk_s", 0.0), ("look_ahead_s", -1.0), ("pause_s", 0.0)):
            value = getattr(self, name)
            if value is not None and not (least < value <= MAX_WINDOW_S and value >= 0):
                above = "0" if name == "look_ahead_s" else "more than 0"
                raise ConfigError(f"streaming: {name}={value} must be {above} to {MAX_WINDOW_S:g} seconds")


class TranscriptStream:
    """One recording that still goes on: ``feed`` it, then ``finish``. Made by ``Recognizer.stream``.

    >>> stream = recognizer.stream(sample_rate=16000)
    >>> for block in blocks:
    ...     for event in stream.feed(block):
    ...         print(event.kind, event.text)
    >>> events = stream.finish()
    """

    def __init__(self, recognizer: RecognizerParts, options: StreamOptions, sample_rate: int | None = None) -> None:
        """Raises ConfigError where the model needs whole recordings, or the rate is impossible."""
        rate = recognizer.features.config.sample_rate
        self._sound = _StreamingEmissions(recognizer, options)
        self._resampler = Resampler(rate if sample_rate is None else checked_rate(sample_rate), rate)
        self._text = _StreamingText(recognizer, self._sound, options.pause_s)
        self._finished = False

    @property
    def heard_s(self) -> float:
        """Seconds of sound so far."""
        return self._sound.samples / self._sound.rate

    def feed(self, samples: Any) -> list[StreamEvent]:
        """What becomes known by the next ``samples``: an array, a tensor or a list, int16 or floating point, mono or
        ``(samples, channels)``. Raises AudioError for other types and for NaN.
        """
        if self._finished:
            raise ConfigError("streaming: finish() has ended this stream; begin another one with stream()")
        block = mono_samples(samples, part=True) if len(samples) else np.zeros(0, np.float32)
        return self._hear(self._resampler.push(block))

    def finish(self) -> list[StreamEvent]:
        """What is left, once the sound has ended. Safe to repeat."""
        if self._finished:
            return []
        events = self._hear(self._resampler.push(np.zeros(0, np.float32), last=True))
        self._finished = True
        return events + self._text.add(self._sound.rest(), last=True)

    def _hear(self, block: Waveform) -> list[StreamEvent]:
        self._sound.hear(block)
        events: list[StreamEvent] = []
        while (emitted := self._sound.chunk()) is not None:
            events += self._text.add(emitted)
        return events


class _StreamingEmissions:
    """Samples at the model's rate to gated log-probabilities, chunk by chunk."""

    def __init__(self, recognizer: RecognizerParts, options: StreamOptions) -> None:
        config = recognizer.features.config
        self.rate, self.frame_s = config.sample_rate, recognizer.frame_s
        self.edge_s, self.columns = -config.first_frame_s, recognizer.columns
        self.samples = 0  # heard
        self._waiting: list[Waveform] = []
        self._taken = 0  # samples given to the features
        from asr.models.streaming import CONTEXT, ModelStream, in_frames  # late: they import torch

        self._model, self._most_context = ModelStream(recognizer.model), CONTEXT
        self._features = StreamingFeatures(recognizer.features)
        tokens = recognizer.tokenizer.vocab_size
        self._gate = StreamingGate(self.rate, self.frame_s, self.edge_s, tokens) if recognizer.speech_gate else None
        look_ahead_s = options.look_ahead_s
        if look_ahead_s is None:
            look_ahead_s = LOOK_AHEAD_S if self._model.looks_ahead else 0.0
        self._chunk, self._look_ahead = in_frames(options.chunk_s, look_ahead_s, self.frame_s)
        self._outputs = 0  # output frames of the chunks so far
        self._context = 0  # output frames of context that the features hold
        self._mel = np.zeros((0, config.n_mels), np.float32)  # of the last LEVEL_S, and the pending ones
        self._mel_first = 0
        self.mel_s, self.first_mel_s = config.hop_length / self.rate, config.first_frame_s

    def hear(self, block: Waveform) -> None:
        """The next ``(samples,)``."""
        self.samples += len(block)
        if len(block):
            self._waiting.append(block)

    def chunk(self) -> Array | None:
        """The gated frames ``(frames, columns)`` that the next chunk decides; None while its look-ahead is missing."""
        frames = self._model.frames_needed(self._outputs + self._chunk + self._look_ahead)
        needed = self._features.stream.samples_needed(frames)
        if needed > self.samples:
            return None
        self._take(needed - self._taken)
        normalised, plain = self._features.frames()
        log_probs = self._model.chunk(normalised, self._context, self._chunk, self._look_ahead)
        before, self._context = self._context, min(self._most_context, self._context + self._chunk)
        self._outputs += self._chunk
        used = before + self._chunk - self._context
        self._keep_mel(plain, before, self._chunk)
        self._features.drop(plain[: used * self._model.factor])
        return self._gated(log_probs, last=False)

    def rest(self) -> Array:
        """All the rest, once the recording has ended."""
        self._take(self.samples - self._taken)
        normalised, plain = self._features.frames(last=True)
        log_probs = np.zeros((0, self.columns), np.float32)
        if len(normalised) > self._context * self._model.factor:
            log_probs = self._model.chunk(normalised, self._context, None)
        self._keep_mel(plain, self._context, None)
        return self._gated(log_probs, last=True)

    def speech_level(self, start_s: float, stop_s: float) -> SpeechLevel:
        """That of the chunks so far, from ``start_s``, which is its second 0, to ``stop_s``."""
        level = SpeechLevel(
            speech_level(self._mel, self._mel), self.mel_s, self.first_mel_s + self._mel_first * self.mel_s
        )
        return level.part(start_s, stop_s)

    def forget(self, before_s: float) -> None:
        """``speech_level`` will be asked for no second before this one."""
        kept = min((before_s - self.first_mel_s) / self.mel_s, self._mel_first + len(self._mel) - LEVEL_S / self.mel_s)
        drop = max(0, math.floor(kept) - self._mel_first)
        if drop > LEVEL_S / self.mel_s / 8:
            self._mel, self._mel_first = self._mel[drop:].copy(), self._mel_first + drop

    def _take(self, count: int) -> None:
        """Give the next ``count`` samples to the features and the gate."""
        if count <= 0:
            return
        waiting = np.concatenate(self._waiting) if len(self._waiting) != 1 else self._waiting[0]
        block, rest = waiting[:count], waiting[count:]
        self._waiting = [rest] if len(rest) else []
        self._taken += count
        self._features.append(block)
        if self._gate is not None:
            self._gate.hear(self._features.meter.level(GATE_LEVEL_DB).apply(block))

    def _keep_mel(self, plain: Array, skip: int, keep: int | None) -> None:
        factor = self._model.factor
        stop = None if keep is None else (skip + keep) * factor
        self._mel = np.concatenate((self._mel, plain[skip * factor : stop]))

    def _gated(self, log_probs: Array, last: bool) -> Array:
        return log_probs if self._gate is None else self._gate.decided(log_probs, last)


class _StreamingText:
    """Gated frames to events."""

    def __init__(self, recognizer: RecognizerParts, sound: _StreamingEmissions, pause_s: float) -> None:
        self.recognizer, self.sound = recognizer, sound
        self._pause = max(1, round(pause_s / sound.frame_s))
        self._frames = 0  # of the recording so far
        self._silent = 0  # the last frames without a token
        self._ended = False
        self._tokens = recognizer.tokenizer.vocab_size  # columns; those of phones follow
        self._read = slice(self._tokens, None) if reads_phones(recognizer.decoder) else slice(self._tokens)
        self._pending = np.zeros((0, sound.columns), np.float32)  # frames behind the last settled word
        self._begin_segment()

    def _begin_segment(self) -> None:
        """Begin a segment with the frames that are pending."""
        self._search = begin_search(self.recognizer.decoder, self.recognizer.tokenizer)
        self._search.advance(self._pending[:, self._read])
        self._first = self._first_pending  # frame of the recording
        self._settled_tokens = 0  # those of settled words
        self._texts: list[str] = []  # the settled words
        self._words: list[Word] = []  # the same with times, where there are any
        self._partial = ""

    def add(self, log_probs: Array, last: bool = False) -> list[StreamEvent]:
        """The events of the next frames ``(frames, columns)``. ``last``: there are no others."""
        frames = np.arange(len(log_probs))
        tokens = np.where(log_probs[:, : self._tokens].argmax(axis=1) != BLANK_ID, frames, -1 - self._silent)
        silent = frames - np.maximum.accumulate(tokens)  # of each frame: the frames without a token up to it
        events: list[StreamEvent] = []
        start = 0
        while not last and (count := self._to_pause(silent[start:])):
            events += self._add(log_probs[start : start + count], int(silent[start + count - 1]), False)
            start += count
        return events + self._add(log_probs[start:], int(silent[-1]) if len(silent) else self._silent, last)

    def _to_pause(self, silent: NDArray[np.int64]) -> int:
        """How many of the next frames there are up to where a pause ends the segment; 0 where none does.

        ``silent``: of each frame, those without a token up to it. A single one stands between the letters of a word.
        """
        needed = self._pause_at(self._frames + np.arange(len(silent) + 1))
        ended = np.concatenate(([self._silent], silent)) >= np.maximum(needed, min(2, self._pause))
        begins = np.flatnonzero(ended[1:] & ~ended[:-1])
        return int(begins[0]) + 1 if len(begins) else 0

    def _add(self, log_probs: Array, silent: int, last: bool) -> list[StreamEvent]:
        """Frames with a pause at most at their end; ``silent``: those without a token up to it."""
        self._pending, self._ended, self._silent = np.concatenate((self._pending, log_probs)), last, silent
        self._frames += len(log_probs)
        self._search.advance(log_probs[:, self._read])
        if last or self._silent >= self._pause_at(self._frames):
            return self._end_segment()
        best = self._search.tokens()[self._settled_tokens :]
        sure = best[: self._search.settled() - self._settled_tokens]
        count = complete_words(sure, self.recognizer.tokenizer)
        events = self._settle(DecodedText(text="", score=0.0, tokens=best), count)
        partial = tidy_text(self.recognizer.tokenizer, self._search.tokens()[self._settled_tokens :])
        if partial != self._partial:
            self._partial = partial
            events.append(StreamEvent(kind="partial", text=partial, start_s=self._covered_s(), end_s=self._end_s()))
        return events

    def _pause_at(self, frames: Any) -> Any:
        """Frames without a token that end the segment when there are so many of the recording, 0 where it ends at once;
        of a number or an array.
        """
        length_s = (frames - self._first) * self.sound.frame_s
        return np.round(self._pause * np.clip(2 - length_s / MAX_WINDOW_S, 0.0, 1.0))

    def _end_segment(self) -> list[StreamEvent]:
        """Settle all that is pending; the next segment begins in the middle of the pause."""
        decoded = self._search.finish()
        decoded = replace(decoded, tokens=decoded.tokens[self._settled_tokens :])
        words = len(group_words(decoded.tokens, self.recognizer.tokenizer))
        events = self._settle(decoded, words)
        if self._texts:
            events.append(self._event("segment", self._texts, self._words))
        elif self._partial:
            events.append(StreamEvent(kind="partial", text="", start_s=self._start_s(), end_s=self._end_s()))
        self._cut(len(self._pending) - min(self._silent, self._pause // 2, len(self._pending)))
        self._begin_segment()
        return events

    def _settle(self, decoded: DecodedText, count: int) -> list[StreamEvent]:
        """Settle the first ``count`` words of ``decoded``, the tokens of what is pending."""
        if not count:
            return []
        grouped = group_words(decoded.tokens, self.recognizer.tokenizer)
        texts = [text for text, _, _ in grouped[:count]]
        words: list[Word] = []
        if self.recognizer.words:
            start_s = self._start_s()
            after_s = self._words[-1].end_s if self._words else 0.0
            timed = self.recognizer.timed_words(self._emissions(), decoded)
            for word in timed.words[:count]:
                begin_s = max(after_s, round(word.start_s + start_s, 6))
                after_s = max(begin_s, round(word.end_s + start_s, 6))
                words.append(replace(word, start_s=begin_s, end_s=after_s))
            stop = timed.stops[count - 1]
        event = self._event("words", texts, words)
        self._texts += texts
        self._words += words
        self._settled_tokens += grouped[count - 1][2]
        self._partial = ""
        self._cut(stop if words else len(self._pending) - self._silent)
        return [event]

    def _event(self, kind: Literal["words", "segment"], texts: Sequence[str], words: Sequence[Word]) -> StreamEvent:
        return StreamEvent(
            kind=kind,
            text=" ".join(texts),
            start_s=words[0].start_s if words else self._covered_s(),
            end_s=words[-1].end_s if words else self._end_s(),
            words=tuple(words),
            confidence=sum(word.confidence for word in words) / len(words) if words else None,
        )

    def _emissions(self) -> Emissions:
        """What is pending; its second 0 is ``_start_s``."""
        start_s, edge_s = self._start_s(), 0.0 if self._first_pending else self.sound.edge_s
        level = self.sound.speech_level(start_s, self._end_s())
        pending, phones = without_phones(self._pending, self._tokens)
        return Emissions(pending, self.sound.frame_s, edge_s, self._end_s() - start_s, level, phones)

    def _cut(self, frames: int) -> None:
        """The first ``frames`` of those pending are not needed any more."""
        self._pending = self._pending[frames:].copy()
        self.sound.forget(self._start_s())

    @property
    def _first_pending(self) -> int:
        return self._frames - len(self._pending)

    def _start_s(self) -> float:
        """The second at which what is pending begins."""
        first = self._first_pending
        return first * self.sound.frame_s - self.sound.edge_s if first else 0.0

    def _end_s(self) -> float:
        """The second of the sound that the frames so far reach to."""
        heard_s = self.sound.samples / self.sound.rate
        return heard_s if self._ended else max(0.0, min(self._frames * self.sound.frame_s - self.sound.edge_s, heard_s))

    def _covered_s(self) -> float:
        return self._words[-1].end_s if self._words else self._start_s()
