"""``asr run RECIPE.yaml [corpus=FOLDER] run_dir=FOLDER [key=value ...]``: prepare, train, evaluate, report.

A stage is skipped where its outputs stand and its inputs have not changed since it made them;
``stages=[train,evaluate]`` picks. What each stage was made from is in ``run_dir/stages.json``.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import UsageError
from asr.pipeline.stages import Ledger, recipe_stages

if TYPE_CHECKING:
    from asr.config import RunConfig


USAGE = """usage: asr run RECIPE.yaml [corpus=FOLDER] run_dir=FOLDER [key=value ...]

Run a whole recipe: prepare the corpus, train, evaluate on the test set, report.
A stage whose outputs stand and whose inputs have not changed is skipped.

  corpus=FOLDER              the corpus's own folder (recipes that make or need none do without)
  stages=[train,evaluate]    only these, of prepare, train, evaluate, report
  prepare.KEY=VALUE          an option of the recipe's prepare.py
  key=value                  any word of the configuration; see them all with --cfg job"""


def run(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    from asr.config.compose import run_composed
    from asr.config.recipes import resolve_recipe

    recipe = resolve_recipe(arguments[0])
    if recipe.is_dir():
        raise UsageError(f"{recipe} is a folder; name one of its recipes, e.g. {recipe / 'bilstm.yaml'}")
    run_composed(recipe, arguments[1:], lambda composed: _run_stages(recipe, composed, ["run", *arguments]))
    return 0


def _run_stages(recipe: Path, composed: Any, command: list[str]) -> None:
    from omegaconf import OmegaConf, open_dict

    from asr.config import typed_config

    if not (composed.data.get("dir") or "") and (OmegaConf.select(composed, "run_dir") or ""):
        with open_dict(composed):
            composed.data.dir = str(Path(composed.run_dir) / "data")
    config = typed_config(composed)
    _check_processes(config)
    ledger = Ledger(config.run_dir / "stages.json")
    for stage in recipe_stages(recipe, composed, config, command):
        if stage.name in config.stages:
            ledger.run(stage)


def _check_processes(config: "RunConfig") -> None:
    """Raise UsageError where torchrun's processes would all do what is one process's work."""
    alone = [name for name in config.stages if name != "train"]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and alone:
        raise UsageError(
            f"asr run under torchrun: {', '.join(alone)} is one process's work. Run it without torchrun, and the"
            " training alone with it: torchrun ... -m asr run RECIPE.yaml run_dir=FOLDER stages=[train]"
        )
