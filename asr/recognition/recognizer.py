"""From recordings to texts with a trained model: the same features and the same model as in training.

In: a model directory, then paths, waveforms or utterances, of any length. Out: ``Hypothesis``es in the order of the
input. The steps for a recording: read in blocks -> windows -> the model, in batches -> joined -> speech gate ->
decoded, hours of it in parts. Neither batches nor the number of workers change a result (law 1).
"""

import copy
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.cores import usable_cores
from asr.data.manifest import Utterance
from asr.decoding import DecodedText, greedy_decode
from asr.decoding.build import Decoder, build_decoder, reads_phones
from asr.decoding.config import DecodingConfig
from asr.errors import AsrError
from asr.onnx.backend import OnnxPretrained, load_with_backend
from asr.recognition.calibration import Calibration, read_calibration
from asr.recognition.given import AudioInput, check_choice, given_sources
from asr.recognition.hypothesis import Channel, Hypothesis, joined, merged
from asr.recognition.pool import Pool, PoolProgress
from asr.recognition.reading import AudioSource, Reader, by_file, raised, source_of, sources_of, utterance_source
from asr.recognition.request_pool import RequestPool, Task
from asr.recognition.speech_gate import SETTLE_S, apply_gate
from asr.recognition.stored_decoding import choose_decoding
from asr.recognition.streaming import CHUNK_S, StreamOptions, TranscriptStream
from asr.recognition.windows import (
    MAX_WINDOW_S,
    PAUSE_S,
    Array,
    Emissions,
    WindowSizes,
    compute_windows,
    cut_emissions,
    frame_seconds,
    stitch,
    without_phones,
)
from asr.recognition.words import TimedWords, word_times
from asr.schema import build
from asr.shipped import model_directory
from asr.stored import unless_replaced
from asr.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from asr.features import Features
    from asr.models import AcousticModel
    from asr.pretrained import Pretrained

T = TypeVar("T")
Waveform = NDArray[np.float32]
Recordings = Iterable[str | Path | Utterance | Waveform | AudioSource]
OnStep = Callable[[Reader, int], None] | None  # see Pool
BATCH_S = 60.0  # padded seconds in a batch: one of the longest windows


