"""From one recording to its windows, read forward in blocks, and measured for the speech gate and word times.

In: an ``AudioSource``: what gives a recording's blocks, as often as asked. Out: a ``Reader`` whose ``windows()`` are
taken one after another and which knows the recording's length once they have all been taken.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.audio import load_audio, probe, stream_audio
from asr.data.manifest import Utterance
from asr.errors import AsrError
from asr.features import Level, LevelMeter, RecordingFeatures, recording_mean, stream_features
from asr.recognition.bounds import LevelTracker
from asr.recognition.hypothesis import Channel, Hypothesis, merged
from asr.recognition.speech_gate import SignalTracker
from asr.recognition.windows import MAX_WINDOW_S, Window, WindowSizes, cut_windows

T = TypeVar("T")
Waveform = NDArray[np.float32]
GATE_LEVEL_DB = -25.0  # near that of the recordings that the speech gate was fitted on
BLOCK_S = MAX_WINDOW_S  # what fits into one window comes in one block, and so is computed as a whole


@dataclass(frozen=True, slots=True)
class AudioSource:
    """A recording that can be read from its start: ``blocks()`` gives ``(samples,)`` at the model's rate.

    ``duration_s()`` gives its length beforehand, where that is cheap; ``key`` is the caller's name of it, ``name`` that
    in messages.
    """

    blocks: Callable[[], Iterator[Waveform]]
    duration_s: Callable[[], float]
    key: Any = None
    name: str = ""


def file_source(
    path: str | Path, sample_rate: int, key: Any = None, channel: int | None = None, track: int | None = None
) -> AudioSource:
    """A whole file of any length; ``channel`` from 0, None mixes them; ``track`` as for ``load_audio``."""
    return AudioSource(
        lambda: stream_audio(path, sample_rate=sample_rate, block_s=BLOCK_S, channel=channel, track=track),
        lambda: probe(path, track).duration_s,
        key,
        os.fspath(path),
    )


def file_sources(
    path: str | Path, sample_rate: int, index: int = 0, channel: Channel = None, track: int | None = None
) -> list[AudioSource]:
    """The file as one source, or with ``channel="split"`` a source for each channel; keys are (``index``, number)."""
    if channel != "split":
        return [file_source(path, sample_rate, (index, 0), channel, track)]
    try:
        channels = probe(path, track).channels
    except (AsrError, OSError):  # reading it will say why
        channels = 1
    return [file_source(path, sample_rate, (index, one), one, track) for one in range(channels)]


def sources_of(
    files: Iterable[Path], sample_rate: int, channel: Channel, track: int | None, counts: list[int]
) -> Iterator[AudioSource]:
    """The sources of many files, each opened when it is its turn; ``counts`` grows by how many it has."""
    for index, path in enumerate(files):
        own = file_sources(path, sample_rate, index, channel, track)
        counts.append(len(own))
        yield from own


def raised(results: Generator[T | AsrError, None, None]) -> Iterator[T]:
    """The results; the first error among them is raised."""
    with closing(results):
        for result in results:
            if isinstance(result, AsrError):
                raise result
            yield result


def by_file(
    files: Iterable[Path], results: Iterator[Hypothesis | AsrError], counts: Sequence[int], *, split: bool
) -> Iterator[tuple[Path, Hypothesis | AsrError]]:
    """What the sources of ``sources_of`` gave, as one result a file: its channels merged, or the first error."""
    for index, path in enumerate(files):
        own = [next(results)]
        own += islice(results, counts[index] - 1)
        heard = [one for one in own if isinstance(one, Hypothesis)]
        if len(heard) < len(own):
            yield path, next(one for one in own if isinstance(one, AsrError))
        else:
            yield path, merged(heard) if split else heard[0]


def source_of(recording: str | Path | Utterance | Waveform | AudioSource, sample_rate: int) -> AudioSource:
    """A whole file, an utterance, or a waveform at ``sample_rate``; a source as it is."""
    if isinstance(recording, AudioSource):
        return recording
    if isinstance(recording, str | Path):
        return file_source(recording, sample_rate)
    if isinstance(recording, Utterance):
        return utterance_source(recording, sample_rate)
    return waveform_source(recording, sample_rate)


def waveform_source(waveform: Waveform, sample_rate: int) -> AudioSource:
    """A waveform in memory."""
    return AudioSource(lambda: _in_blocks(waveform, sample_rate), lambda: len(waveform) / sample_rate)


def utterance_source(utterance: Utterance, sample_rate: int) -> AudioSource:
    """The utterance's own span of its recording, read when it is asked for."""

    def blocks() -> Iterator[Waveform]:
        waveform = load_audio(
            utterance.audio,
            sample_rate=sample_rate,
            start_s=utterance.start_s,
            duration_s=utterance.duration_s,
            channel=utterance.channel,
        )
        yield from _in_blocks(waveform, sample_rate)

    return AudioSource(blocks, lambda: utterance.duration_s, name=f"{utterance.id} ({utterance.audio})")


