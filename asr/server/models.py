"""The models that a server answers with, each with its pool of threads, and its decoders for hotwords.

In: options. Out: ``Served`` models by name. Batches hold the windows of all requests that met.
"""

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from asr.errors import TextError
from asr.recognition import Hypothesis, Recognizer
from asr.recognition.reading import AudioSource, Waveform, file_source
from asr.recognition.request_pool import RequestPool, Task
from asr.server.errors import ApiError, TooLongError
from asr.text.normalize import get_normalizer
from asr.transcription.job import build_recognizer
from asr.transcription.options import DEFAULT_BOOST, TranscribeOptions

if TYPE_CHECKING:
    from asr.server.metrics import Metrics
    from asr.server.options import ServeOptions

log = logging.getLogger("asr.server")
_DECODERS_KEPT = 8  # for the hotwords of the last requests


class Served:
    """One model. ``created``: when it was loaded, in seconds since 1970."""

    def __init__(self, name: str, options: TranscribeOptions, pool_options: Mapping[str, Any]) -> None:
        """Load it and run it once, so that no request waits for what is compiled at first. Raises an AsrError."""
        self.name, self.options = name, options
        self.recognizer = build_recognizer(options)
        rate = self.recognizer.sample_rate
        self.recognizer.transcribe(np.zeros(rate // 2, np.float32), rate)
        self.pool: RequestPool[Hypothesis] = self.recognizer.request_pool(**pool_options)
        self.created = int(time.time())
        self._by_hotwords: OrderedDict[tuple[str, ...], Recognizer] = OrderedDict()
        self._lock = Lock()

    @property
    def language(self) -> str | None:
        """What the model's facts say about its language, where they do."""
        language = self.recognizer.facts.get("language")
        return language if isinstance(language, str) else None

    @property
    def normalizer(self) -> Callable[[str], str]:
        """What makes a text like those that the model was trained on."""
        return get_normalizer(str(self.recognizer.facts.get("normalizer", "basic")))

    def spelled(self, phrases: Iterable[str]) -> tuple[list[str], list[str]]:
        """The phrases as the model writes them, without repetitions, and those that it cannot spell."""
        normalizer = self.normalizer
        found: dict[str, None] = {}
        unknown = []
        for phrase in phrases:
            for text in (" ".join(phrase.split()), normalizer(phrase)):
                if text and self._can_spell(text):
                    found[text] = None
                    break
            else:
                unknown.append(phrase)
        return list(found), unknown

    def _can_spell(self, text: str) -> bool:
        try:
            self.recognizer.tokenizer.encode(text)
        except TextError:
            return False
        return True

    def unspelled(self, text: str) -> str | None:
        """What the model cannot spell of a text, as it is or normalised; None where it can."""
        if self._can_spell(text):
            return None
        try:
            self.recognizer.tokenizer.encode(self.normalizer(text))
        except TextError as error:
            return str(error)
        return None

    def for_hotwords(self, hotwords: list[str]) -> Recognizer:
        """The recogniser that prefers these, as ``spelled`` gives them; reading the language model takes a moment."""
        if not hotwords:
            return self.recognizer
        key = tuple(hotwords)
        with self._lock:
            if key not in self._by_hotwords:
                own = self.recognizer.decoding.hotwords or {}
                wanted = {**own, **dict.fromkeys(key, DEFAULT_BOOST)}
                self._by_hotwords[key] = self.recognizer.with_decoding(hotwords=wanted)
            self._by_hotwords.move_to_end(key)
            while len(self._by_hotwords) > _DECODERS_KEPT:
                self._by_hotwords.popitem(last=False)
            return self._by_hotwords[key]

    def transcribe(self, recognizer: Recognizer, path: str, name: str, max_audio_s: float) -> Task[Hypothesis]:
        """Begin with the recording in ``path``, which messages call ``name``."""
        source = file_source(path, self.recognizer.sample_rate)
        return recognizer.submit(self.pool, limited(source, name, max_audio_s, self.recognizer.sample_rate))


def limited(source: AudioSource, name: str, max_audio_s: float, sample_rate: int) -> AudioSource:
    """The source, which raises TooLongError beyond the limit: by its header, or where reading gets there."""

    def check(seconds: float) -> None:
        if seconds > max_audio_s:
            raise TooLongError(f"{name}: is longer than {max_audio_s:g} s, which is what this server takes")

    def duration_s() -> float:
        seconds = source.duration_s()
        check(seconds)
        return seconds

    def blocks() -> Iterator[Waveform]:
        samples = 0
        for block in source.blocks():
            samples += len(block)
            check(samples / sample_rate)
            yield block

    return replace(source, blocks=blocks, duration_s=duration_s)


class Models:
    """All of them; the first is the default. ``threads`` compute live sound."""

    def __init__(self, models: Mapping[str, Served], workers: int | None = None) -> None:
        self._models = dict(models)
        self.threads = ThreadPoolExecutor(
            workers or os.cpu_count() or 1, "asr-live", initializer=torch.set_num_threads, initargs=(1,)
        )

    def __iter__(self) -> Iterator[Served]:
        return iter(self._models.values())

    def get(self, name: str) -> Served:
        """The model of that name, the first where it is empty. Raises ApiError."""
        if name in self._models:
            return self._models[name]
        if name:
            names = ", ".join(self._models)
            raise ApiError(
                404, f"there is no model {name[:80]!r}; the models are: {names}", param="model", code="model_not_found"
            )
        return next(iter(self))

    @property
    def alive(self) -> bool:
        """Whether all of them take recordings."""
        return all(one.pool.alive for one in self)

    def close(self) -> None:
        """Give up what is not done."""
        self.threads.shutdown(cancel_futures=True)
        for one in self:
            one.pool.close()


def load_models(options: "ServeOptions", metrics: "Metrics") -> Models:
    """Load each model. Raises an AsrError."""
    pool = {"workers": options.workers, "on_batch": metrics.batch.observe}
    models: dict[str, Served] = {}
    for name, directory in options.models.items():
        own = TranscribeOptions(
            model=directory,
            device=options.device,
            backend=options.backend,
            speech_gate=options.speech_gate,
            decoder=options.decoder,
        )
        models[name] = Served(name, own, pool)
    return Models(models, options.workers)
