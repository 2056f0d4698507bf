"""The training loop. In: settings and a run folder. Out: checkpoints while it runs, and a model directory.

Exact: whatever stops the loop, ``Trainer`` goes on from the last checkpoint as if it had not been stopped, to the bit
on a CPU, because an epoch's plan and a step's randomness follow from their numbers.

Being asked to stop. In: SIGTERM or Ctrl-C. Out: a number that the loop looks at between steps, where it can save.
"""

import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from asr.data.batching import Request, plan_epoch
from asr.data.dataset import Batch, load_batches
from asr.errors import Interrupted, TrainingError
from asr.training.checkpoint import Keeper, Progress, average_weights
from asr.training.config import TrainSettings
from asr.training.distributed import Processes
from asr.training.evaluate import DevResult, append_dev_utterances, evaluate_dev
from asr.training.records import Observer, epoch_record, plateau_warning, step_record
from asr.training.run_dir import RunDir
from asr.training.setup import Setup
from asr.training.step import EpochSteps, Stepper, StepResult, build_optimizer, learning_rate_factor, rehearse_largest

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """``with StopSignal() as stop:`` notes a signal in ``stop.number``; handlers are put back at the end.

    A second Ctrl-C raises KeyboardInterrupt at once: it does not wait for the step's end.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> Self:
        self._previous = [signal.signal(number, self._note) for number in NUMBERS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in zip(NUMBERS, self._previous, strict=True):
            signal.signal(number, handler)

    def interruption(self, progress: Progress, run_path: Path) -> Interrupted:
        """What to raise once ``progress`` is saved: where the run stands and how it goes on."""
        number = self.number or signal.SIGTERM  # of another process, where this one has none
        where = f"epoch {progress.epoch + 1}, step {progress.step}"
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        how = f"go on with the same command, or with: asr train {shlex.quote(str(run_path))}"
        return Interrupted(f"stopped by {name} at {where}; saved. To {how}", number)

    def _note(self, number: int, _frame: object) -> None:
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number


SKIPS_ALLOWED = 10  # steps in a row without a finite gradient
LOG_EVERY_STEPS = 10


class Trainer:
    """One run. ``extra`` goes into every checkpoint and says what it belongs to; its "facts" into the model directory.

    ``progress`` says where the run stands.
    """

    def __init__(
        self,
        settings: TrainSettings,
        setup: Setup,
        run: RunDir,
        processes: Processes,
        observer: Observer,
        extra: dict[str, Any],
    ) -> None:
        self.settings, self.setup, self.run_dir = settings, setup, run
        self.processes, self.observer = processes, observer
        self.model = setup.model.to(processes.device)
        self.features = setup.features.to(processes.device)
        self.optimizer = build_optimizer(self.model, settings.optimizer)
        scaler = torch.amp.GradScaler(processes.device.type, enabled=settings.training.precision == "fp16")
        self.keeper = Keeper(run, processes, self.features, self.model, setup.tokenizer, self.optimizer, scaler, extra)
        self.progress = Progress()
        self.steps = EpochSteps(setup.train, settings, processes)
        self.stop = StopSignal()
        self.skips = 0

    def resume(self, state: dict[str, Any]) -> None:
        """Put everything where ``state`` left it."""
        self.progress = self.keeper.restore(state)

    def run(self) -> Progress:
        """Train to the end, then average and export. Raises Interrupted after a signal, with everything saved."""
        if self.processes.is_main:
            self.run_dir.forget_metrics_after(self.progress.step, self.progress.epoch)
        self.stepper = self._stepper()
        with self.stop:
            if self.settings.training.dry_run and not self.progress.finished:
                self.model.train()
                rehearse_largest(self.steps.plan(1), self.setup.train, self.stepper, self.settings, self.processes)
            while self.progress.batch or not self._is_done():  # an epoch that was begun is ended, too
                self._train_epoch()
            self._finish()
        return self.progress

    def _stepper(self) -> Stepper:
        model: nn.Module = self.model
        if self.processes.count > 1:
            model = nn.parallel.DistributedDataParallel(model)
        return Stepper(
            self.features,
            model,
            self.optimizer,
            self.keeper.scaler,
            self.processes,
            self.settings.augment.spec_augment,
            self.settings.optimizer.clip_norm,
            self.settings.training.precision,
            self.settings.seed,
            [one.id for one in self.setup.train.utterances],
        )

    def _is_done(self) -> bool:
        config, progress = self.settings.training, self.progress
        stopped_early = config.patience is not None and progress.stale_epochs >= config.patience
        out_of_steps = config.max_steps is not None and progress.step >= config.max_steps
        return progress.finished or progress.epoch >= config.epochs or stopped_early or out_of_steps

    def _train_epoch(self) -> None:
        self.model.train()
        plan = self.steps.plan(self.progress.epoch)
        started, seconds_before = time.monotonic(), self.progress.seconds
        for requests, batches in self.steps.rest(plan, self.progress.batch, self._is_done):
            utterances = sum(map(len, requests))
            epochs_done = self.progress.epoch + self.progress.batch / len(plan)
            self._set_learning_rate(epochs_done)
            penalty = self.settings.training.blank_penalty(epochs_done)
            result = self.stepper.run(batches, self.progress.step, utterances, penalty)
            self.progress.seconds = seconds_before + time.monotonic() - started
            self._count_step(requests, result)
            self._tell_step(result, len(plan), self.steps.padding(requests))
            self._save_or_stop()
        self._end_epoch(self.steps.padding(plan[: self.progress.batch]))

    def _set_learning_rate(self, done: float) -> None:
        schedule, epochs = self.settings.schedule, self.settings.training.epochs
        if self.progress.step == 0 and done == 0.0:
            done = 1e-3  # the very first step must move a little, too
        factor = learning_rate_factor(done, epochs, schedule, self.progress.plateau_cuts)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.optimizer.learning_rate * factor

    @property
    def _learning_rate(self) -> float:
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def _count_step(self, requests: list[list[Request]], result: StepResult) -> None:
        progress = self.progress
        progress.step += 1
        progress.batch += len(requests)
        progress.audio_s += self.steps.heard_s(requests)
        progress.data_seconds += self.steps.waited_s
        progress.epoch_loss += result.loss * result.utterances
        progress.epoch_utterances += result.utterances
        progress.skipped += not result.updated
        self.skips = 0 if result.updated else self.skips + 1
        if self.skips >= SKIPS_ALLOWED:
            raise TrainingError(
                f"training: the gradient was not finite in {self.skips} steps in a row (step {progress.step});"
                " lower optimizer.learning_rate, or use training.precision=fp32"
            )

    def _tell_step(self, result: StepResult, batches: int, padding: float) -> None:
        if not self.processes.is_main:
            return
        epochs = self.settings.training.epochs
        record = step_record(
            self.progress, result, batches=batches, epochs=epochs, learning_rate=self._learning_rate, padding=padding
        )
        if self.progress.step % LOG_EVERY_STEPS == 0:
            self.run_dir.append_metrics(record)
        self.observer.step(record)

    def _save_or_stop(self) -> None:
        every = self.settings.training.save_every_steps
        stop = self.processes.any(self.stop.number is not None)
        if stop or (every and self.progress.step % every == 0):
            self.keeper.save(self.progress)
        if stop:
            raise self.stop.interruption(self.progress, self.run_dir.path)

    def _end_epoch(self, padding: float) -> None:
        progress, training, started = self.progress, self.settings.training, time.monotonic()
        dev = self._evaluate_or_stop() if progress.epoch + 1 >= training.evaluate_from_epoch else None
        seconds = time.monotonic() - started
        rate = self._learning_rate
        record = epoch_record(
            progress, dev, epochs=training.epochs, learning_rate=rate, padding=padding, dev_seconds=seconds
        )
        progress.seconds += time.monotonic() - started
        progress.end_epoch()
        self.keeper.keep_epoch(progress.epoch, training.keep_last)
        if dev is not None:
            record["best"] = self._compare(dev)
        if self.processes.is_main:  # before the checkpoint: what it does not know is forgotten, never missed
            append_dev_utterances(self.run_dir, record, dev.utterances if dev else None, self.setup.dev.utterances)
            self.run_dir.append_metrics(record)
        self.keeper.save(progress)
        if self.processes.is_main:
            self.observer.epoch(record)
            if warning := plateau_warning(progress, dev):
                self.observer.message(warning)

    def _evaluate_or_stop(self) -> DevResult:
        try:
            return self._evaluate()
        except Interrupted:
            self.keeper.save(self.progress)  # at the end of the epoch's last step: its dev pass is done again
            raise

    def _evaluate(self) -> DevResult:
        dev = self.setup.dev
        durations = [one.duration_s for one in dev.utterances]
        plan = plan_epoch(durations, self.settings.data.batching, seed=0, epoch=0)
        mine = plan[self.processes.rank :: self.processes.count]
        texts = [one.text for one in dev.utterances]
        batches = self._until_stopped(load_batches(dev, mine, self.settings.data.workers))
        return evaluate_dev(self.features, self.model, self.setup.tokenizer, batches, texts, self.processes)

    def _until_stopped(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Raises Interrupted after a signal. Several processes end their pass first, so that none waits for another."""
        for batch in batches:
            if self.stop.number is not None and self.processes.count == 1:
                raise self.stop.interruption(self.progress, self.run_dir.path)
            yield batch

    def _compare(self, dev: DevResult) -> bool:
        """Count ``dev`` among the epochs; True where it is the best yet, which is then kept and exported."""
        better = self.progress.count_dev(dev.wer, dev.cer, self.settings.schedule.plateau_patience)
        if better:
            self.keeper.keep_best(self.progress)
        return better

    def _finish(self) -> None:
        """Average the last epochs' weights and keep them if dev (or the recipe) says so; see that there is a model."""
        if self.progress.finished:
            self.keeper.export_again(self.progress)
            return
        if self.progress.best_wer is None:  # no epoch came to its dev pass
            self._compare(self._evaluate())
        states = self.keeper.epoch_weights(self.progress.epoch) if self.settings.training.keep_last > 1 else []
        if len(states) > 1:
            self._try_average(states)
        self.progress.finished = True
        self.keeper.save(self.progress)

    def _try_average(self, states: list[dict[str, torch.Tensor]]) -> None:
        last = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(average_weights(states))
        dev, progress = self._evaluate(), self.progress
        # of equals, the mean is the steadier
        best = (progress.best_wer, progress.best_cer)
        better = progress.is_better(dev.wer, dev.cer) or (dev.wer, dev.cer) == best
        chosen = self.settings.training.select == "average"
        if self.processes.is_main:
            verdict = "kept" if better else "not kept: the best single epoch is better"
            if chosen and not better:
                verdict = f"kept (training.select=average); the best single epoch has {progress.best_wer:.2%}"
            self.observer.message(f"average of the last {len(states)} epochs: dev WER {dev.wer:.2%}; {verdict}")
        if better or chosen:
            progress.best_wer, progress.best_cer = dev.wer, dev.cer
            self.keeper.keep_best(progress, averaged=len(states))
        self.model.load_state_dict(last)
