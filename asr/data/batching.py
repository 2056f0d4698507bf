"""Which utterances go together, in which order: batches bounded by seconds, in buckets of similar durations.

In: durations, speeds and a seed. Out: an epoch's plan, a list of batches, always the same for the same arguments.
So the state of the sampler is (epoch, batch), resuming costs nothing, and every process of a distributed run makes the
same plan and takes its share of each batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


def plan_epoch(
    durations_s: Sequence[float],
    config: BatchingConfig,
    *,
    seed: int,
    epoch: int,
    speeds: Sequence[float] = (1.0,),
    processes: int = 1,
) -> list[list[Request]]:
    """The batches of ``epoch``.

    Every utterance occurs once. A batch of ``processes`` shares holds as many times the seconds.
    """
    generator = numpy_generator(seed, "plan", epoch)
    drawn = generator.integers(len(speeds), size=len(durations_s))
    requests = [Request(index, epoch, speeds[choice]) for index, choice in enumerate(drawn)]
    lengths_s = [duration / request.speed for duration, request in zip(durations_s, requests, strict=True)]
    jitter = generator.uniform(1 - config.shuffle_width, 1 + config.shuffle_width, size=len(requests))
    order = sorted(range(len(requests)), key=lambda index: (lengths_s[index] * jitter[index], index))
    batches = _cut([requests[index] for index in order], [lengths_s[index] for index in order], config, processes)
    if epoch > 0 or not config.short_first:
        batches = [batches[index] for index in generator.permutation(len(batches))]
    return batches


def share(batch: Sequence[Request], rank: int, processes: int) -> list[Request]:
    """The part of ``batch`` for process ``rank``: every ``processes``-th utterance, so that lengths are similar."""
    return list(batch[rank::processes])


def padding_share(durations_s: Sequence[float], batches: Sequence[Sequence[Request]]) -> float:
    """The share of padded audio that is padding, from 0 to 1."""
    lengths = [[durations_s[one.index] / one.speed for one in batch] for batch in batches]
    padded = sum(max(batch) * len(batch) for batch in lengths)
    return 1 - sum(map(sum, lengths)) / padded if padded else 0.0


def _cut(
    requests: list[Request], lengths_s: list[float], config: BatchingConfig, processes: int
) -> list[list[Request]]:
    """``requests`` in their order, in batches of at most the configured seconds and utterances."""
    batches: list[list[Request]] = []
    start, longest = 0, 0.0
    multiple = config.multiple * processes if config.multiple > 1 else 1
    for place, length_s in enumerate(lengths_s):
        size, longest = place - start + 1, max(longest, length_s)
        if size == 1 or _fits(size, longest, config, processes):
            continue
        extra = (size - 1) % multiple if size - 1 > multiple else 0  # they begin the next batch, if they fit there
        longest = max(lengths_s[place - extra : place + 1])
        if not _fits(extra + 1, longest, config, processes):
            extra, longest = 0, length_s
        batches.append(requests[start : place - extra])
        start = place - extra
    return [*batches, requests[start:]] if requests else []


def _fits(size: int, longest_s: float, config: BatchingConfig, processes: int) -> bool:
    return longest_s * size <= config.batch_s * processes and size <= config.max_utterances * processes
