"""Recordings transcribed by Ray Data, on the processors and GPUs of one machine or many (extra ``[ray]``).

In: paths, options, and the functions of a job. Out: the same results in the same order as without. Each process of the
cluster holds the model once. Where one ends, its recordings are transcribed in another; recordings whose process ends
every time fail, and the others do not. Nodes read the model and the recordings by the same paths, and run the same
version of this package.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.errors import AsrError, ConfigError, UsageError

if TYPE_CHECKING:
    from asr.recognition import Hypothesis, Recognizer
    from asr.transcription.options import TranscribeOptions

    Build = Callable[[TranscribeOptions], Recognizer]
    Transcribe = Callable[..., Generator[Hypothesis | AsrError, None, None]]

FILES = 8  # recordings handed to a process at a time: all of them are done again where it ends
MOST_PARTS = 20_000
RETRIES = 2


class _Worker:
    """What a process of the cluster does with a batch of rows: number and path in, number and result out."""

    def __init__(self, options: "TranscribeOptions", build: "Build", transcribe: "Transcribe", folder: str) -> None:
        os.chdir(folder)  # options and paths may be relative to it
        self._options, self._transcribe, self._recognizer = options, transcribe, build(options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        paths = [Path(one) for one in batch["path"]]
        results = np.empty(len(paths), dtype=object)
        results[:] = list(self._transcribe(self._recognizer, paths, self._options, lambda done_s, total_s: None))
        return {"number": batch["number"], "result": results}


def transcribe_on_cluster(
    paths: Sequence[Path],
    options: "TranscribeOptions",
    build: "Build",
    transcribe: "Transcribe",
    progress: Callable[[float, float], None],
) -> "Generator[Hypothesis | AsrError, None, None]":
    """As ``asr.transcription.job.transcribe_all``; ``build`` and ``transcribe`` are called in the cluster's processes.

    It is the cluster that RAY_ADDRESS names or that was begun on this machine, else one of this machine alone, which
    ends with the job. Raises UsageError without ray, ConfigError for a cluster that cannot be reached or is too small.
    """
    ray = _connected()
    try:
        expected, done_s = 0, 0.0
        for row in _results(ray, paths, options, build, transcribe):
            for number in range(expected, row["number"]):
                yield _lost(paths[number])
            expected = row["number"] + 1
            done_s += getattr(row["result"], "duration_s", 0.0)  # an error has none
            progress(done_s, done_s / expected * len(paths))
            yield row["result"]
        for number in range(expected, len(paths)):
            yield _lost(paths[number])
    finally:
        ray.shutdown()


def _lost(path: Path) -> AsrError:
    return AsrError(
        f"{path}: the process that transcribed it, with up to {FILES - 1} others, failed; Ray's log has the reason. It"
        " may lack memory: transcribe the file alone"
    )


def _connected() -> Any:
    """Ray, connected to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # its telemetry, on by default
    try:
        import ray
    except ImportError as error:
        raise UsageError(f"--engine ray needs Ray ({error}); install it with: pip install 'asr-bilstm[ray]'") from None
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False)
    except Exception as error:  # where a node does not start it is of no class
        raise ConfigError(f"--engine ray: {' '.join(str(error).split())}; see ray status, RAY_ADDRESS") from None
    if main:
        signal.signal(signal.SIGTERM, before)  # Ray puts its own in its place
    return ray


def _results(
    ray: Any, paths: Sequence[Path], options: "TranscribeOptions", build: "Build", transcribe: "Transcribe"
) -> Any:
    """Rows with number and result in order; those of a batch that failed are not among them."""
    from ray.data import ActorPoolStrategy, DataContext, from_items

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is reported by its recordings
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    cores, resources = options.workers or 1, ray.cluster_resources()
    gpus = int(resources.get("GPU", 0)) if options.device == "auto" or options.device.startswith("cuda") else 0
    most = gpus or int(resources.get("CPU", 0)) // cores
    if most < 1:
        raise ConfigError(f"--engine ray: the cluster has fewer than --workers {cores} processors")
    rows = [{"number": number, "path": str(path)} for number, path in enumerate(paths)]
    parts = min(-(-len(rows) // FILES), MOST_PARTS)
    return (
        from_items(rows, override_num_blocks=parts)
        .map_batches(
            _Worker,
            fn_constructor_args=(replace(options, workers=cores), build, transcribe, os.getcwd()),
            batch_size=None,
            compute=ActorPoolStrategy(min_size=1, max_size=most),
            num_cpus=0 if gpus else cores,
            num_gpus=1 if gpus else 0,
            max_task_retries=RETRIES,
        )
        .iter_rows()
    )
