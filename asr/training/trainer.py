"""The training loop. In: settings and a run folder. Out: checkpoints while it runs, and a model directory.

Exact: whatever stops the loop, ``Trainer`` goes on from the last checkpoint as if it had not been stopped, to the bit
on a CPU, because an epoch's plan and a step's randomness follow from their numbers.
"""

import shlex
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Protocol

import torch
from torch import nn

from asr.data.batching import Request, plan_epoch, share
from asr.data.dataset import Batch, load_batches
from asr.errors import Interrupted, TrainingError
from asr.pretrained import save_pretrained
from asr.training.checkpoint import load_checkpoint, save_checkpoint
from asr.training.config import TrainSettings
from asr.training.distributed import Processes
from asr.training.evaluate import DevResult, evaluate_dev
from asr.training.optimizer import build_optimizer, learning_rate_factor
from asr.training.run_dir import RunDir
from asr.training.setup import Setup
from asr.training.state import Progress, average_weights, pack_state, unpack_state
from asr.training.step import Stepper, StepResult

SKIPS_ALLOWED = 10  # steps in a row without a finite gradient
LOG_EVERY_STEPS = 10
PLATEAU_EPOCHS = 3  # epochs of nothing but blanks before it is said


class Observer(Protocol):
    """Who is told: the console, a log."""

    def message(self, text: str) -> None:
        """Something that a person should read."""

    def step(self, record: dict[str, Any]) -> None:
        """After every step: epoch, batch, batches, step, loss, seconds and the like."""

    def epoch(self, record: dict[str, Any]) -> None:
        """After every epoch, with its dev figures."""


