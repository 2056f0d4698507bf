"""One step on the shape of the largest batch, before the first: memory then fails at once and not in an hour."""

from collections.abc import Sequence

import torch

from asr.data.batching import Request, share
from asr.data.dataset import Batch, SpeechDataset
from asr.errors import TrainingError
from asr.training.config import TrainSettings
from asr.training.distributed import Processes
from asr.training.step import Stepper


def rehearse_largest(
    plan: Sequence[list[Request]],
    data: SpeechDataset,
    stepper: Stepper,
    settings: TrainSettings,
    processes: Processes,
) -> None:
    """Forward and back, without an update, on silence of the shape of ``plan``'s largest batch.

    Raises TrainingError where it does not fit into memory.
    """
    longest_s = [max(_length_s(data, one) for one in batch) for batch in plan]
    largest, _ = max(zip(plan, longest_s, strict=True), key=lambda pair: len(pair[0]) * pair[1])
    mine = share(largest, processes.rank, processes.count) or largest[:1]
    rate = settings.features.sample_rate
    samples = max(int(_length_s(data, one) * rate) for one in largest)
    targets, indices = [data.targets[one.index] for one in mine], [one.index for one in mine]
    try:
        stepper.rehearse(Batch(torch.zeros(len(mine), samples), torch.full((len(mine),), samples), targets, indices))
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise TrainingError(
            f"training: the largest batch ({len(mine)} x {samples / rate:.1f} s) does not fit into memory; lower"
            f" data.batching.batch_s (now {settings.data.batching.batch_s:g}) and raise training.accumulate"
        ) from None


def _length_s(data: SpeechDataset, request: Request) -> float:
    return data.utterances[request.index].duration_s / request.speed
