"""Start a training run, or resume it: from settings to the training loop.

In: settings, a run folder, an observer. Out: a finished (or cleanly interrupted) run. A checkpoint holds the tokenizer,
the feature statistics and the hashes of the manifests, so that a run resumes with what it began with or is refused.
"""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from asr.data.alphabet import TokenUse, alphabet, alphabet_table, spelled, suspicious
from asr.data.passes import cached_pass, durations_of
from asr.devices import allow_tf32, check_precision, choose_device, set_threads, torch_as_before
from asr.errors import AsrError, TrainingError
from asr.files import file_hashes, write_text
from asr.provenance import Invocation, hardware, library_versions, local_time
from asr.shipped import weights_sha256
from asr.terminal import format_duration
from asr.text.normalize import get_normalizer
from asr.text.tokenizer import tokenizer_from_dict
from asr.training.checkpoint import RunIdentity, RunState, TrainProgress, load_run_state
from asr.training.config import TrainSettings, unused_settings
from asr.training.distributed import (
    READY,
    Processes,
    advice_on_restarts,
    arguments_of_helper,
    helper_processes,
    lost_process_named,
    start_processes,
    stop_processes,
)
from asr.training.evaluate import average_warning
from asr.training.logs import RunLogs
from asr.training.records import Observer, Observers, StartRecord
from asr.training.run_dir import RunDir
from asr.training.setup import Setup, learn_normalisation, prepare_setup, with_enough_epochs
from asr.training.step import EpochSteps
from asr.training.trainer import Trainer


def train(
    settings: TrainSettings,
    run_path: Path,
    observer: Observer,
    invocation: Invocation | None = None,
    on_locked: Callable[[], None] | None = None,
) -> TrainProgress:
    """Train in ``run_path``; where it already holds a checkpoint, resume from it exactly.

    ``invocation`` goes into run.json and the model's facts. ``on_locked`` is called by the main process once the folder
    is locked and its data is known to be unchanged: a run that is refused has written nothing.
    Raises ConfigError, DataError, TextError, TrainingError before step 1 for whatever can be checked by then;
    Interrupted after a signal, with everything saved.
    """
    run_dir, observers = RunDir(run_path), Observers()
    with contextlib.ExitStack() as stack:
        stack.enter_context(lost_process_named(run_path))
        stack.enter_context(helper_processes(settings.training.processes, settings, run_path))
        processes = start_processes(settings.training.device)
        stack.callback(stop_processes, processes)
        stack.enter_context(torch_as_before(processes.device))
        set_threads(settings.training.threads)
        slow = check_precision(processes.device, settings.training.precision)
        if processes.device.type == "cuda":
            allow_tf32(settings.training.tf32 or settings.training.precision != "fp32")
        if processes.is_main:
            stack.enter_context(run_dir)
        processes.wait()
        state = checkpoint_to_resume(run_dir, settings)
        if processes.is_main:
            if on_locked and (state is None or "absent" not in manifest_hashes(settings)):
                on_locked()
            logs = RunLogs(run_path, settings.training.tensorboard)
            stack.callback(logs.close)
            observers.members += [observer, logs]
            for advice in filter(None, (slow, advice_on_restarts())):
                observers.message(advice)
        if state is not None and state["progress"]["finished"]:
            before = TrainProgress(**state["progress"])
            if not settings.training.is_over(before.epoch, before.step, before.stale_epochs):
                state["progress"]["finished"] = False  # extended
            elif (run_dir.model / "config.json").exists():
                observers.message(_finished(run_path, before))
                return before
        return _make_trainer(settings, run_dir, processes, observers, invocation, state).train()


def help_training() -> None:
    """What a process that ``helper_processes`` started does: its share of the training, without a word."""
    settings, run_path = arguments_of_helper()
    try:
        choose_device(settings.training.device, int(os.environ["LOCAL_RANK"]))  # before the others wait for this one
        sys.stdout.buffer.write(READY)
        sys.stdout.flush()
        train(settings, run_path, Observers())
    except AsrError as error:
        sys.exit(str(error))


def checkpoint_to_resume(run_dir: RunDir, settings: TrainSettings) -> RunState | None:
    """The state from which the run resumes, or None where it has no checkpoint yet.

    Raises ModelError when the checkpoint is damaged, TrainingError where the manifests have changed since.
    """
    if not run_dir.checkpoint.exists():
        return None
    state = load_run_state(run_dir.checkpoint)
    data = manifest_hashes(settings)
    if "absent" in data and state["progress"]["finished"]:
        return state
    if state["data"] != data:
        what = "is missing" if "absent" in data else "has changed since this run began"
        raise TrainingError(
            f"{run_dir.path}: the training or dev manifest in {settings.data.dir} {what};"
            " put it back, or train in a new run_dir"
        )
    return state


def manifest_hashes(settings: TrainSettings) -> str:
    """The SHA-256 of the training and dev manifests, as one text; "absent" for one that is not there."""
    folder = Path(settings.data.dir)
    return " ".join(
        digest or "absent" for digest in file_hashes([folder / "train.jsonl", folder / "dev.jsonl"]).values()
    )


def _finished(run_path: Path, progress: TrainProgress) -> str:
    more = f"asr train {shlex.quote(str(run_path))} training.epochs={2 * progress.epoch}"
    return f"{run_path}: already finished, {progress.epoch} epochs; to train on, raise the number: {more}"


