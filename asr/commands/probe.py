"""``asr probe EXPERIMENT ... --out DIR``: claims about the LSTM as experiments, each a plot and a JSON of its figures.

In: an experiment's name and its words. Out: ``DIR/EXPERIMENT.json`` and a plot beside it; each experiment is a module
of its own (asr/probes/), its words are in ``_probe_options.py``.
"""

import sys

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
    from asr.commands import _probe_family, _probe_options, _probe_work

    options = _probe_options.parse(name, EXPERIMENTS[name], arguments[1:])
    if name in ("family", "directions"):
        return _probe_family.run(name, options, ["probe", *arguments])
    return _probe_work.run(name, options, ["probe", *arguments])


def _help() -> str:
    width = max(map(len, EXPERIMENTS))
    lines = "\n".join(f"  {styled(name.ljust(width), 'bold')}  {line}" for name, line in EXPERIMENTS.items())
    return f"usage: asr probe EXPERIMENT ... --out DIR\n\nThe LSTM's claims, measured.\n\n{lines}\n\n{_EXAMPLES}"