class Recognizer:
    """A trained model, ready to transcribe.

    >>> recognizer = Recognizer.from_pretrained("runs/fsdd/model")
    >>> recognizer.transcribe("seven.wav").text
    'seven'
    """

    def __init__(
        self,
        pretrained: "Pretrained | OnnxPretrained",
        device: Any,
        decoder: Decoder = greedy_decode,
        *,
        speech_gate: bool = True,
        words: bool = True,
        calibration: Calibration | None = None,
        sizes: WindowSizes | None = None,
    ) -> None:
        """``words``: find word times and confidence, by ``calibration`` a probability. ``device``: of the model."""
        self.pretrained, self.frontend = pretrained, pretrained.features
        self.tokenizer: Tokenizer = pretrained.tokenizer
        self.columns = self.tokenizer.vocab_size + len(pretrained.phones)  # of the model's output
        self.facts: Mapping[str, Any] = pretrained.facts
        self.device, self.decoder = device, decoder
        self.decoding = DecodingConfig()  # what the decoder was made from, where it was made from settings
        self.backend = "torch"
        self.speech_gate, self.words, self.calibration = speech_gate, words, calibration
        self.local_mean = False  # see Reader
        self.frame_s = frame_seconds(self.frontend.config, pretrained.factor)
        self.sizes = sizes or WindowSizes.of(self.frame_s / pretrained.factor, pretrained.factor)

    @classmethod
    def from_pretrained(
        cls,
        directory: str | os.PathLike[str] = "english",
        device: str = "auto",
        *,
        speech_gate: bool = True,
        words: bool = True,
        calibrated: bool = True,
        decoding: Mapping[str, Any] | None = None,
        backend: str = "auto",
    ) -> "Recognizer":
        """Load a model directory; "english" is the model that comes with the package. Also called ``asr.load_model``.

        Args:
            directory: such as ``runs/mine/model``.
            device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1".
            speech_gate: keep silence and noise from becoming words (asr/recognition/speech_gate.py).
            words: find word times and confidence too.
            calibrated: make confidence a probability where the directory has a calibration.json.
            decoding: keys of ``DecodingConfig`` that replace those of the directory's decoding.json (greedy where there
                is none), e.g. ``{"name": "beam", "language_model": "lm.bin", "hotwords": {"ann": 5.0}}``.
            backend: "torch"; "onnx" or "onnx-int8" on the CPU; "auto": see ``asr.onnx.backend.choose_backend``.

        Raises:
            ModelError: the directory is absent, damaged, or does not fit.
            ConfigError: a setting is unknown or wrong.
        """
        found = model_directory(directory)

        def load() -> "Recognizer":
            name, pretrained, chosen = load_with_backend(backend, found, device)
            calibration = read_calibration(found) if words and calibrated else None
            settings = choose_decoding(found, decoding or {})
            decoder = build_decoder(settings, pretrained.tokenizer, pretrained.phones)
            recognizer = cls(pretrained, chosen, decoder, speech_gate=speech_gate, words=words, calibration=calibration)
            recognizer.decoding, recognizer.backend = settings, name
            return recognizer

        return unless_replaced(found, load)

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model, in Hz."""
        return self.frontend.config.sample_rate

    @property
    def features(self) -> "Features":
        """The features in torch, for what works on batches; with another backend torch is loaded for them."""
        return self.pretrained.in_torch().features

    @property
    def model(self) -> "AcousticModel":
        """The model in torch, for what looks into it; with another backend torch is loaded for it."""
        return self.pretrained.in_torch().model

    def transcribe(
        self,
        audio: AudioInput,
        sample_rate: float | None = None,
        *,
        channel: Channel = None,
        track: int | None = None,
    ) -> Hypothesis:
        """The text of one recording of any length, in bounded memory; a long one keeps all cores busy.

        ``audio``: a path; the bytes of an audio file, or an open binary file; samples (an array, a tensor, a list),
        whose ``sample_rate`` in Hz must then be given; or a mapping with ``array`` and ``sampling_rate``;
        ``asr.recognition.given`` says which types and shapes of samples there are. ``channel``: the one to transcribe,
        from 0; "split": each by itself, see ``Hypothesis.channels``; None averages them. ``track``: which audio track
        of a video or other container, from 0; None: the best. Raises AudioError when the recording cannot be read or is
        none, ConfigError when the rate, channel or track is missing or impossible.
        """
        with given_sources(audio, sample_rate, self.sample_rate, channel, track) as sources:
            workers = 1 if sum(source.duration_s() for source in sources) <= MAX_WINDOW_S else None
            found = list(raised(self._pooled(sources, self._finish, workers=workers)))
        return merged(found) if channel == "split" else found[0]

    def stream(
        self,
        sample_rate: int | None = None,
        *,
        chunk_s: float = CHUNK_S,
        look_ahead_s: float | None = None,
        pause_s: float = PAUSE_S,
    ) -> TranscriptStream:
        """Begin to transcribe sound that still goes on: ``feed`` it to what is returned, then ``finish``.

        ``sample_rate`` of the samples in Hz, None: the model's. ``chunk_s`` and ``look_ahead_s`` are the delay of the
        text, and ``pause_s`` ends a segment: see ``StreamOptions``. Streams of one recogniser may run in several
        threads. Raises ConfigError where the model needs whole recordings, or for an impossible value.
        """
        return TranscriptStream(
            self, StreamOptions(chunk_s=chunk_s, look_ahead_s=look_ahead_s, pause_s=pause_s), sample_rate
        )

    def __repr__(self) -> str:
        where = f"on {self.device}" if self.backend == "torch" else f"{self.backend} on {self.device}"
        return (
            f"Recognizer({self.pretrained.architecture} of {self.pretrained.parameters / 1e6:.1f} million parameters,"
            f" {self.tokenizer.vocab_size} tokens, {self.sample_rate} Hz, {self.decoding.name} decoding, {where})"
        )

    def transcribe_files(
        self,
        paths: Iterable[str | Path],
        *,
        progress: Callable[[float, float], None] | None = None,
        workers: int | None = None,
        batch_s: float = BATCH_S,
        channel: Channel = None,
        track: int | None = None,
    ) -> Generator[tuple[Path, Hypothesis | AsrError], None, None]:
        """Each file with its text, in the order given, or with the AsrError that says why it has none.

        ``progress(done_s, total_s)`` is called from this thread, in seconds of audio; the total is an estimate until
        all files have been opened. ``workers``: threads that compute, by default one a core. Closing the iterator
        stops the work. Neither ``workers`` nor ``batch_s`` (padded seconds in a batch) changes a text.
        ``channel`` and ``track`` as for ``transcribe``; batches hold windows of all channels.
        """
        check_choice(channel, track)
        files = [Path(path) for path in paths]
        counts: list[int] = []
        sources = sources_of(files, self.sample_rate, channel, track, counts)
        on_step = PoolProgress(files, self.frame_s, progress).step if progress else None
        results = self._pooled(sources, self._finish, workers=workers, batch_s=batch_s, on_step=on_step)
        with closing(results):
            yield from by_file(files, results, counts, split=channel == "split")

    def transcribe_utterances(
        self,
        utterances: Sequence[Utterance],
        batch_s: float = BATCH_S,
        progress: Callable[[int, int], None] | None = None,
        workers: int | None = None,
    ) -> list[Hypothesis]:
        """The text of each utterance, in order. ``batch_s`` bounds the padded seconds of a batch; ``progress(done,
        total)``.

        Raises AudioError naming the first recording that cannot be read.
        """
        sources = (utterance_source(utterance, self.sample_rate) for utterance in utterances)
        found: list[Hypothesis] = []
        for hypothesis in raised(self._pooled(sources, self._finish, workers=workers, batch_s=batch_s)):
            found.append(hypothesis)
            if progress is not None:
                progress(len(found), len(utterances))
        return found

    def transcribe_waveforms(self, waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        """Mono waveforms ``(samples,)`` at the model's rate -> a hypothesis each."""
        return [self.decode(emissions) for emissions in raised(self.emissions(waveforms, workers=1))]

    def with_decoding(self, **changes: Any) -> "Recognizer":
        """The same model with a beam search and these keys of ``DecodingConfig``; what else was set for it stays.

        Raises ConfigError as ``from_pretrained``.
        """
        other = copy.copy(self)
        other.decoding = build(DecodingConfig, {**asdict(self.decoding), "name": "beam", **changes}, "decoding")
        other.decoder = build_decoder(other.decoding, self.tokenizer, self.pretrained.phones)
        return other

    def request_pool(
        self, *, workers: int | None = None, batch_s: float = BATCH_S, on_batch: Callable[[int], None] | None = None
    ) -> RequestPool[Hypothesis]:
        """Threads that compute recordings as they come, for ``submit``; arguments as for ``transcribe_files``.

        ``on_batch(windows)``: called with the size of each batch. Close the pool to end its threads.
        """
        return RequestPool(
            partial(compute_windows, self.pretrained.log_probs),
            frame_s=self.frame_s,
            workers=usable_cores() if workers is None else workers,
            batch_frames=self._batch_frames(batch_s),
            on_batch=on_batch,
        )

    def submit(self, pool: RequestPool[Hypothesis], source: AudioSource) -> Task[Hypothesis]:
        """Have ``pool``, of this model, transcribe a recording."""
        reader = self._reader(source, expect=True)
        return pool.submit(reader, self._finish, self._take)

    def emissions(
        self, recordings: Recordings, *, workers: int | None = None, batch_s: float = BATCH_S, on_step: OnStep = None
    ) -> Generator[Emissions | AsrError, None, None]:
        """The model's log-probabilities for each recording, in order, the speech gate applied; for ``decode``.

        A recording is a path, an utterance, a source, or a mono waveform ``(samples,)`` at the model's rate. One that
        cannot be read has its AsrError in its place.
        """
        sources = (source_of(recording, self.sample_rate) for recording in recordings)
        return self._pooled(sources, self._emissions, workers=workers, batch_s=batch_s, on_step=on_step)

    def decode(self, emissions: Emissions) -> Hypothesis:
        """The text of one recording's emissions, its words with times and confidence if they are wanted.

        A long recording is decoded in parts, unless an n-best list of the whole is asked for.
        """
        parts = cut_emissions(emissions) if self.decoding.n_best == 1 else [(0.0, emissions)]
        return joined([(start_s, self._decode_part(part)) for start_s, part in parts])

    def _decode_part(self, emissions: Emissions) -> Hypothesis:
        read = emissions.phones if reads_phones(self.decoder) else emissions.log_probs
        assert read is not None  # no decoder is built for phones that the model lacks
        decoded = self.decoder(read[None], [len(read)], self.tokenizer)[0]
        timed = self.timed_words(emissions, decoded) if self.words else None
        return Hypothesis(
            text=decoded.text,
            score=decoded.score,
            duration_s=emissions.duration_s,
            words=timed.words if timed else (),
            confidence=timed.confidence if timed else None,
            n_best=decoded.n_best,
            evidence=timed.evidence if timed else (),
        )

    def timed_words(self, emissions: Emissions, decoded: DecodedText) -> TimedWords:
        """The words of one recording's text, with their times and confidence."""
        return word_times(
            emissions.log_probs,
            decoded.tokens,
            self.tokenizer,
            emissions.frame_s,
            duration_s=emissions.duration_s,
            start_s=-emissions.edge_s,
            level=emissions.level,
            n_best=decoded.n_best,
            calibration=self.calibration,
            device=self.device,
            must_fit=not reads_phones(self.decoder),  # what phones say may have more letters than there are frames
        )

    def _pooled(
        self,
        sources: Iterable[AudioSource],
        finish: Callable[[Reader, list[Array]], T],
        *,
        workers: int | None = None,
        batch_s: float = BATCH_S,
        on_step: OnStep = None,
    ) -> Generator[T | AsrError, None, None]:
        pool = Pool(
            (self._reader(source, expect=on_step is not None) for source in sources),
            partial(compute_windows, self.pretrained.log_probs),
            finish,
            workers=usable_cores() if workers is None else workers,
            batch_frames=self._batch_frames(batch_s),
            on_step=on_step,
            take=self._take if finish == self._finish else None,
        )
        return pool.results()

    def _batch_frames(self, batch_s: float) -> int:
        return max(1, round(batch_s / (self.frame_s / self.sizes.factor)))

    def _reader(self, source: AudioSource, expect: bool = False) -> Reader:
        gate, words, local = self.speech_gate, self.words, self.local_mean
        return Reader(source, self.frontend, self.sizes, gate=gate, expect=expect, words=words, local_mean=local)

    def _take(self, reader: Reader, parts: list[Array]) -> list[Array]:
        """Decode what can be cut off a long recording that is still being read; the emissions that are left."""
        if self.decoding.n_best > 1:  # of the whole
            return parts
        before, settle = reader.decoded, round(SETTLE_S / self.frame_s)
        held = stitch(parts, self.columns)
        *cut, _ = cut_emissions(self._gated(reader, held, max(0, len(held) - settle), ended=False), ended=False)
        for start_s, part in cut:
            before.hypotheses.append((before.stop_s + start_s, self.decode(part)))
            before.stop += len(part.log_probs)
        if cut:
            before.stop_s = before.stop * self.frame_s + self.frontend.config.first_frame_s
        keep_from = max(before.first, before.stop - settle)
        held, before.first = held[keep_from - before.first :].copy(), keep_from
        return [held]

    def _finish(self, reader: Reader, parts: list[Array]) -> Hypothesis:
        """The text of a recording whose emissions have all come."""
        last = self.decode(self._emissions(reader, parts))
        return joined([*reader.decoded.hypotheses, (reader.decoded.stop_s, last)])

    def _emissions(self, reader: Reader, parts: list[Array]) -> Emissions:
        """One recording's windows as its emissions, gated; without what is decoded."""
        held = stitch(parts, self.columns)
        return self._gated(reader, held, len(held), ended=True)

    def _gated(self, reader: Reader, held: Array, stop: int, *, ended: bool) -> Emissions:
        """What is held up to ``stop``, from where the decoded part of the recording ends: that is its second 0."""
        config, before = self.frontend.config, reader.decoded
        edge_s, gated = -config.first_frame_s, held
        tokens = self.tokenizer.vocab_size
        if reader.signal is not None:
            gated = apply_gate(held, reader.signal.log_odds(ended), self.frame_s, edge_s, before.first, tokens)
        duration_s = reader.samples / config.sample_rate - before.stop_s
        level = None if reader.level is None else reader.level.level(ended)
        if before.stop:
            edge_s = 0.0
            level = None if level is None else level.part(before.stop_s, before.stop_s + duration_s)
        gated, phones = without_phones(gated[before.stop - before.first : stop], tokens)
        return Emissions(gated, self.frame_s, edge_s, duration_s, level, phones)


load_model = Recognizer.from_pretrained
