"""``asr probe EXPERIMENT ... --out DIR``: claims about the LSTM as experiments, each a plot and a JSON of its figures.

In: an experiment's name and its words. Out: ``DIR/EXPERIMENT.json`` and a plot beside it; each experiment is a module
of its own (asr/probes/), its words are in ``_probe_options.py``.

The words of each experiment of ``asr probe``. In: an experiment's name. Out: its argument parser.
"""

import argparse
import sys
from pathlib import Path

from asr.commands.options import count, number, seconds, whole_number
from asr.errors import UsageError
from asr.schema import nearest
from asr.terminal import styled

EXPERIMENTS: dict[str, str] = {
    "gradients": "how much of the gradient arrives from far: RNN, GRU, LSTM; trained models with --model",
    "recall": "who remembers a symbol over N frames, all trained for equally long",
    "context": "a trained model hears speech in pieces of N frames: its WER against N",
    "time": "seconds and memory against length, in training, transcription and as a stream",
    "directions": "train lstm and bilstm at the same size: what the second direction buys",
    "gates": "a trained LSTM with one gate held at a value: the WER of each",
    "family": "train the whole family on the same data and budget, and write one table",
}

_EXAMPLES = """\
examples:
  asr probe gradients --out article
  asr probe gates runs/fsdd/model data/fsdd/test.jsonl --out article
  asr probe family recipes/fsdd --corpus free-spoken-digit-dataset --jobs 2 --out family/fsdd

`asr probe EXPERIMENT --help` tells more. docs/lstm.md walks through all of them."""


def run(arguments: list[str]) -> int:
    """Run an experiment and return its exit code; 2 without one."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name = arguments[0]
    if name not in EXPERIMENTS:
        raise UsageError(f"unknown experiment {name!r}{nearest(name, list(EXPERIMENTS))}; see `asr probe --help`")
    from asr.probes import experiments, trainings

    options = parse(name, EXPERIMENTS[name], arguments[1:])
    if name in ("family", "directions"):
        return trainings.run(name, options, ["probe", *arguments])
    return experiments.run(name, options, ["probe", *arguments])


def _help() -> str:
    width = max(map(len, EXPERIMENTS))
    lines = "\n".join(f"  {styled(name.ljust(width), 'bold')}  {line}" for name, line in EXPERIMENTS.items())
    return f"usage: asr probe EXPERIMENT ... --out DIR\n\nThe LSTM's claims, measured.\n\n{lines}\n\n{_EXAMPLES}"


def parse(name: str, description: str, words: list[str]) -> argparse.Namespace:
    """The words of ``asr probe NAME``; what is named twice counts once: a seed repeated is no second repetition."""
    options = build_parser(name, description).parse_args(words)
    for key, value in vars(options).items():
        if isinstance(value, list) and key != "changes":
            setattr(options, key, list(dict.fromkeys(value)))
    return options


def build_parser(name: str, description: str) -> argparse.ArgumentParser:
    """The arguments of ``asr probe NAME``."""
    parser = argparse.ArgumentParser(prog=f"asr probe {name}", description=f"{description}.")
    {
        "gradients": _gradients,
        "recall": _recall,
        "context": _context,
        "time": _time,
        "directions": _directions,
        "gates": _heard,
        "family": _family,
    }[name](parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for figures and plots")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of plots (default: png)")
    if name not in ("family", "directions"):
        parser.add_argument("--threads", type=count, default=1, help="threads of torch (default: 1)")
    return parser


def _members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--members", nargs="+", metavar="NAME", help="such as rnn gru lstm-1 (default: all that fit)")


def _seeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", nargs="+", type=whole_number, metavar="N", help="one repetition for each")


def _gradients(parser: argparse.ArgumentParser) -> None:
    _members(parser)
    _seeds(parser)
    parser.add_argument("--hidden-size", type=count, default=128, help="units (default: 128)")
    parser.add_argument("--layers", type=count, default=1, help="layers (default: 1)")
    parser.add_argument("--distance", type=count, default=200, metavar="K", help="frames back (default: 200)")
    parser.add_argument("--input-scale", type=number, default=1.0, help="the inputs' standard deviation (default: 1)")
    parser.add_argument(
        "--model", action="append", default=[], type=Path, metavar="MODEL", dest="models",
        help="a trained model to look at instead, on --manifest; may be given several times",
    )  # fmt: skip
    parser.add_argument("--manifest", type=Path, help="with --model: recordings to hear")
    _some(parser)


def _recall(parser: argparse.ArgumentParser) -> None:
    _members(parser)
    _seeds(parser)
    parser.add_argument("--distances", nargs="+", type=count, metavar="N", help="frames of distraction")
    parser.add_argument("--steps", type=count, default=1000, help="of each training (default: 1000)")
    parser.add_argument("--parameters", type=count, default=5_000, help="weights of each member, about (default: 5000)")


def _heard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL",
        help="a model directory, such as runs/fsdd/model; several: trainings that differ in their seed",
    )  # fmt: skip
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="recordings with their text")
    _some(parser)


def _some(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--utterances", type=count, metavar="N", help="hear so many only, spread over the manifest")
    parser.add_argument(
        "--device", default="auto", help="of trained models: auto, cpu, cuda, cuda:1, ... (default: auto)"
    )


def _context(parser: argparse.ArgumentParser) -> None:
    _heard(parser)
    parser.add_argument(
        "--frames", nargs="+", type=count, metavar="N", help="log-mel frames of a piece, multiples of the subsampling"
    )


def _time(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", nargs="+", metavar="WORD", help="words of conf/model (default: all)")
    parser.add_argument("--lengths-s", nargs="+", type=seconds, metavar="S", help="seconds of audio")
    parser.add_argument("--batches", nargs="+", type=count, metavar="N", help="utterances at a time (default: 1 8)")
    parser.add_argument("--rounds", type=count, default=5, help="computations of each (default: 5)")
    parser.add_argument("--hidden-size", type=count, help="of every model, in place of its own")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")


def _trained(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipes", type=Path, metavar="RECIPES", help="a recipe folder, such as recipes/fsdd")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, metavar="DIR", help="the prepared manifests")
    data.add_argument("--corpus", type=Path, metavar="FOLDER", help="the corpus, prepared into DIR/data first")
    parser.add_argument(
        "--seeds", nargs="+", type=whole_number, default=[1, 2, 3], metavar="N", help="one training each (1 2 3)"
    )
    parser.add_argument("--jobs", type=count, default=1, help="trainings side by side, of one thread each (default: 1)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
        help="a word of the configuration for all trainings, such as training.epochs=10; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--parameters", type=count, metavar="N",
        help="weights of each recogniser, within 5 %%, by its hidden size (default: what the recipes say)",
    )  # fmt: skip


def _directions(parser: argparse.ArgumentParser) -> None:
    _trained(parser)
    parser.set_defaults(members=["lstm", "bilstm"], lengths_s=None)


def _family(parser: argparse.ArgumentParser) -> None:
    _trained(parser)
    parser.add_argument("--members", nargs="+", metavar="NAME", help="recipes of the folder (default: all)")
    parser.add_argument(
        "--lengths-s", nargs="+", type=seconds, default=[1.0, 10.0, 60.0], metavar="S",
        help="seconds of audio at which memory is measured (default: 1 10 60)",
    )  # fmt: skip
