"""``asr train RECIPE.yaml [key=value ...] [-m] [--cfg job]``, or ``asr train RUN_DIR`` to resume a run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.console import ConsoleObserver
from asr.errors import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

USAGE = """usage: asr train RECIPE.yaml data.dir=FOLDER run_dir=FOLDER [key=value ...] [-m] [--cfg job]
       asr train RUN_DIR [training.epochs=N]

Train a model by a recipe, or resume the run in RUN_DIR exactly where it stopped; with more epochs, train on.

  key=value    changes a config key, e.g. model.hidden_size=256 training.epochs=60 seed=2
  -m           a sweep: one run per combination, e.g. -m seed=1,2,3
  --cfg job    print the composed configuration and exit

Several processes: training.processes=N; on several machines torchrun ... -m asr train RECIPE.yaml ..."""


def run(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    target = Path(arguments[0])
    if (target / "config.yaml").is_file():
        return _resume(target, arguments[1:])
    from asr.config.recipes import resolve_recipe

    recipe = resolve_recipe(arguments[0])
    if recipe.is_dir():
        raise UsageError(f"{recipe} is neither a recipe (RECIPE.yaml) nor a run folder (it has no config.yaml)")
    from asr.config.compose import run_composed

    def train(composed: "DictConfig") -> float | None:
        from asr.config.typed import plain_config, with_source_sizes  # imports torch, which --cfg job does not need
        from asr.pipeline.training import train_composed

        with ConsoleObserver() as observer:
            values = with_source_sizes(plain_config(composed), arguments[1:])
            return train_composed(values, ["train", *arguments], observer)

    run_composed(recipe, arguments[1:], train)
    return 0


def _resume(run_dir: Path, rest: list[str]) -> int:
    from asr.pipeline.training import resume

    with ConsoleObserver() as observer:
        resume(run_dir, rest, ["train", str(run_dir), *rest], observer)
    return 0
