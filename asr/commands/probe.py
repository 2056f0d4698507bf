"""``asr probe EXPERIMENT ... --out DIR``: claims about the LSTM as experiments, each a plot and a JSON of its figures.

In: an experiment's name and its arguments. Out: ``DIR/EXPERIMENT.json`` and a plot next to it, a table on stdout. The
experiments themselves are in asr/probes/.
"""

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.commands.options import count, number, seconds, whole_number
from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.schema import nearest
from asr.shipped import model_directory
from asr.terminal import styled, table

if TYPE_CHECKING:
    from asr.probes.experiments import EvaluationOptions, ExperimentResult

_EXAMPLES = """\
examples:
  asr probe gradients --out gradients
  asr probe gates runs/fsdd/model data/fsdd/test.jsonl --out gates
  asr probe family recipes/fsdd --corpus free-spoken-digit-dataset --jobs 2 --out family/fsdd

`asr probe EXPERIMENT --help` lists its options. docs/lstm.md explains all experiments and their results."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """``summary`` for --help; ``add_arguments`` to its parser; ``measure`` with the parsed arguments."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    measure: "Callable[[argparse.Namespace], ExperimentResult] | None" = None  # None: trains, in processes


def run(arguments: list[str]) -> int:
    """Run an experiment and return its exit code; 2 without one."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name = arguments[0]
    if name not in EXPERIMENTS:
        raise UsageError(f"unknown experiment {name!r}{nearest(name, list(EXPERIMENTS))} (asr probe --help)")
    given = parse(name, arguments[1:])
    command = f"asr {shlex.join(['probe', *arguments])}"
    measure = EXPERIMENTS[name].measure
    if measure is None:
        _train(name, given, command)
    else:
        _measure(name, measure, given, command)
    return 0


def _measure(
    name: str, measure: "Callable[[argparse.Namespace], ExperimentResult]", given: argparse.Namespace, command: str
) -> None:
    from asr.devices import set_threads
    from asr.probes.experiments import run_experiment

    set_threads(given.threads)
    on_cpu = name == "gradients" and not given.models  # random networks, in double precision
    device = "cpu" if on_cpu else getattr(given, "device", "cpu")
    result, figures = run_experiment(name, partial(measure, given), command=command, out=given.out, device=device)
    print(table(result.rows, result.header))
    print(f"results: {figures}")
    for path in result.draw(given.out, given.format):
        print(f"plot: {path}")


def _train(name: str, given: argparse.Namespace, command: str) -> None:
    from asr.probes.trainings import TrainingsOptions, train_and_compare

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    files = train_and_compare(name, TrainingsOptions(**vars(given)), command, say)
    print(files.text)
    print(f"results: {files.figures}\ntable: {files.table}")


def _help() -> str:
    width = max(map(len, EXPERIMENTS))
    lines = "\n".join(f"  {styled(name.ljust(width), 'bold')}  {one.summary}" for name, one in EXPERIMENTS.items())
    usage = "usage: asr probe EXPERIMENT ... --out DIR\n\nExperiments that test claims about the LSTM."
    return f"{usage}\n\n{lines}\n\n{_EXAMPLES}"


def parse(name: str, arguments: list[str]) -> argparse.Namespace:
    """The arguments of ``asr probe NAME``; a value that is given twice in a list counts once (a repeated seed)."""
    given = build_parser(name).parse_args(arguments)
    for key, value in vars(given).items():
        if isinstance(value, list) and key != "changes":
            setattr(given, key, list(dict.fromkeys(value)))
    return given


def build_parser(name: str) -> argparse.ArgumentParser:
    """The parser of ``asr probe NAME``."""
    experiment = EXPERIMENTS[name]
    description = f"{experiment.summary[0].upper()}{experiment.summary[1:]}."
    parser = Parser(prog=f"asr probe {name}", description=description)
    experiment.add_arguments(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the folder for results (JSON) and plots"
    )
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="format of the plots (default: png)")
    if experiment.measure is not None:
        parser.add_argument("--threads", type=count, default=1, help="torch threads (default: 1)")
    return parser


def _given(**values: Any) -> dict[str, Any]:
    """The values that were given, so that the others keep their defaults."""
    return {key: value for key, value in values.items() if value is not None}


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--members",
        nargs="+",
        metavar="NAME",
        help="networks, such as rnn gru lstm-1 (default: those of the experiment)",
    )


def _add_seeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", nargs="+", type=whole_number, metavar="N", help="random seeds, one repetition each")


def _gradients_arguments(parser: argparse.ArgumentParser) -> None:
    _add_members(parser)
    _add_seeds(parser)
    parser.add_argument("--hidden-size", type=count, default=128, help="units per layer (default: 128)")
    parser.add_argument("--layers", type=count, default=1, help="number of layers (default: 1)")
    parser.add_argument(
        "--distance", type=count, default=200, metavar="K", help="longest distance in frames (default: 200)"
    )
    parser.add_argument("--input-scale", type=number, default=1.0, help="standard deviation of the inputs (default: 1)")
    parser.add_argument(
        "--model", action="append", default=[], type=model_directory, metavar="MODEL", dest="models",
        help="measure this trained model on --manifest instead; may be repeated",
    )  # fmt: skip
    parser.add_argument("--manifest", type=Path, help="with --model: the manifest of the recordings")
    _add_utterances(parser)


def _gradients(given: argparse.Namespace) -> "ExperimentResult":
    from asr.probes import experiments
    from asr.probes.gradients import GradientOptions

    if given.models:
        if given.manifest is None:
            raise UsageError("--model needs --manifest: the recordings to measure gradients on")
        return experiments.speech_gradients(_evaluation(given), given.distance, seed=(given.seeds or [1])[0])
    options = GradientOptions(
        hidden_size=given.hidden_size,
        num_layers=given.layers,
        distance=given.distance,
        input_scale=given.input_scale,
        **_given(members=given.members, seeds=given.seeds),
    )
    return experiments.gradients(options)


def _recall_arguments(parser: argparse.ArgumentParser) -> None:
    _add_members(parser)
    _add_seeds(parser)
    parser.add_argument(
        "--distances",
        nargs="+",
        type=count,
        metavar="N",
        help="distractor frames between a symbol and its recall (default: 10 30 100)",
    )
    parser.add_argument("--steps", type=count, default=1000, help="training steps (default: 1000)")
    parser.add_argument(
        "--parameters", type=count, default=5_000, help="approximate number of weights of each member (default: 5000)"
    )


def _recall(given: argparse.Namespace) -> "ExperimentResult":
    from asr.probes import experiments
    from asr.probes.recall import RecallOptions

    lists = _given(members=given.members, seeds=given.seeds, distances=given.distances)
    options = RecallOptions(steps=given.steps, parameters=given.parameters, **lists)
    return experiments.recall(options, given.out / "recall-trainings.json")


def _models_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", type=model_directory, nargs="+", metavar="MODEL",
        help="a model directory, such as runs/fsdd/model; several: trainings that differ only in their seed",
    )  # fmt: skip
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="a manifest with reference texts")
    _add_utterances(parser)


def _add_utterances(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--utterances", type=count, metavar="N", help="use only N utterances, spread evenly over the manifest"
    )
    parser.add_argument(
        "--device", default="auto", help="where trained models run: auto, cpu, cuda, cuda:1, ... (default: auto)"
    )


def _evaluation(given: argparse.Namespace) -> "EvaluationOptions":
    from asr.probes.experiments import EvaluationOptions

    return EvaluationOptions(
        models=given.models, manifest=given.manifest, utterances=given.utterances, device=given.device
    )


def _context_arguments(parser: argparse.ArgumentParser) -> None:
    _models_arguments(parser)
    parser.add_argument(
        "--frames",
        nargs="+",
        type=count,
        metavar="N",
        help="log-mel frames per piece, multiples of the subsampling (default: 12 24 48 96 192)",
    )


def _context(given: argparse.Namespace) -> "ExperimentResult":
    from asr.probes import experiments

    return experiments.context(_evaluation(given), given.frames or experiments.CONTEXT_FRAMES)


def _gates(given: argparse.Namespace) -> "ExperimentResult":
    from asr.probes import experiments

    return experiments.gates(_evaluation(given))


def _time_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", help="models, by their names in conf/model (default: all)"
    )
    parser.add_argument(
        "--lengths-s",
        nargs="+",
        type=seconds,
        metavar="S",
        help="lengths of audio in seconds (default: 1 2 5 10 20 40 60)",
    )
    parser.add_argument("--batches", nargs="+", type=count, metavar="N", help="batch sizes (default: 1 8)")
    parser.add_argument("--rounds", type=count, default=5, help="repetitions (default: 5)")
    parser.add_argument("--hidden-size", type=count, help="use this hidden size for every model")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")


def _time(given: argparse.Namespace) -> "ExperimentResult":
    from asr.probes import experiments
    from asr.probes.cost import CostOptions

    lists = _given(lengths_s=given.lengths_s, batches=given.batches)
    options = CostOptions(rounds=given.rounds, device=given.device, **lists)
    return experiments.cost(options, given.models or (), given.hidden_size)


def _trainings_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipes", type=Path, metavar="RECIPES", help="a recipe folder, such as recipes/fsdd")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, metavar="DIR", help="the folder of prepared manifests")
    data.add_argument(
        "--corpus", type=Path, metavar="FOLDER", help="the corpus folder; it is prepared into DIR/data first"
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=whole_number,
        default=[1, 2, 3],
        metavar="N",
        help="random seeds, one training each (default: 1 2 3)",
    )
    parser.add_argument("--jobs", type=count, default=1, help="trainings in parallel, one thread each (default: 1)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
        help="a config override for all trainings, such as training.epochs=10; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--parameters", type=count, metavar="N",
        help="number of weights of each recogniser, within 5 %%; sets its hidden size (default: as in the recipes)",
    )  # fmt: skip


def _directions_arguments(parser: argparse.ArgumentParser) -> None:
    _trainings_arguments(parser)
    parser.set_defaults(members=["lstm", "bilstm"], lengths_s=[1.0, 10.0])


def _family_arguments(parser: argparse.ArgumentParser) -> None:
    _trainings_arguments(parser)
    parser.add_argument("--members", nargs="+", metavar="NAME", help="recipes of the folder to train (default: all)")
    parser.add_argument(
        "--lengths-s", nargs="+", type=seconds, default=[1.0, 10.0, 60.0], metavar="S",
        help="lengths of audio in seconds at which memory is measured (default: 1 10 60)",
    )  # fmt: skip


EXPERIMENTS: dict[str, Experiment] = {
    "gradients": Experiment(
        "how far back gradients reach in an RNN, GRU and LSTM, or in trained models with --model",
        _gradients_arguments,
        _gradients,
    ),
    "recall": Experiment(
        "which networks remember a symbol over N frames after the same number of training steps",
        _recall_arguments,
        _recall,
    ),
    "context": Experiment(
        "WER of a trained model against context: audio cut into pieces of N frames", _context_arguments, _context
    ),
    "time": Experiment(
        "time and memory against the length of the audio, in training, transcription and streaming",
        _time_arguments,
        _time,
    ),
    "directions": Experiment(
        "train lstm and bilstm at the same size: the gain from the second direction", _directions_arguments
    ),
    "gates": Experiment("WER of a trained LSTM with one gate fixed at a value", _models_arguments, _gates),
    "family": Experiment(
        "train all recipes of a folder on the same data and budget, and write one table", _family_arguments
    ),
}
