"""An epoch cut into optimizer steps. In: the training data, settings, processes. Out: for each step the requests of all
processes and this process's batches, from any batch of the epoch on, so that a resumed run reads what it would have.
"""

import time
from collections.abc import Callable, Iterator

from asr.data.batching import Request, padding_share, plan_epoch, share
from asr.data.dataset import Batch, SpeechDataset, load_batches
from asr.training.config import TrainSettings
from asr.training.distributed import Processes


class EpochSteps:
    """``plan(epoch)`` follows from the seed and the epoch's number alone.

    ``waited_s``: how long the last step waited for its batches (with workers=0: how long it read them).
    """

    def __init__(self, data: SpeechDataset, settings: TrainSettings, processes: Processes) -> None:
        self.data, self.settings, self.processes = data, settings, processes
        self.durations_s = [one.duration_s for one in data.utterances]
        self.waited_s = 0.0

    def plan(self, epoch: int) -> list[list[Request]]:
        """The epoch's batches, each of all processes together."""
        return plan_epoch(
            self.durations_s,
            self.settings.data.batching,
            seed=self.settings.seed,
            epoch=epoch,
            speeds=self.settings.augment.speeds,
            processes=self.processes.count,
        )

    def rest(
        self, plan: list[list[Request]], start: int, is_done: Callable[[], bool]
    ) -> Iterator[tuple[list[list[Request]], list[Batch | None]]]:
        """From batch ``start`` on, until ``is_done``: the requests of all processes, and this one's batches.

        None stands for a batch in which this process has no share.
        """
        accumulate = self.settings.training.accumulate
        shares = [share(batch, self.processes.rank, self.processes.count) for batch in plan[start:]]
        loaded = load_batches(self.data, [one for one in shares if one], self.settings.data.workers)
        for offset in range(start, len(plan), accumulate):
            if is_done():
                return
            requests = plan[offset : offset + accumulate]
            mine = shares[offset - start : offset - start + accumulate]
            began = time.monotonic()
            batches = [next(loaded) if one else None for one in mine]
            self.waited_s = time.monotonic() - began
            yield requests, batches

    def heard_s(self, requests: list[list[Request]]) -> float:
        """Seconds of audio in a step's requests, at the speeds at which they are played."""
        return sum(self.durations_s[one.index] / one.speed for batch in requests for one in batch)

    def padding(self, requests: list[list[Request]]) -> float:
        """The share of padding in what all processes compute for ``requests``, from 0 to 1."""
        count = self.processes.count
        shares = [share(batch, rank, count) for batch in requests for rank in range(count)]
        return padding_share(self.durations_s, [one for one in shares if one])
