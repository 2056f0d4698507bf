"""The training loop: epochs of optimizer steps, each followed by a dev pass and a checkpoint; at the end a model.

In: settings, data and model (``Setup``), a run folder. Out: checkpoints while it runs, and a model directory.

Exact: whatever stops the loop, ``Trainer`` resumes from the last checkpoint as if it had not been stopped, to the bit
on a CPU, because an epoch's plan and a step's randomness follow from their numbers. SIGTERM and Ctrl-C only set a flag
that the loop reads between steps, where it can save.
"""

import math
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from operator import attrgetter

import torch
from torch import nn

from asr.data.batching import Request, plan_epoch, share
from asr.data.dataset import Batch, load_batches
from asr.data.passes import durations_of, lazy_map
from asr.errors import Interrupted, TrainingError
from asr.seeds import derive_seed
from asr.training.checkpoint import (
    CheckpointManager,
    MovingAverage,
    RunIdentity,
    RunState,
    TrainProgress,
    average_weights,
)
from asr.training.config import TrainSettings
from asr.training.distributed import Processes
from asr.training.evaluate import DevResult, append_dev_utterances, average_warning, evaluate_dev, plateau_warning
from asr.training.objective import TrainedModel
from asr.training.records import EpochRecord, Observer, SkipRecord, StepRecord
from asr.training.run_dir import RunDir
from asr.training.setup import FROM_SCRATCH, STEPS_FROM_SCRATCH, STEPS_NEW_HEAD, Setup, epochs_for
from asr.training.step import (
    EpochSteps,
    Stepper,
    StepResult,
    build_optimizer,
    check_largest_batch_fits,
    learning_rate_factor,
    memory_named,
    set_learning_rate,
)
from asr.training.stop import STOP_S, StepTooLong, StopRequest

SKIPS_ALLOWED = 10  # steps in a row without a finite loss and gradient
LOG_EVERY_STEPS = 10
NOTHING_LEARNED = 0.95  # dev WER
# fp16 only. Gradients at the start overflow until torch's own 2^16 has been halved 7 or 8 times, a skipped step each
# time, and SKIPS_ALLOWED skipped steps end a run.
FIRST_LOSS_SCALE = 2.0**9


