"""`asr lm mix LM LM... --out FILE`: interpolate language models into one.

In: models, and weights or a text to fit them to. Out: one model, and the weights on stdout.
"""

import argparse
from pathlib import Path

from asr.commands._lm_texts import add_text_options, sentences_of, text_options
from asr.errors import UsageError

_EPILOG = """\
A small text of the task says how it speaks, a large one how the language does: build a model of each and mix them with
weights fitted to the development set (never to the test set).

example:
  asr lm build train.jsonl --out small.bin
  asr lm build books/ --out large.bin
  asr lm mix small.bin large.bin --dev dev.jsonl --out lm.bin
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm mix`."""
    parser = argparse.ArgumentParser(
        prog="asr lm mix",
        description="Interpolate language models linearly into one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="LM", help="two or more models of any format")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where: .arpa, .arpa.gz, else binary")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--weights", type=float, nargs="+", metavar="W", help="a weight a model; scaled to sum to 1")
    group.add_argument("--dev", type=Path, nargs="+", metavar="TEXT", help="fit the weights to these texts")
    add_text_options(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Mix, write, and print the weights; returns 0."""
    options = build_parser().parse_args(arguments)
    if len(options.models) < 2:
        raise UsageError("asr lm mix wants two or more models")
    if options.weights is not None:
        _check_weights(options.weights, len(options.models))
    from asr.lm.files import read_trie, write_lm
    from asr.lm.mix import fit_weights, mix

    tries = [read_trie(path) for path in options.models]
    if options.weights is not None:
        weights = [weight / sum(options.weights) for weight in options.weights]
    else:
        texts = text_options(options, tries[0].unit)
        weights = fit_weights(tries, sentences_of(options.dev, texts, "reading"))
    mixed = mix(tries, weights)
    write_lm(options.out, mixed)
    for path, weight in zip(options.models, weights, strict=True):
        print(f"{weight:.4f}  {path}")
    counts = ", ".join(f"{count:,}" for count in mixed.counts)
    print(f"Written to {options.out} ({counts} n-grams, {options.out.stat().st_size / 1e6:,.1f} MB)")
    return 0


def _check_weights(weights: list[float], models: int) -> None:
    if len(weights) != models:
        raise UsageError(f"--weights has {len(weights)} number(s) for {models} models; give one a model")
    if not all(0 < weight < float("inf") for weight in weights):
        raise UsageError(f"--weights must all be above 0, not {' '.join(map(str, weights))}")
