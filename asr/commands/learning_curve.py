"""``asr learning-curve RECIPE [key=value ...] --out DIR``: WER against minutes of speech, and what more would bring.

In: a recipe with its corpus or prepared data. Out: ``DIR/learning-curve.json``, ``.md`` and a picture; the table, the
fits and predictions on stdout. The work is in asr/probes/learning_curve.py and asr/probes/curve_results.py.
"""

import argparse
import math
import shlex
import sys
from pathlib import Path

from asr.commands.options import count, number, whole_number
from asr.commands.parser import Parser
from asr.errors import UsageError

_EPILOG = """\
Parts are nested, whole utterances, and have each speaker's speech in about the same shares as the whole; dev and test
are the same for all. A seed chooses the parts as well. The same command resumes after Ctrl-C, and one with more
--minutes, --seeds or --init adds theirs. docs/learning-curve.md explains budget, fit and intervals.

examples:
  asr learning-curve recipes/folder/bilstm.yaml corpus=my_recordings --out curve
  asr learning-curve recipes/fsdd/bilstm.yaml data.dir=data/fsdd --minutes 1 2 4 8 all --seeds 1 2 3 --out curve
  asr learning-curve recipes/folder/bilstm.yaml data.dir=data/mine --init none runs/other/model --lm own --out curve
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr learning-curve``."""
    parser = Parser(
        prog="asr learning-curve",
        description="Train a recipe on parts of a training set, fit a power law to the WER against the minutes of"
        " speech, and predict what more speech would bring.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe, or the config.yaml of a run")
    parser.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE",
        help="corpus=FOLDER or data.dir=FOLDER (prepared), and any config key, for all trainings",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for parts, runs and results")
    parser.add_argument(
        "--minutes", nargs="+", type=minutes, default=[], metavar="M",
        help="minutes of training speech of each part, or all (default: all, and its half, quarter, 8th and 16th)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", nargs="+", type=whole_number, default=[1, 2, 3], metavar="N",
        help="random seeds, each with parts of its own and a training on each (default: 1 2 3)",
    )  # fmt: skip
    parser.add_argument(
        "--init", nargs="+", default=[], metavar="MODEL", dest="starts",
        help="model directories to start from, one curve each; none: from scratch (default: as the recipe says)",
    )  # fmt: skip
    parser.add_argument(
        "--lm", metavar="own|FILE",
        help="also decode with a language model, tuned on dev: own (built from each part's transcripts) or a file",
    )  # fmt: skip
    parser.add_argument(
        "--more", nargs="+", type=minutes_more, default=[60.0], metavar="M",
        help="minutes of further speech to predict for (default: 60)",
    )  # fmt: skip
    parser.add_argument(
        "--min-steps", type=count, metavar="N",
        help="training steps of the shorter parts, at least (default: half of those on everything)",
    )  # fmt: skip
    parser.add_argument("--jobs", type=count, default=1, help="trainings in parallel (default: 1)")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="format of the picture (default: png)")
    return parser


def minutes(text: str) -> float:
    """``all`` (inf), or more than 0 minutes, for argparse."""
    return math.inf if text == "all" else minutes_more(text)


def minutes_more(text: str) -> float:
    """More than 0 minutes, for argparse."""
    if "=" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes; put KEY=VALUE behind the recipe")
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be more than 0 minutes")
    return value


def run(arguments: list[str]) -> int:
    """Train, fit, draw and print; returns 0."""
    given = vars(build_parser().parse_intermixed_args(arguments))
    from asr.config.recipes import resolve_recipe

    recipe = resolve_recipe(given.pop("recipe"))
    if recipe.is_dir():
        raise UsageError(f"{recipe} is a folder; name one of its recipes, e.g. {recipe / 'bilstm.yaml'}")
    for key in ("seeds", "starts", "more"):
        given[key] = list(dict.fromkeys(given[key]))
    from asr.probes.curve_results import learning_curve
    from asr.probes.learning_curve import CurveOptions

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    command = f"asr {shlex.join(['learning-curve', *arguments])}"
    files = learning_curve(CurveOptions(recipe=recipe, **given), command, say)
    print(files.text)
    print(f"results: {files.figures}\ntable: {files.table}\nplot: {files.plot}")
    return 0