def _make_trainer(
    settings: TrainSettings,
    run_dir: RunDir,
    processes: Processes,
    observer: Observer,
    invocation: Invocation | None,
    state: RunState | None,
) -> Trainer:
    setup = prepare_setup(settings, tokenizer_from_dict(json.loads(state["tokenizer"])) if state else None)
    planned_for = state.get("processes", processes.count) if state else processes.count
    batches = len(EpochSteps(setup.train, settings, processes, planned_for).plan(1))
    steps = -(-batches // settings.training.accumulate)  # of later epochs it differs by a few
    training, warning = with_enough_epochs(settings.training, steps)
    settings = replace(settings, training=training)
    _describe(setup, settings, observer)
    if state is None:
        _report_alphabet(setup, settings, run_dir.path if processes.is_main else None, observer)
        if warning:
            observer.message(warning)
        learn_normalisation(setup, settings)
    start: dict[str, Any] = {"command": invocation.command, "commit": invocation.commit} if invocation else {}
    if state is None and settings.training.init_from:
        start["init_from"] = settings.training.init_from
        start["init_from_sha256"] = weights_sha256(settings.training.init_from)
    start["hardware"] = f"{hardware(processes.device)}, {processes.count} process{'es' if processes.count > 1 else ''}"
    data = manifest_hashes(settings)
    identity = RunIdentity(
        data=data,
        tokenizer=json.dumps(setup.tokenizer.to_dict()),
        versions=library_versions(),
        facts=_facts(settings, {"manifests_sha256": data, **start}, state["facts"] if state else None),
        intermediate=setup.intermediate.fingerprint if setup.intermediate else "",
        processes=planned_for,
    )
    if state is not None and state.get("intermediate", "") != identity.intermediate:
        raise TrainingError(
            f"{run_dir.path}: the targets of the intermediate loss are others than when this run began; put its lexicon"
            " (or its version of sentencepiece) back, or train in a new run_dir"
        )
    trainer = Trainer(settings, setup, run_dir, processes, observer, identity)
    if state is not None:
        trainer.resume(state)
        others = f"; the batches of {planned_for} processes go to {processes.count}" * (planned_for != processes.count)
        observer.message(f"resuming from epoch {trainer.progress.epoch + 1}, step {trainer.progress.step}{others}")
    if processes.is_main:
        run_dir.record_start(
            StartRecord(time=local_time(), from_step=trainer.progress.step, versions=identity.versions, **start)
        )
    return trainer


def _facts(settings: TrainSettings, start: dict[str, str], before: dict[str, Any] | None) -> dict[str, Any]:
    """The model's facts. Of a resumed run: the first command, and every commit and hardware in turn."""
    facts: dict[str, Any] = {
        "seed": settings.seed,
        "normalizer": settings.data.full_normalizer,
        "normalizer_label": get_normalizer(settings.data.full_normalizer).label,
    }
    if before is None:
        return facts | start
    facts |= before
    for key in ("commit", "hardware"):
        seen = str(before.get(key, "")).split("; then ")
        if key in start and start[key] not in seen:
            facts[key] = "; then ".join([*filter(None, seen), start[key]])
    return facts


def _report_alphabet(setup: Setup, settings: TrainSettings, folder: Path | None, observer: Observer) -> None:
    """Every token of the training texts into ``folder``/alphabet.tsv, and a line on the suspicious ones."""
    train, tokenizer = setup.train.utterances, setup.tokenizer
    find = lambda: [asdict(use) for use in alphabet(train, spelled(tokenizer))]  # noqa: E731
    uses = [TokenUse(**use) for use in cached_pass(train, "alphabet", tokenizer.to_dict(), find)]
    if folder is not None:
        rows, header = alphabet_table(uses)
        write_text(folder / "alphabet.tsv", "".join("\t".join(row) + "\n" for row in [header, *rows]))
    if settings.tokenizer.name != "sentencepiece" and (found := suspicious(uses)):  # its pieces are rare by design
        observer.message(f"letters to look at (all: {(folder or Path()) / 'alphabet.tsv'}): {found}")
    absent = [one for one in settings.tokenizer.listed_units() if one not in setup.tokenizer.tokens]
    if absent:
        observer.message(f"tokenizer.units: in no training text, so no tokens: {' '.join(absent)}")


def _describe(setup: Setup, settings: TrainSettings, observer: Observer) -> None:
    """The size of data and model, and warnings, before the first step."""
    train, dev = setup.train.utterances, setup.dev.utterances
    audio = [format_duration(sum(durations_of(part).tolist())) for part in (train, dev)]
    size = sum(parameter.numel() for parameter in setup.model.parameters())
    observer.message(
        f"train {audio[0]} in {len(train)} utterances, dev {audio[1]} in {len(dev)};"
        f" {setup.tokenizer.vocab_size} tokens; {size / 1e6:.2f} million parameters"
    )
    for note in (setup.note, setup.intermediate.note if setup.intermediate else None, *unused_settings(settings)):
        if note:
            observer.message(note)
    training = settings.training
    if training.select == "average" and (warning := average_warning(training.keep_last, training.epochs)):
        observer.message(f"training.select=average: {warning}")
    if setup.dropped:
        observer.message(
            f"left out, too short for their text: {len(setup.dropped)} utterances: {'; '.join(setup.dropped[:5])}"
        )
