"""Which utterances go together, in which order: batches bounded by seconds, in buckets of similar durations.

In: durations, speeds and a seed. Out: an epoch's plan, a list of batches, always the same for the same arguments.
So the state of the sampler is (epoch, batch), resuming costs nothing, and every process of a distributed run makes the
same plan and takes its share of each batch. A plan is a few arrays: a million utterances take 25 MB.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asr.schema import check
from asr.seeds import numpy_generator


@dataclass(kw_only=True, slots=True)
class BatchingConfig:
    """``batch_s``: seconds of padded audio in one process's batch. ``max_utterances``: a bound on their number. With
    several processes the bound holds for all of them together (so that the plan is that of one process with as much),
    and a share can exceed its part by less than one utterance.

    ``multiple``: a process's batch of more utterances than this holds a multiple of it, where seconds allow; GPUs
    compute 8, 16, ... rows faster than as many and one more. ``shuffle_width``: how far durations are jittered before
    sorting (0: strict buckets, least padding; 0.05: 5% of each
    duration). ``short_first``: the first epoch goes from short to long, which helps CTC at the start.
    """

    batch_s: float = 120.0  # most seconds of padded audio per batch and process
    max_utterances: int = 64
    multiple: int = 1  # utterances per batch are a multiple of this; 8 on a GPU
    shuffle_width: float = 0.03  # durations are jittered by this share before sorting; 0: sorted exactly
    short_first: bool = True  # first epoch sorted from short to long

    def __post_init__(self) -> None:
        check(self.batch_s > 0, f"data.batching.batch_s={self.batch_s} must be above 0 seconds")
        check(self.max_utterances >= 1, f"data.batching.max_utterances={self.max_utterances} must be at least 1")
        check(self.multiple >= 1, f"data.batching.multiple={self.multiple} must be at least 1")
        check(0 <= self.shuffle_width <= 1, f"data.batching.shuffle_width={self.shuffle_width} must be in [0, 1]")

    def of_views(self, views: int) -> "BatchingConfig":
        """The same bounds where each utterance is computed ``views`` times."""
        return replace(self, batch_s=self.batch_s / views, max_utterances=max(1, self.max_utterances // views))


@dataclass(frozen=True, slots=True)
class Request:
    """One utterance of the plan: its ``index``, ``epoch`` (for its random draws) and the ``speed`` it is played at."""

    index: int
    epoch: int
    speed: float


class Plan(Sequence[list[Request]]):
    """The batches of an epoch: ``order`` and ``speeds`` of its utterances, and where in it batches start and stop.

    A batch becomes a list of requests when it is asked for. ``step``: only every so many-th of its utterances.
    """

    def __init__(
        self,
        order: NDArray[np.int64],
        speeds: NDArray[np.float64],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        epoch: int,
        step: int = 1,
    ) -> None:
        self._order, self._speeds, self._starts, self._stops = order, speeds, starts, stops
        self._epoch, self._step = epoch, step

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> list[Request]: ...
    @overload
    def __getitem__(self, index: slice) -> "Plan": ...
    def __getitem__(self, index: int | slice) -> "list[Request] | Plan":
        if isinstance(index, slice):
            return self._with(self._starts[index], self._stops[index], self._step)
        part = slice(self._starts[index], self._stops[index], self._step)
        pairs = zip(self._order[part].tolist(), self._speeds[part].tolist(), strict=True)
        return [Request(utterance, self._epoch, speed) for utterance, speed in pairs]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and list(self) == list(other)

    def of_process(self, rank: int, processes: int) -> "Plan":
        """Process ``rank``'s ``share`` of each batch, which may be empty."""
        return self._with(self._starts + rank, self._stops, processes)

    def without_empty(self) -> "Plan":
        """Only the batches that hold anything."""
        full = self._starts < self._stops
        return self._with(self._starts[full], self._stops[full], self._step)

    def longest(self, durations_s: ArrayLike) -> list[Request]:
        """The batch of most seconds, padding counted; the first of several."""
        lengths_s = np.asarray(durations_s, np.float64)[self._order] / self._speeds
        bounds = zip(self._starts.tolist(), self._stops.tolist(), strict=True)
        return self[int(np.argmax([(stop - start) * lengths_s[start:stop].max() for start, stop in bounds]))]

    def _with(self, starts: NDArray[np.int64], stops: NDArray[np.int64], step: int) -> "Plan":
        return Plan(self._order, self._speeds, starts, stops, self._epoch, step)


def plan_epoch(
    durations_s: ArrayLike,
    config: BatchingConfig,
    *,
    seed: int,
    epoch: int,
    speeds: Sequence[float] = (1.0,),
    processes: int = 1,
) -> Plan:
    """The batches of ``epoch``.

    Every utterance occurs once. A batch of ``processes`` shares holds as many times the seconds.
    """
    generator = numpy_generator(seed, "plan", epoch)
    durations = np.asarray(durations_s, np.float64)
    drawn = np.asarray(speeds, np.float64)[generator.integers(len(speeds), size=len(durations))]
    lengths_s = durations / drawn
    jitter = generator.uniform(1 - config.shuffle_width, 1 + config.shuffle_width, size=len(durations))
    order = np.argsort(lengths_s * jitter, kind="stable")
    bounds = np.array(_cut(lengths_s[order].tolist(), config, processes), np.int64)
    starts, stops = bounds[:-1], bounds[1:]
    if epoch > 0 or not config.short_first:
        mixed = generator.permutation(len(starts))
        starts, stops = starts[mixed], stops[mixed]
    return Plan(order, drawn[order], starts, stops, epoch)


def share(batch: Sequence[Request], rank: int, processes: int) -> list[Request]:
    """The part of ``batch`` for process ``rank``: every ``processes``-th utterance, so that lengths are similar."""
    return list(batch[rank::processes])


def padding_share(durations_s: Sequence[float] | NDArray[np.float64], batches: Iterable[Sequence[Request]]) -> float:
    """The share of padded audio that is padding, from 0 to 1."""
    sums, padded = [], []
    for batch in batches:
        lengths = [float(durations_s[one.index]) / one.speed for one in batch]
        sums.append(sum(lengths))
        padded.append(max(lengths) * len(lengths))
    return 1 - sum(sums) / sum(padded) if padded else 0.0


def _cut(lengths_s: list[float], config: BatchingConfig, processes: int) -> list[int]:
    """Where utterances in their order are cut into batches of at most the configured seconds and utterances.

    The first bound is 0, the last their number; between two bounds is a batch. None at all: one bound.
    """
    most_s, most = config.batch_s * processes, config.max_utterances * processes
    multiple = config.multiple * processes if config.multiple > 1 else 1
    bounds, start, longest = [0], 0, 0.0
    for place, length_s in enumerate(lengths_s):
        size, longest = place - start + 1, length_s if length_s > longest else longest
        if (longest * size <= most_s and size <= most) or size == 1:
            continue
        extra = (size - 1) % multiple if size - 1 > multiple else 0  # they begin the next batch, if they fit there
        longest = max(lengths_s[place - extra : place + 1])
        if longest * (extra + 1) > most_s or extra + 1 > most:
            extra, longest = 0, length_s
        start = place - extra
        bounds.append(start)
    return [*bounds, len(lengths_s)] if lengths_s else bounds