class Trainer:
    """One run. ``identity`` goes into every checkpoint; ``progress`` is how far the run is."""

    def __init__(
        self,
        settings: TrainSettings,
        setup: Setup,
        run_dir: RunDir,
        processes: Processes,
        observer: Observer,
        identity: RunIdentity,
    ) -> None:
        self.settings, self.setup, self.run_dir = settings, setup, run_dir
        self.processes, self.observer = processes, observer
        training = settings.training
        self.model = setup.model.to(processes.device)
        targets = setup.intermediate
        torch.manual_seed(derive_seed(settings.seed, "intermediate head"))
        self.trained = TrainedModel(self.model, training.loss, len(targets.tokens) if targets else None)
        self.features = setup.features.to(processes.device)
        slow = self.trained.encoder_parameters() if training.init_from else ()
        self.optimizer = build_optimizer(self.trained, settings.optimizer, slow, training.encoder_rate_factor)
        self.average = MovingAverage(self.model, training.ema_decay) if training.ema_decay else None
        scaler = torch.amp.GradScaler(
            processes.device.type, init_scale=FIRST_LOSS_SCALE, enabled=training.precision == "fp16"
        )
        self.checkpoints = CheckpointManager(
            run_dir,
            processes,
            self.features,
            self.trained,
            setup.tokenizer,
            self.optimizer,
            scaler,
            identity,
            self.average,
        )
        self.progress = TrainProgress()
        self.steps = EpochSteps(setup.train, settings, processes, identity.processes)
        self.stop = StopRequest()
        self.skips_in_a_row = 0
        self._best_so_far = "the best single epoch"

    def resume(self, state: RunState) -> None:
        """Continue from ``state``."""
        self.progress = self.checkpoints.restore(state)

    def train(self) -> TrainProgress:
        """Train to the end, then average and export. Raises Interrupted after a signal, with everything saved."""
        if self.processes.is_main:
            self.run_dir.forget_metrics_after(self.progress.step, self.progress.epoch)
        self.stepper = self._make_stepper()
        with self.stop:
            if self.settings.training.dry_run and not self.progress.finished:
                self.model.train()
                plan = self.steps.plan(1)
                check_largest_batch_fits(plan, self.setup.train, self.stepper, self.settings, self.processes)
            try:
                while self.progress.batch or not self._is_done():  # an epoch that has begun is finished, too
                    self._train_epoch()
                self._finish()
            except StepTooLong:
                late = f"this step did not end within {STOP_S:.0f} s, and what came after the last checkpoint is lost"
                raise self.stop.interruption(self.progress, self.run_dir.path, late) from None
        return self.progress

    def _make_stepper(self) -> Stepper:
        model: nn.Module = self.trained
        if self.processes.count > 1:
            model = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)  # one copy less
        return Stepper(
            features=self.features,
            model=model,
            optimizer=self.optimizer,
            scaler=self.checkpoints.scaler,
            processes=self.processes,
            spec_augment=self.settings.augment.spec_augment,
            clip_norm=self.settings.optimizer.clip_norm,
            precision=self.settings.training.precision,
            seed=self.settings.seed,
            ids=lazy_map(attrgetter("id"), self.setup.train.utterances),
            loss=self.settings.training.loss,
            chunking=self.settings.training.chunking,
            intermediate_targets=self.setup.intermediate.targets if self.setup.intermediate else None,
        )

    def _is_done(self) -> bool:
        progress = self.progress
        over = self.settings.training.is_over(progress.epoch, progress.step, progress.stale_epochs)
        return progress.finished or over

    def _train_epoch(self) -> None:
        self.model.train()
        plan = self.steps.plan(self.progress.epoch)
        started, seconds_before = time.monotonic(), self.progress.seconds
        for requests, batches in self.steps.from_batch(plan, self.progress.batch, self._is_done):
            epochs_done = self.progress.epoch + self.progress.batch / len(plan)
            self._freeze(self.settings.training.is_frozen(epochs_done))
            self._set_learning_rate(epochs_done)
            penalty = self.settings.training.blank_penalty(epochs_done)
            mine = [one for batch in requests for one in share(batch, self.processes.rank, self.processes.count)]
            with memory_named(self.setup.train, mine or requests[0], self.settings, f"step {self.progress.step + 1}"):
                result = self.stepper.step(batches, self.progress.step, sum(map(len, requests)), penalty)
            if self.average is not None and result.updated:
                self.average.update(self.progress.step)
            self.progress.seconds = seconds_before + time.monotonic() - started
            self._count_step(requests, result)
            self._report_step(result, len(plan), self.steps.padding(requests))
            self._save_or_stop()
        self._end_epoch(self.steps.padding(plan[: self.progress.batch]))

    def _set_learning_rate(self, epochs_done: float) -> None:
        if self.progress.step == 0 and epochs_done == 0.0:
            epochs_done = 1e-3  # the very first step must move a little, too
        factor = learning_rate_factor(
            epochs_done, self.settings.training.epochs, self.settings.schedule, self.progress.plateau_cuts
        )
        set_learning_rate(self.optimizer, self.settings.optimizer.learning_rate * factor)

    def _freeze(self, frozen: bool) -> None:
        """Freeze the encoder, or free it; its weights then get their gradients exchanged between processes."""
        if frozen != self.trained.frozen:
            self.trained.freeze(frozen)
            self.stepper = self._make_stepper()

    @property
    def _learning_rate(self) -> float:
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def _count_step(self, requests: list[list[Request]], result: StepResult) -> None:
        progress = self.progress
        progress.step += 1
        progress.batch += len(requests)
        progress.audio_s += self.steps.audio_s(requests)
        progress.data_seconds += self.steps.waited_s
        if math.isfinite(result.loss):
            progress.epoch_loss += result.loss * result.utterances
            progress.epoch_utterances += result.utterances
        progress.skipped += not result.updated
        self.skips_in_a_row = 0 if result.updated else self.skips_in_a_row + 1
        if not result.updated:
            self._report_skip(requests, result)

    def _report_skip(self, requests: list[list[Request]], result: StepResult) -> None:
        """Keep what the skipped step was made of. Raises TrainingError where it is the last of too many in a row."""
        step, utterances = self.progress.step, self.setup.train.utterances
        if self.processes.is_main:
            batch = [asdict(utterances[one.index]) | {"speed": one.speed} for part in requests for one in part]
            self.run_dir.append_skip(
                SkipRecord(step=step, epoch=self.progress.epoch + 1, cause=result.cause, batch=batch)
            )
        where = f"its batch is in {self.run_dir.skips}"
        if self.skips_in_a_row >= SKIPS_ALLOWED:
            raise TrainingError(
                f"training: the gradient was not finite in {self.skips_in_a_row} steps in a row (step {step});"
                f" in the last one {result.cause}; {where}. See 'asr check', lower optimizer.learning_rate, or use"
                " training.precision=fp32"
            )
        if not self.checkpoints.scaler.is_enabled():  # fp16 skips steps until its scale is found
            self.observer.message(f"step {step} is skipped: {result.cause}; {where}")

    def _report_step(self, result: StepResult, batches: int, padding: float) -> None:
        if not self.processes.is_main:
            return
        progress = self.progress
        record = StepRecord(
            step=progress.step,
            epoch=progress.epoch + 1,
            batch=progress.batch,
            batches=batches,
            epochs=self.settings.training.epochs,
            loss=result.loss,
            grad_norm=result.grad_norm,
            learning_rate=self._learning_rate,
            padding=padding,
            seconds=round(progress.seconds, 3),
            data_seconds=round(progress.data_seconds, 3),
            audio_s=round(progress.audio_s, 3),
        )
        if progress.step % LOG_EVERY_STEPS == 0:
            self.run_dir.append_metrics(record)
        self.observer.step(record)

    def _save_or_stop(self) -> None:
        every = self.settings.training.save_every_steps
        stop = self.processes.any(self.stop.signal is not None)
        if stop:
            self.stop.may_save()
        if stop or (every and self.progress.step % every == 0):
            self.checkpoints.save(self.progress)
        if stop:
            raise self.stop.interruption(self.progress, self.run_dir.path)

    def _end_epoch(self, padding: float) -> None:
        progress, training, started = self.progress, self.settings.training, time.monotonic()
        dev = self._evaluate_or_stop() if progress.epoch + 1 >= training.evaluate_from_epoch else None
        record = self._epoch_record(dev, padding, time.monotonic() - started)
        progress.seconds += time.monotonic() - started
        progress.end_epoch()
        self.checkpoints.keep_epoch(progress.epoch, training.keep_last)
        if dev is not None:
            record = replace(record, best=self._compare(dev))
        if self.processes.is_main:  # before the checkpoint: a resume drops records that it does not know
            if dev is not None and dev.utterances is not None:
                utterances = self.setup.dev.utterances
                append_dev_utterances(self.run_dir, record.step, record.epoch, dev.utterances, utterances)
            self.run_dir.append_metrics(record)
        self.checkpoints.save(progress)
        if self.processes.is_main:
            self.observer.epoch(record)
            if dev is not None and (warning := plateau_warning(progress.epoch, dev)):
                self.observer.message(warning)

    def _epoch_record(self, dev: DevResult | None, padding: float, dev_seconds: float) -> EpochRecord:
        """The record of the epoch at whose end ``progress`` is, before it moves to the next."""
        progress = self.progress
        return EpochRecord(
            epoch=progress.epoch + 1,
            step=progress.step,
            epochs=self.settings.training.epochs,
            train_loss=progress.epoch_loss / max(progress.epoch_utterances, 1),
            dev_wer=dev.wer if dev else None,
            dev_cer=dev.cer if dev else None,
            dev_loss=dev.loss if dev else None,
            dev_blank_share=dev.blank_share if dev else None,
            dev_empty_share=dev.empty_share if dev else None,
            dev_seconds=round(dev_seconds, 3) if dev else None,
            learning_rate=self._learning_rate,
            padding=padding,
            skipped=progress.skipped,
            seconds=round(progress.seconds + dev_seconds, 3),
            data_seconds=round(progress.data_seconds, 3),
            audio_s=round(progress.audio_s, 3),
        )

    def _evaluate_or_stop(self) -> DevResult:
        try:
            return self._evaluate()
        except Interrupted:
            self.checkpoints.save(self.progress)  # after the epoch's last step: the resumed run repeats the dev pass
            raise
        except StepTooLong:
            self.checkpoints.write(self.progress)  # without the other processes, which are in the dev pass
            raise self.stop.interruption(self.progress, self.run_dir.path) from None

    def _evaluate(self) -> DevResult:
        dev = self.setup.dev
        plan = plan_epoch(durations_of(dev.utterances), self.settings.data.batching, seed=0, epoch=0)
        mine = plan[self.processes.rank :: self.processes.count]
        texts = [one.text for one in dev.utterances]
        batches = self._until_stopped(load_batches(dev, mine, self.settings.data.workers, self.processes.pins))
        return evaluate_dev(self.features, self.model, self.setup.tokenizer, batches, texts, self.processes)

    def _until_stopped(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Raises Interrupted after a signal. Several processes finish the pass first: none may wait for another."""
        for batch in batches:
            if self.stop.signal is not None and self.processes.count == 1:
                self.stop.may_save()
                raise self.stop.interruption(self.progress, self.run_dir.path)
            yield batch

    def _compare(self, dev: DevResult) -> bool:
        """Whether ``dev`` is the best so far; then these weights are kept and exported."""
        training, schedule = self.settings.training, self.settings.schedule
        better = self.progress.count_dev(dev, training.select_by, schedule.plateau_patience)
        if better:
            self.checkpoints.keep_best(self.progress)
        return better

    def _finish(self) -> None:
        """Average the last epochs' weights, keep them if dev (or the recipe) says so; ensure there is a model."""
        if self.progress.finished:
            self.checkpoints.export_again(self.progress)
            return
        if self.progress.best_wer is None:  # no epoch had a dev pass
            self._compare(self._evaluate())
        select, last = self.settings.training.select, self.settings.training.keep_last
        states = self.checkpoints.epoch_weights(self.progress.epoch) if last > 1 and select != "ema" else []
        if len(states) > 1:
            self._try(average_weights(states), f"average of the last {len(states)} epochs", averaged=len(states))
        if self.average is not None and select != "average":
            self._try(self.average.weights, "moving average of the weights", ema_decay=self.average.decay)
        self.progress.finished = True
        self.checkpoints.save(self.progress)
        if self.processes.is_main and (advice := self._advice()):
            self.observer.message(advice)

    def _advice(self) -> str | None:
        """What to do where the model writes next to nothing."""
        progress, run = self.progress, shlex.quote(str(self.run_dir.path))
        if progress.best_wer is None or progress.best_wer < NOTHING_LEARNED:
            return None
        steps, why, else_ = STEPS_FROM_SCRATCH, f" {FROM_SCRATCH}.", "more data, or training.init_from=MODEL"
        if self.settings.training.init_from:
            steps, why, else_ = STEPS_NEW_HEAD, "", "or more data"
        more = epochs_for(steps, progress.step / max(progress.epoch, 1), 2 * progress.epoch)
        return (
            f"the model has learned next to nothing (dev WER {progress.best_wer:.0%} after {progress.step} steps)."
            f"{why} Train on: asr train {run} training.epochs={more}; or train in a new run_dir with a lower"
            f" data.batching.batch_s (more steps an epoch), {else_}"
        )

    def _try(self, weights: dict[str, torch.Tensor], what: str, averaged: int = 1, ema_decay: float = 0.0) -> None:
        """Keep ``weights`` as the model if dev or the recipe says so; the present ones stay those of the run."""
        last = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(weights)
        dev, progress, training = self._evaluate(), self.progress, self.settings.training
        better = progress.compare(dev, training.select_by) >= 0  # on a tie the average is preferred: it is more stable
        chosen = training.select != "dev"
        if self.processes.is_main:
            outcome = "kept" if better else f"not kept: {self._best_so_far} is better"
            if chosen and not better:
                outcome = f"kept (training.select={training.select}); the best single epoch has {progress.best_wer:.2%}"
                warning = average_warning(averaged, progress.epoch) if averaged > 1 else None
                if warning and progress.epoch < training.epochs:  # else it was said before step 1
                    outcome += f"; {warning}"
            self.observer.message(f"{what}: dev WER {dev.wer:.2%}; {outcome}")
        if better or chosen:
            progress.take_best(dev)
            self._best_so_far = f"the {what}"
            self.checkpoints.keep_best(progress, averaged, ema_decay)
        self.model.load_state_dict(last)