def _in_blocks(waveform: Waveform, sample_rate: int) -> Iterator[Waveform]:
    size = round(BLOCK_S * sample_rate)
    return (waveform[start : start + size] for start in range(0, len(waveform), size))


def _one(block: Waveform) -> Iterator[Waveform]:
    yield block


def _centred(window: Window) -> Window:
    return replace(window, log_mel=window.log_mel - window.log_mel.mean(axis=0, keepdims=True))


@dataclass(slots=True)
class Decoded:
    """What of a long recording is decoded while the rest is read: ``hypotheses``, each with the second of its start.

    They reach to frame ``stop`` of its emissions, at ``stop_s``; what is held of these begins with frame ``first``.
    """

    hypotheses: list[tuple[float, Hypothesis]] = field(default_factory=list)
    stop: int = 0
    stop_s: float = 0.0
    first: int = 0


class Reader:
    """One recording on its way through the features.

    Attributes: ``samples`` read so far; ``signal``, what the speech gate has measured so far (None: no gate);
    ``level``, where speech is, for word times (None: they are not asked for); ``expected_s``, the recording's length,
    known from its header once reading has begun (None: not asked for); ``decoded``, for the recogniser.
    """

    def __init__(
        self,
        source: AudioSource,
        features: RecordingFeatures,
        sizes: WindowSizes,
        *,
        gate: bool = True,
        expect: bool = False,
        words: bool = False,
        local_mean: bool = False,
    ) -> None:
        """``local_mean``: each window of a long recording has a mean of 0 of its own, as an utterance in training."""
        self.source, self.features, self.sizes, self.expect = source, features, sizes, expect
        self.samples = 0
        self.local_mean = local_mean and features.config.normalization == "utterance"
        self.signal = SignalTracker(features.config.sample_rate) if gate else None
        self.level = LevelTracker(features.config) if words else None
        self.expected_s: float | None = None
        self.decoded = Decoded()
        self._stopped = False

    def windows(self) -> Iterator[Window]:
        """The recording's windows. Raises AudioError when the reading reaches damage."""
        if self.expect:
            self.expected_s = self.source.duration_s()
        first = next(self.source.blocks(), np.zeros(0, np.float32))
        blocks: Callable[[], Iterator[Waveform]] = partial(_one, first)
        whole = len(first) < round(BLOCK_S * self.features.config.sample_rate)
        if not whole:
            # what is measured on the whole comes first: decoding is so fast that it costs less than keeping it all
            blocks = self.source.blocks
        meter = LevelMeter(self.features.config.sample_rate)
        for block in self._unless_stopped(blocks()):
            meter.push(block)
        level, mean = meter.level(self.features.config.level_db), None
        if not whole and self.features.config.normalization == "utterance":
            mean = recording_mean(self.features, map(level.apply, self._unless_stopped(blocks())))
        levelled = map(level.apply, self._tracked(blocks(), meter.level(GATE_LEVEL_DB)))
        windows = cut_windows(self._log_mel(levelled, mean), self.sizes)
        yield from map(_centred, windows) if self.local_mean and not whole else windows

    def stop(self) -> None:
        """Make reading end soon, from another thread."""
        self._stopped = True

    def _log_mel(self, blocks: Iterator[Waveform], mean: Waveform | None) -> Iterator[Waveform]:
        for log_mel in stream_features(self.features, blocks):
            if self.level is not None:
                self.level.push(log_mel)
            yield self.features.normalised(log_mel, mean)

    def _tracked(self, blocks: Iterator[Waveform], gate_level: Level) -> Iterator[Waveform]:
        for block in self._unless_stopped(blocks):
            self.samples += len(block)
            if self.signal is not None:
                self.signal.push(gate_level.apply(block))
            yield block

    def _unless_stopped(self, blocks: Iterable[Waveform]) -> Iterator[Waveform]:
        return takewhile(lambda block: not self._stopped, blocks)
