"""``asr run RECIPE.yaml [corpus=FOLDER] run_dir=FOLDER [key=value ...]``: prepare, train, evaluate, report.

In: a recipe and config overrides. Out: the files of each stage in the run folder, and their summaries on stdout.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.console import ConsoleObserver, print_evaluation, transcribing_progress
from asr.errors import UsageError
from asr.terminal import styled

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from asr.pipeline.evaluation import EvaluationResult

USAGE = """usage: asr run RECIPE.yaml [corpus=FOLDER] run_dir=FOLDER [key=value ...]

Run a whole recipe: prepare the corpus, train, evaluate on the test sets, report.
A stage that is up to date is skipped: its outputs are unchanged and were made from the same inputs.

  corpus=FOLDER              the corpus folder (not needed by recipes that make their own)
  untranscribed=FOLDER       recordings without texts (or a manifest of them), to train on with the model's own texts
  previous=RUN_DIR           train on from an earlier run on less of this corpus, keep its test set, and compare
  stages=[train,evaluate]    run only these stages of prepare, train, self-train, evaluate, report
  prepare.KEY=VALUE          an option of the recipe's prepare.py
  key=value                  changes a config key; --cfg job prints them all"""


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
    run_composed(recipe, arguments[1:], lambda composed: _run_composed(recipe, composed, ["run", *arguments]))
    return 0


def _run_composed(recipe: Path, composed: "DictConfig", command: list[str]) -> None:
    from asr.config.typed import plain_config, set_data_dir, typed_config, with_source_sizes
    from asr.pipeline.previous import with_previous
    from asr.pipeline.stages import run_recipe

    values, console = plain_config(set_data_dir(composed)), _Console()
    if values.get("previous") is not None:
        values, said = with_previous(values, {word.lstrip("+").partition("=")[0] for word in command[2:]})
        console.message(said)
    values = with_source_sizes(values, command[2:])
    run_recipe(recipe, values, typed_config(values), command, console)


class _Console:
    """Shows a run: stage names and progress on stderr, results on stdout."""

    def stage(self, name: str, up_to_date: bool) -> None:
        """The stage's name, and whether it is skipped."""
        title = styled(name, "bold", stream=sys.stderr)
        print(f"{title}: up to date, skipped" if up_to_date else title, file=sys.stderr, flush=True)

    def message(self, text: str) -> None:
        """A line on stderr."""
        print(text, file=sys.stderr, flush=True)

    def prepared(self, summary: str) -> None:
        """The recipe's summary."""
        print(summary)

    def training(self) -> AbstractContextManager[ConsoleObserver]:
        """As `asr train` shows it."""
        return ConsoleObserver()

    def transcribing(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """As `asr evaluate` shows it."""
        return transcribing_progress()

    def evaluated(self, result: "EvaluationResult") -> None:
        """The table of errors."""
        print_evaluation(result)

    def reported(self, page: Path) -> None:
        """The path of the run's report."""
        print(f"report: {page}")
