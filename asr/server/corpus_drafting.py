"""Drafts of a corpus's recordings, made in a thread of its own, one recording after the other.

In: the corpus, and a model that is served. Out: the segments of each recording in the corpus's queue. What that model
has drafted before is not drafted again; another model drafts the same segments anew.
"""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

from asr.cores import set_torch_threads, usable_cores
from asr.errors import AsrError
from asr.files import sha256_file
from asr.recognition.reading import AudioSource, Waveform, file_source
from asr.recognition.windows import Emissions
from asr.server.corpus import Corpus
from asr.server.corpus_files import DraftFile, DraftSegment, DraftWord, Recording
from asr.server.models import Served, limited, log
from asr.shipped import weights_sha256
from asr.transcription.drafts import Draft, Span, draft, drafting, speech_spans, without_overlap


class Drafting:
    """While the ``with`` lasts; its end waits for the segment, or the minute of sound, that is being computed."""

    def __init__(self, corpus: Corpus, served: Served, max_audio_s: float, workers: int | None = None) -> None:
        """``workers``: threads, by default one less than there are cores: people wait for what else is computed."""
        self._corpus, self._max_audio_s = corpus, max_audio_s
        self._recognizer = drafting(served.recognizer)
        corpus.normalize = served.normalizer
        self._workers = max(1, usable_cores() - 1) if workers is None else workers
        weights = weights_sha256(served.options.model) or ""
        self._model = f"{served.name} {weights[:12]}"
        settings = [weights, self._recognizer.decoding.described(), self._recognizer.speech_gate]
        self._key = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]
        self._waiting: deque[tuple[Recording, str]] = deque()  # with their SHA-256, in the order of the pool
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asr-drafting")

    def __enter__(self) -> "Drafting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        set_torch_threads(1)
        try:
            with closing(self._recognizer.emissions(self._sources(), workers=self._workers)) as results:
                for found in results:
                    recording, sha256 = self._waiting.popleft()
                    self._finish(recording, sha256, found)
        except Exception:
            log.exception("drafting has ended; restart the server to go on")
        self._corpus.progress.recording = None

    def _sources(self) -> Iterator[AudioSource]:
        """The recordings to compute, those without any drafts first."""
        rate, seen = self._recognizer.sample_rate, set()
        for recording in sorted(self._corpus.recordings, key=lambda one: self._corpus.drafted_by(one) is not None):
            if self._stop.is_set():
                return
            if self._corpus.drafted_by(recording) == self._key:
                self._have_done(recording)
                continue
            self._corpus.progress.recording = recording.name
            try:
                sha256 = sha256_file(recording.path)
            except OSError as error:
                self._have_done(recording, f"cannot be read ({error.strerror})")
                continue
            owner = self._corpus.owner(sha256)
            if sha256 in seen or (owner is not None and owner != recording):
                log.info("%s: is a copy of another recording, and is left out", recording.name)
                self._have_done(recording)
                continue
            seen.add(sha256)
            stored = self._corpus.stored(sha256)
            if stored is not None and stored.key == self._key:
                self._keep(recording, sha256, stored.segments)
                continue
            self._waiting.append((recording, sha256))
            source = limited(file_source(recording.path, rate), recording.name, self._max_audio_s, rate)
            yield replace(source, blocks=self._until_stopped(source.blocks))

    def _until_stopped(self, blocks: Callable[[], Iterator[Waveform]]) -> Callable[[], Iterator[Waveform]]:
        def checked() -> Iterator[Waveform]:
            for block in blocks():
                if self._stop.is_set():
                    raise AsrError("the server stops")
                yield block

        return checked

    def _finish(self, recording: Recording, sha256: str, found: Emissions | AsrError) -> None:
        if isinstance(found, AsrError):
            if not self._stop.is_set():
                self._have_done(recording, str(found))
            return
        self._corpus.progress.recording = recording.name
        try:
            segments = []
            for span in self._spans(sha256, found):
                if self._stop.is_set():
                    return
                segments.append(_segment(span, draft(self._recognizer, found, span)))
        except Exception as error:
            log.exception("%s: cannot be drafted", recording.name)
            self._have_done(recording, f"internal error: {type(error).__name__}; see the server's log")
            return
        self._keep(recording, sha256, tuple(segments))

    def _spans(self, sha256: str, emissions: Emissions) -> list[Span]:
        """Those of earlier drafts, else new ones; never others than those that people have worked on."""
        stored = self._corpus.stored(sha256)
        spans = [(one.start_s, one.end_s) for one in stored.segments] if stored else speech_spans(emissions)
        return without_overlap(spans, self._corpus.spans(sha256))

    def _keep(self, recording: Recording, sha256: str, segments: tuple[DraftSegment, ...]) -> None:
        drafts = DraftFile(
            recording=recording.name, size=recording.size, mtime_ns=recording.mtime_ns, sha256=sha256,
            model=self._model, key=self._key, segments=segments,
        )  # fmt: skip
        try:
            self._corpus.keep(recording, drafts)
        except OSError as error:
            self._have_done(recording, f"its drafts cannot be written ({error.strerror})")
            return
        self._have_done(recording)
        self._corpus.refresh()

    def _have_done(self, recording: Recording, why: str = "") -> None:
        progress = self._corpus.progress
        progress.done += 1
        if why:
            why = why.replace(str(recording.path), recording.name)
            log.warning("%s", why if recording.name in why else f"{recording.name}: {why}")
            progress.failed.append((recording.name, why))


def _segment(span: Span, one: Draft) -> DraftSegment:
    words = tuple(
        DraftWord(
            text=word.text, start_s=round(word.start_s, 3), end_s=round(word.end_s, 3),
            confidence=round(word.confidence, 4),
        )
        for word in one.words
    )  # fmt: skip
    return DraftSegment(
        start_s=span[0], end_s=span[1], text=one.text, words=words, alternatives=one.alternatives,
        confidence=None if one.confidence is None else round(one.confidence, 4),
    )  # fmt: skip