class Trainer:
    """One run. ``extra`` goes into every checkpoint and says what it belongs to.

    ``facts`` goes into the model directory.
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
        self.settings, self.setup, self.run_dir, self.processes, self.observer = (
            settings,
            setup,
            run,
            processes,
            observer,
        )
        self.extra = extra
        self.model = setup.model.to(processes.device)
        self.features = setup.features.to(processes.device)
        self.optimizer = build_optimizer(self.model, settings.optimizer)
        uses_scaler = settings.training.precision == "fp16"
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=uses_scaler)
        self.progress = Progress()
        self.durations_s = [one.duration_s for one in setup.train.utterances]
        self.stop_signal: int | None = None
        self.skips = 0

    def resume(self, state: dict[str, Any]) -> None:
        """Put everything where ``state`` left it."""
        self.progress = unpack_state(state, self.model, self.optimizer, self.scaler)
        mean, std = state["feature_mean"], state["feature_std"]
        self.features.set_normalisation(mean.to(self.processes.device), std.to(self.processes.device))

    def run(self) -> Progress:
        """Train to the end, then average and export. Raises Interrupted after a signal, with everything saved."""
        if self.processes.is_main:
            self.run_dir.forget_metrics_after(self.progress.step, self.progress.epoch)
        self.stepper = self._stepper()
        previous = [signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)]
        try:
            if self.settings.training.dry_run and not self.progress.finished:
                self._dry_run()
            while self.progress.batch or not self._is_done():  # an epoch that was begun is ended, too
                self._train_epoch()
            self._finish()
        finally:
            for number, handler in zip((signal.SIGTERM, signal.SIGINT), previous, strict=True):
                signal.signal(number, handler)
        return self.progress

    def _stepper(self) -> Stepper:
        model: nn.Module = self.model
        if self.processes.count > 1:
            model = nn.parallel.DistributedDataParallel(model)
        return Stepper(
            self.features,
            model,
            self.optimizer,
            self.scaler,
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

    def _plan(self, epoch: int) -> list[list[Request]]:
        return plan_epoch(
            self.durations_s,
            self.settings.data.batching,
            seed=self.settings.seed,
            epoch=epoch,
            speeds=self.settings.augment.speeds,
            processes=self.processes.count,
        )

    def _train_epoch(self) -> None:
        self.model.train()
        plan = self._plan(self.progress.epoch)
        started, seconds_before = time.monotonic(), self.progress.seconds
        for requests, batches in self._steps(plan):
            utterances = sum(map(len, requests))
            self._set_learning_rate(self.progress.batch / len(plan))
            result = self.stepper.run(batches, self.progress.step, utterances)
            self.progress.seconds = seconds_before + time.monotonic() - started
            self._after_step(requests, result, len(plan))
        self._end_epoch()

    def _steps(self, plan: list[list[Request]]) -> Iterator[tuple[list[list[Request]], list[Batch | None]]]:
        """The rest of an epoch, step by step: the requests of all processes, and this process's batches."""
        accumulate, start = self.settings.training.accumulate, self.progress.batch
        shares = [share(batch, self.processes.rank, self.processes.count) for batch in plan[start:]]
        loaded = load_batches(self.setup.train, [one for one in shares if one], self.settings.data.workers)
        for offset in range(start, len(plan), accumulate):
            if self._is_done():
                return
            requests = plan[offset : offset + accumulate]
            mine = shares[offset - start : offset - start + accumulate]
            yield requests, [next(loaded) if one else None for one in mine]

    def _set_learning_rate(self, share_of_epoch: float) -> None:
        schedule, epochs = self.settings.schedule, self.settings.training.epochs
        done = self.progress.epoch + share_of_epoch
        if self.progress.step == 0 and done == 0.0:
            done = 1e-3  # the very first step must move a little, too
        factor = learning_rate_factor(done, epochs, schedule, self.progress.plateau_cuts)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.optimizer.learning_rate * factor

    def _after_step(self, requests: list[list[Request]], result: StepResult, batches: int) -> None:
        progress = self.progress
        progress.step += 1
        progress.batch += len(requests)
        progress.audio_s += sum(self.durations_s[one.index] / one.speed for batch in requests for one in batch)
        progress.epoch_loss += result.loss * result.utterances
        progress.epoch_utterances += result.utterances
        self._count_skips(result)
        record = {
            "kind": "step",
            "step": progress.step,
            "epoch": progress.epoch + 1,
            "batch": progress.batch,
            "batches": batches,
            "epochs": self.settings.training.epochs,
            "loss": result.loss,
            "grad_norm": result.grad_norm,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": round(progress.seconds, 3),
            "audio_s": round(progress.audio_s, 3),
        }
        if self.processes.is_main:
            if progress.step % LOG_EVERY_STEPS == 0:
                self.run_dir.append_metrics(record)
            self.observer.step(record)
        every = self.settings.training.save_every_steps
        stop = self.processes.any(self.stop_signal is not None)
        if stop or (every and progress.step % every == 0):
            self._save()
        if stop:
            raise self._interruption()

    def _interruption(self) -> Interrupted:
        number = self.stop_signal or signal.SIGTERM
        where = f"epoch {self.progress.epoch + 1}, step {self.progress.step}"
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        how = f"go on with the same command, or with: asr train {shlex.quote(str(self.run_dir.path))}"
        return Interrupted(f"stopped by {name} at {where}; saved. To {how}", number)

    def _count_skips(self, result: StepResult) -> None:
        self.skips = 0 if result.updated else self.skips + 1
        self.progress.skipped += not result.updated
        if self.skips >= SKIPS_ALLOWED:
            raise TrainingError(
                f"training: the gradient was not finite in {self.skips} steps in a row (step {self.progress.step});"
                " lower optimizer.learning_rate, or use training.precision=fp32"
            )

    def _end_epoch(self) -> None:
        progress, started = self.progress, time.monotonic()
        dev = self._evaluate_or_stop() if progress.epoch + 1 >= self.settings.training.evaluate_from_epoch else None
        record = self._epoch_record(dev, time.monotonic() - started)
        progress.seconds += time.monotonic() - started
        progress.end_epoch()
        if self.processes.is_main:
            self._keep_epoch_weights()
        if dev is not None:
            record["best"] = self._compare(dev)
        if self.processes.is_main:
            self.run_dir.append_metrics(
                record
            )  # before the checkpoint: what it does not know is forgotten, never missed
        self._save()
        if self.processes.is_main:
            self.observer.epoch(record)
            self._warn_of_blanks(dev)

    def _epoch_record(self, dev: DevResult | None, dev_seconds: float) -> dict[str, Any]:
        progress = self.progress
        figures = {f"dev_{key}": value for key, value in asdict(dev).items()} if dev else {}
        return {
            "kind": "epoch",
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "epochs": self.settings.training.epochs,
            "train_loss": progress.epoch_loss / max(progress.epoch_utterances, 1),
            **figures,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "skipped": progress.skipped,
            "seconds": round(progress.seconds + dev_seconds, 3),
            "audio_s": round(progress.audio_s, 3),
        }

    def _evaluate_or_stop(self) -> DevResult:
        try:
            return self._evaluate()
        except Interrupted:
            self._save()  # at the end of the epoch's last step: its dev pass is done again
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
            if self.stop_signal is not None and self.processes.count == 1:
                raise self._interruption()
            yield batch

    def _compare(self, dev: DevResult) -> bool:
        """Count ``dev`` among the epochs; True where it is the best yet, which is then kept and exported."""
        progress = self.progress
        if progress.is_better(dev.wer, dev.cer):
            progress.best_wer, progress.best_cer, progress.best_epoch = dev.wer, dev.cer, progress.epoch
            progress.stale_epochs = 0
            if self.processes.is_main:
                save_checkpoint(self.run_dir.best, {"model": self.model.state_dict()})
                self._export()
            return True
        progress.stale_epochs += 1
        if progress.stale_epochs % self.settings.schedule.plateau_patience == 0:
            progress.plateau_cuts += 1
        return False

    def _keep_epoch_weights(self) -> None:
        keep = self.settings.training.keep_last
        if keep:
            save_checkpoint(self.run_dir.epochs / f"{self.progress.epoch:04d}.ckpt", {"model": self.model.state_dict()})
            for path in sorted(self.run_dir.epochs.glob("*.ckpt")):
                if int(path.stem) <= self.progress.epoch - keep:
                    path.unlink()

    def _warn_of_blanks(self, dev: DevResult | None) -> None:
        if dev and dev.empty_share > 0.99 and self.progress.epoch == PLATEAU_EPOCHS:
            self.observer.message(
                f"after {PLATEAU_EPOCHS} epochs dev texts are still empty (blank share {dev.blank_share:.1%}):"
                " CTC's blank-only plateau."
                " It often ends by itself after a few hundred steps; if not: more or longer warm-up, a lower"
                " optimizer.learning_rate, less dropout and masking, or smaller batches (more steps)"
            )

    def _finish(self) -> None:
        """Average the last epochs' weights and keep them if dev says they are better; see that there is a model."""
        if self.progress.finished:
            if self.processes.is_main and not (self.run_dir.model / "config.json").exists():
                self.model.load_state_dict(load_checkpoint(self.run_dir.best)["model"])
                self._export()
            return
        if self.progress.best_wer is None:  # no epoch came to its dev pass
            self._compare(self._evaluate())
        paths = sorted(self.run_dir.epochs.glob("*.ckpt")) if self.settings.training.keep_last > 1 else []
        paths = [path for path in paths if int(path.stem) <= self.progress.epoch]
        if len(paths) > 1:
            self._try_average([load_checkpoint(path)["model"] for path in paths])
        self.progress.finished = True
        self._save()

    def _try_average(self, states: list[dict[str, torch.Tensor]]) -> None:
        last = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(average_weights(states))
        dev = self._evaluate()
        best = (self.progress.best_wer, self.progress.best_cer)
        better = (
            self.progress.is_better(dev.wer, dev.cer) or (dev.wer, dev.cer) == best
        )  # of equals, the mean is the steadier
        if self.processes.is_main:
            verdict = "kept" if better else "not kept: the best single epoch is better"
            self.observer.message(f"average of the last {len(states)} epochs: dev WER {dev.wer:.2%}; {verdict}")
        if better:
            self.progress.best_wer, self.progress.best_cer = dev.wer, dev.cer
            if self.processes.is_main:
                save_checkpoint(self.run_dir.best, {"model": self.model.state_dict()})
                self._export(averaged=len(states))
        self.model.load_state_dict(last)

    def _export(self, averaged: int = 1) -> None:
        progress = self.progress
        facts = {
            "epoch": progress.epoch,
            "step": progress.step,
            "averaged_epochs": averaged,
            "dev_wer": progress.best_wer,
            "dev_cer": progress.best_cer,
            "training_seconds": round(progress.seconds, 1),
            "audio_hours_heard": round(progress.audio_s / 3600, 3),
            **self.extra["facts"],
        }
        save_pretrained(self.run_dir.model, self.features, self.model, self.setup.tokenizer, facts)

    def _save(self) -> None:
        if self.processes.is_main:
            extra = {"feature_mean": self.features.mean, "feature_std": self.features.std, **self.extra}
            save_checkpoint(
                self.run_dir.checkpoint, pack_state(self.progress, self.model, self.optimizer, self.scaler, extra)
            )
        self.processes.wait()

    def _dry_run(self) -> None:
        """One step forward and back on the shape of the largest batch, so that memory fails now and not in an hour."""
        plan = self._plan(1)
        largest = max(
            plan, key=lambda batch: len(batch) * max(self.durations_s[one.index] / one.speed for one in batch)
        )
        mine = share(largest, self.processes.rank, self.processes.count) or largest[:1]
        rate = self.settings.features.sample_rate
        samples = max(int(self.durations_s[one.index] / one.speed * rate) for one in largest)
        targets = [self.setup.train.targets[one.index] for one in mine]
        batch = Batch(
            torch.zeros(len(mine), samples), torch.full((len(mine),), samples), targets, [one.index for one in mine]
        )
        self.model.train()
        try:
            self.stepper.rehearse(batch)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            raise TrainingError(
                f"training: the largest batch ({len(mine)} x {samples / rate:.1f} s) does not fit into memory; lower"
                f" data.batching.batch_s (now {self.settings.data.batching.batch_s:g}) and raise training.accumulate"
            ) from None

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.stop_signal == number == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C does not wait for the step's end
        self.stop_signal = number
