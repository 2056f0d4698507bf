"""Start a run, or go on with one: the step between settings and the loop.

In: settings, a run folder, an observer. Out: a finished (or cleanly interrupted) run. The checkpoint holds the
tokenizer, the feature statistics and the fingerprint of the data, so that a run goes on with what it began with or not
at all.
"""

import contextlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from asr.errors import ConfigError, ModelError, TrainingError
from asr.files import sha256_file
from asr.provenance import library_versions, processor_name
from asr.terminal import format_duration
from asr.text.normalize import get_normalizer
from asr.text.tokenizer import tokenizer_from_dict
from asr.training.checkpoint import Progress, load_checkpoint
from asr.training.config import TrainSettings
from asr.training.distributed import Processes, start_processes, stop_processes
from asr.training.records import Observer, RunLogs, average_warning
from asr.training.run_dir import RunDir
from asr.training.setup import Setup, learn_normalisation, prepare_setup
from asr.training.trainer import Trainer


def train(
    settings: TrainSettings,
    run_path: Path,
    observer: Observer,
    facts: dict[str, Any] | None = None,
    claim: Callable[[], None] | None = None,
) -> Progress:
    """Train in ``run_path``; where it already holds a checkpoint, go on from it exactly.

    ``claim`` is called by the main process once the folder is locked and its data is known to be what it was: what is
    refused has written nothing.
    Raises ConfigError, DataError, TextError, TrainingError before step 1 where they are due; Interrupted after a
    signal, saved.
    """
    if settings.training.threads:
        torch.set_num_threads(settings.training.threads)
    processes = start_processes(settings.training.device)
    _check_precision(settings, processes)
    run, observers = RunDir(run_path), Observers([])
    with contextlib.ExitStack() as stack:
        stack.callback(stop_processes, processes)
        if processes.is_main:
            stack.enter_context(run)
        processes.wait()
        state = read_state(run, settings)
        if processes.is_main:
            if claim:
                claim()
            logs = RunLogs(run_path, settings.training.tensorboard)
            stack.callback(logs.close)
            observers.members += [observer, logs]
        if state is not None and state["progress"]["finished"]:
            observers.message(f"{run_path}: already finished")
            if (run.model / "config.json").exists():
                return Progress(**state["progress"])
        return _make_trainer(settings, run, processes, observers, facts or {}, state).run()


class Observers:
    """Several observers as one."""

    def __init__(self, members: list[Observer]) -> None:
        self.members = members

    def message(self, text: str) -> None:
        """Tell all."""
        for member in self.members:
            member.message(text)

    def step(self, record: dict[str, Any]) -> None:
        """Tell all."""
        for member in self.members:
            member.step(record)

    def epoch(self, record: dict[str, Any]) -> None:
        """Tell all."""
        for member in self.members:
            member.epoch(record)


def _make_trainer(
    settings: TrainSettings,
    run: RunDir,
    processes: Processes,
    observer: Observer,
    facts: dict[str, Any],
    state: dict[str, Any] | None,
) -> Trainer:
    setup = prepare_setup(settings, tokenizer_from_dict(json.loads(state["tokenizer"])) if state else None)
    _announce(setup, settings, observer)
    if state is None:
        learn_normalisation(setup, settings)
    normalizer = get_normalizer(settings.data.normalizer)
    facts = {**facts, "hardware": hardware(processes)}
    known = {"seed": settings.seed, "normalizer": settings.data.normalizer, "normalizer_label": normalizer.label}
    if settings.training.init_from:
        known["init_from"] = settings.training.init_from
    extra = {
        "data": fingerprint(settings),
        "tokenizer": json.dumps(setup.tokenizer.to_dict()),
        "versions": library_versions(),
        "facts": {**known, **(_joined(state["facts"], facts) if state else facts)},
    }
    trainer = Trainer(settings, setup, run, processes, observer, extra)
    if state is not None:
        trainer.resume(state)
        observer.message(f"going on from epoch {trainer.progress.epoch + 1}, step {trainer.progress.step}")
    if processes.is_main:
        when = datetime.now().astimezone().isoformat(timespec="seconds")
        run.record_start({"time": when, "from_step": trainer.progress.step, **facts, "versions": library_versions()})
    return trainer


def read_state(run: RunDir, settings: TrainSettings) -> dict[str, Any] | None:
    """The checkpoint to go on from, if there is one.

    Raises ModelError, or TrainingError where the data is not what it was.
    """
    if not run.checkpoint.exists():
        return None
    state = load_checkpoint(run.checkpoint)
    missing = [
        key for key in ("progress", "data", "tokenizer", "facts", "feature_mean", "feature_std") if key not in state
    ]
    if missing:
        raise ModelError(
            f"{run.checkpoint}: not the checkpoint of a run, it lacks {', '.join(missing)}; restore it from a copy"
        )
    data = fingerprint(settings)
    if "absent" in data and state["progress"]["finished"]:
        return state
    if state["data"] != data:
        what = "is not there any more" if "absent" in data else "has changed since this run began"
        raise TrainingError(
            f"{run.path}: the training or dev manifest in {settings.data.dir} {what};"
            " put it back, or train in a new run_dir"
        )
    return state


def _joined(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Facts of a run that goes on: the command that began it, and each commit and hardware that it has seen."""
    joined = dict(before)
    for key in ("commit", "hardware"):
        seen = str(before.get(key, "")).split("; then ")
        if key in now and now[key] not in seen:
            joined[key] = "; then ".join([*filter(None, seen), now[key]])
    return joined


def fingerprint(settings: TrainSettings) -> str:
    """What the data is, as one text: the SHA-256 of both manifests. Raises DataError through the reader if absent."""
    folder = Path(settings.data.dir)
    paths = [folder / f"{split}.jsonl" for split in ("train", "dev")]
    return " ".join(sha256_file(path) if path.is_file() else "absent" for path in paths)


def hardware(processes: Processes) -> str:
    """The machine in a line: device, threads, processes."""
    if processes.device.type == "cuda":
        name = torch.cuda.get_device_name(processes.device)
    else:
        name = f"{processor_name()}, {torch.get_num_threads()} threads"
    return f"{name}, {processes.count} process{'es' if processes.count > 1 else ''}"


def _check_precision(settings: TrainSettings, processes: Processes) -> None:
    if processes.device.type == "cpu" and settings.training.precision != "fp32":
        kind = settings.training.precision
        raise ConfigError(
            f"config: training.precision={kind} is for GPUs and this run is on the CPU; use training.precision=fp32"
        )


def _announce(setup: Setup, settings: TrainSettings, observer: Observer) -> None:
    train, dev = setup.train.utterances, setup.dev.utterances
    audio = [format_duration(sum(one.duration_s for one in part)) for part in (train, dev)]
    size = sum(parameter.numel() for parameter in setup.model.parameters())
    observer.message(
        f"train {audio[0]} in {len(train)} utterances, dev {audio[1]} in {len(dev)};"
        f" {setup.tokenizer.vocab_size} tokens; {size / 1e6:.2f} million parameters"
    )
    if warning := average_warning(settings.training):
        observer.message(warning)
    if setup.dropped:
        observer.message(f"left out, too short for their text: {len(setup.dropped)}: {'; '.join(setup.dropped[:5])}")
