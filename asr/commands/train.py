"""``asr train RECIPE.yaml [key=value ...] [-m] [--cfg job]``, or ``asr train RUN_DIR`` to go on where a run stopped."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import UsageError
from asr.provenance import Invocation
from asr.terminal import Progress as ProgressLine
from asr.terminal import format_duration

if TYPE_CHECKING:
    from asr.config import RunConfig
    from asr.training.records import EpochRecord, StepRecord

USAGE = """usage: asr train RECIPE.yaml data.dir=FOLDER run_dir=FOLDER [key=value ...] [-m] [--cfg job]
       asr train RUN_DIR

Train a model by a recipe, or go on exactly where the run in RUN_DIR stopped.

  key=value    changes any word of the configuration, e.g. model.hidden_size=256 training.epochs=60 seed=2
  -m           a sweep: one run for each combination, e.g. -m seed=1,2,3
  --cfg job    print the whole composed configuration and stop

Several processes: torchrun --nproc-per-node=2 -m asr train RECIPE.yaml ..."""


def run(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    target = Path(arguments[0])
    if (target / "config.yaml").is_file():
        return _go_on(target, arguments[1:])
    from asr.config.recipes import resolve_recipe

    recipe = resolve_recipe(arguments[0])
    if recipe.is_dir():
        raise UsageError(f"{recipe} is neither a recipe (RECIPE.yaml) nor a run folder (it has no config.yaml)")
    from asr.config.compose import run_composed

    run_composed(recipe, arguments[1:], lambda composed: train_composed(composed, ["train", *arguments]))
    return 0


def train_composed(composed: Any, command: list[str]) -> None:
    """Check the composed config, write what the run was told into its folder, and train."""
    from asr.config import typed_config
    from asr.training.start import train

    config = typed_config(composed)
    with ConsoleObserver() as observer:
        train(config.train, config.run_dir, observer, Invocation.of(command), lambda: _keep_config(composed, config))


def _keep_config(composed: Any, config: "RunConfig") -> None:
    """Write the configuration into the locked run folder. Raises UsageError where another one has begun there."""
    from asr.config import changed_since_begun, save_config

    changed = changed_since_begun(config.run_dir, config.train)
    if changed:
        raise UsageError(
            f"{config.run_dir} holds a run with another configuration ({', '.join(changed[:10])}); go on with it by"
            f" 'asr train {shlex.quote(str(config.run_dir))}', or choose another run_dir"
        )
    save_config(composed, config.run_dir / "config.yaml")


def _go_on(run_dir: Path, rest: list[str]) -> int:
    from asr.config import read_config
    from asr.training.start import train

    if rest:
        raise UsageError(f"a run goes on with the configuration it began with; leave out: {' '.join(rest)}")
    config = read_config(run_dir / "config.yaml")
    with ConsoleObserver() as observer:
        train(config.train, run_dir, observer, Invocation.of(["train", str(run_dir)]))
    return 0


class ConsoleObserver:
    """Shows a run on the terminal: a progress line within the epoch, one line at its end."""

    def __init__(self) -> None:
        self._line: ProgressLine | None = None
        self._epoch = 0

    def __enter__(self) -> "ConsoleObserver":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def message(self, text: str) -> None:
        """A line of its own."""
        self._say(text)

    def step(self, record: "StepRecord") -> None:
        """Moves the progress line."""
        if self._line is None or record.epoch != self._epoch:
            self._close()
            self._epoch = record.epoch
            label = f"epoch {record.epoch}/{record.epochs}"
            self._line = ProgressLine(record.batches, label, "batches", done=record.batch - 1)
        self._line.update(record.batch - self._line.done, f"loss {record.loss:.2f}, {_left(record)}")

    def epoch(self, record: "EpochRecord") -> None:
        """The epoch's figures."""
        dev = "" if record.dev_wer is None else f"  dev WER {record.dev_wer:7.2%}  CER {record.dev_cer:7.2%}"
        mark = "  best" if record.best else ""
        head = f"epoch {record.epoch:3d}/{record.epochs}  loss {record.train_loss:8.3f}"
        self._say(f"{head}{dev}  {format_duration(record.seconds)}{mark}")

    def _say(self, text: str) -> None:
        if self._line is not None:
            self._line.write_line(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def _close(self) -> None:
        if self._line is not None and self._line.live:
            self._line.close()
        self._line = None


def _left(record: "StepRecord") -> str:
    seconds = record.seconds / record.epochs_done * (record.epochs - record.epochs_done)
    return f"run {format_duration(seconds)} left"
