"""From requests to padded batches: reads, changes speed and level, pads; errors name their file.

In: utterances with their token ids, and a plan of batches. Out: ``Batch``es of waveforms with integer lengths, in the
plan's order whatever the number of workers. Each utterance's random draws follow from (seed, epoch, index) alone.
"""

import multiprocessing
import os
import resource
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.util import Finalize
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from asr.data.batching import Request
from asr.data.manifest import Utterance
from asr.data.recordings import load_utterance
from asr.errors import AsrError, DataError, RecordingNote, without_locals
from asr.seeds import numpy_generator

STUCK_S = 600.0  # without a batch
TOO_FEW_FILES = (
    "data: too many open files for the worker processes; raise the limit with `ulimit -n 4096`, or set data.workers=0"
)
WaveformChange = Callable[[NDArray[np.float32], float, np.random.Generator], NDArray[np.float32]]


@dataclass(slots=True)
class Batch:
    """Padded waveforms ``(batch, samples)`` float32, ``lengths`` ``(batch,)`` int64, token ids, and indices into the
    data.
    """

    waveforms: Tensor
    lengths: Tensor
    targets: list[list[int]]
    indices: list[int]

    def pin_memory(self) -> "Batch":
        """The same in page-locked memory, from which a GPU reads while it computes. torch's loader calls this."""
        return Batch(self.waveforms.pin_memory(), self.lengths.pin_memory(), self.targets, self.indices)


class SpeechDataset(Dataset[Batch | AsrError]):
    """A map from a list of requests to one ``Batch``, or to the error of a file that cannot be read.

    ``change(waveform, speed, generator)`` augments one waveform; None leaves it as recorded. ``load`` reads one.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        targets: Sequence[list[int]],
        sample_rate: int,
        seed: int,
        change: WaveformChange | None = None,
        load: Callable[[Utterance, int], NDArray[np.float32]] = load_utterance,
    ) -> None:
        self.utterances, self.targets = utterances, targets
        self.sample_rate, self.seed = sample_rate, seed
        self.change, self.load = change, load

    def __getitem__(self, requests: Sequence[Request]) -> Batch | AsrError:
        try:
            waveforms = [self._waveform(request) for request in requests]
        except AsrError as error:
            return error
        indices = [request.index for request in requests]
        return collate(waveforms, [self.targets[index] for index in indices], indices)

    def _waveform(self, request: Request) -> NDArray[np.float32]:
        waveform = self.load(self.utterances[request.index], self.sample_rate)
        if self.change is None:
            return waveform
        return self.change(
            waveform, request.speed, numpy_generator(self.seed, "waveform", request.epoch, request.index)
        )


def collate(waveforms: Sequence[NDArray[np.float32]], targets: list[list[int]], indices: list[int]) -> Batch:
    """Pad with zeros to the longest: waveforms ``(samples,)`` each -> one ``Batch``."""
    lengths = torch.tensor([len(waveform) for waveform in waveforms], dtype=torch.long)
    padded = torch.zeros(len(waveforms), int(lengths.max()) if len(waveforms) else 0)
    for row, waveform in zip(padded.numpy(), waveforms, strict=True):
        row[: len(waveform)] = waveform
    return Batch(padded, lengths, targets, indices)


def load_batches(
    dataset: SpeechDataset, plan: Sequence[Sequence[Request]], workers: int, pin: bool = False
) -> Iterator[Batch]:
    """The plan's batches in its order, read ahead by ``workers`` processes (0: by this one, on demand).

    ``pin``: in page-locked memory, for a GPU. Raises the AsrError of a bad file, DataError where a worker process was
    killed or is stuck.
    """
    _allow_files(workers)
    loader: DataLoader[Batch | AsrError] = DataLoader(
        dataset,
        batch_size=None,
        sampler=plan,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        timeout=STUCK_S if workers else 0,
        worker_init_fn=_start_worker,
        pin_memory=pin,
    )
    batches = _begin(loader)
    stop = Finalize(None, _stop_workers, (batches,), exitpriority=0)
    try:
        for requests in plan:
            batch = _next_or_error(batches)
            if batch is None:
                paths = list(dict.fromkeys(dataset.utterances[one.index].audio for one in requests))[:5]
                raise DataError(
                    f"data: no batch came for {STUCK_S:.0f} s; a worker process is stuck, perhaps on a disk that does"
                    f" not answer, with {', '.join(paths)}; see that they can be read, then run the same command again"
                )
            if isinstance(batch, AsrError):
                raise batch
            yield batch
    finally:
        stop()


def _begin(loader: "DataLoader[Batch | AsrError]") -> Iterator[Batch | AsrError]:
    """Start the workers: all, or none where one cannot be started: torch would leave the others, for ever."""
    before = set(multiprocessing.active_children())
    try:
        return iter(loader)
    except BaseException as error:
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()
            worker.join()
        without_locals(error)  # which frees their pipes
        raise


def _allow_files(workers: int) -> None:
    """Raise this process's limit of open files to what ``workers`` need. Raises DataError where it may not.

    A worker has four pipes and locks, and each of its four batches on the way two tensors in shared memory. Found out
    late, the lack of one hangs a worker or ends in an error of torch's.
    """
    needed = len(os.listdir("/proc/self/fd")) + 16 + 12 * workers if os.path.isdir("/proc/self/fd") else 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not workers or soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise DataError(TOO_FEW_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _next_or_error(batches: Iterator[Batch | AsrError]) -> Batch | AsrError | None:
    """The next batch, or why there is none; None where it has not come for ``STUCK_S``."""
    try:
        return next(batches)
    except (OSError, RuntimeError) as error:
        if _is_for_want_of_files(error):
            return DataError(TOO_FEW_FILES)
        if "timed out" in str(error):
            return None
        if isinstance(error, OSError) or not any(part in str(error) for part in ("DataLoader worker", "Pin memory")):
            raise
    return DataError(
        "data: a worker process was killed, perhaps because memory (or /dev/shm) ran out;"
        " lower data.batching.batch_s or set data.workers=0, then resume with the same command"
    )


def _is_for_want_of_files(error: BaseException) -> bool:
    """Whether this process or a worker had no file descriptor left, in any of the forms in which torch says so."""
    text = str(error)
    return "Too many open files" in text or "received 0 items of ancdata" in text


def _stop_workers(batches: Any) -> None:
    """End the worker processes now: when their batches are no longer needed, or first thing at exit.

    They ignore SIGTERM, which multiprocessing sends at exit before it waits for them without limit. Anything that still
    refers to the loader's iterator then, such as a traceback, would make a failed training hang instead of ending.
    A Finalize, not atexit: in a process that multiprocessing started only the former is called.
    """
    if hasattr(batches, "_shutdown_workers"):
        batches._shutdown_workers()
    for worker in getattr(batches, "_workers", ()):
        if worker.is_alive():
            worker.kill()


def _start_worker(worker: int) -> None:
    import signal

    torch.set_num_threads(1)
    warnings.simplefilter("ignore", RecordingNote)  # `asr prepare` has shown them
    # sent to the whole process group; the main process saves, then ends its workers
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
