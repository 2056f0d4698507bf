"""`asr lm info LM`: what is in a language model.

In: a model of any format. Out: order, unit, words, n-grams of each order and states, on stdout.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.terminal import table

if TYPE_CHECKING:
    from asr.lm.model import NgramModel


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm info`."""
    parser = argparse.ArgumentParser(prog="asr lm info", description="Say what is in a language model.")
    parser.add_argument("model", type=Path, metavar="LM", help="a language model: .arpa, .arpa.gz or binary")
    return parser


def run(arguments: list[str]) -> int:
    """Print the facts; returns 0."""
    options = build_parser().parse_args(arguments)
    from asr.lm.files import read_lm
    from asr.lm.trie import ngram_counts

    model = read_lm(options.model)
    rows = [
        ("order", model.order),
        ("unit", model.unit),
        ("vocabulary", f"{len(model.words):,} with <unk>, <s> and </s>"),
        *((f"{order}-grams", f"{count:,}") for order, count in enumerate(ngram_counts(model), start=1)),
        ("states", f"{len(model.backoff_state):,}"),
        ("in memory", f"{memory_bytes(model) / 1e6:,.1f} MB"),
    ]
    print(table([(name, str(value)) for name, value in rows]))
    return 0


def memory_bytes(model: "NgramModel") -> int:
    """Bytes of the model's arrays."""
    arrays = (
        model.arc_start, model.arc_word, model.arc_log_prob, model.arc_next,
        model.backoff_log_weight, model.backoff_state,
    )  # fmt: skip
    return sum(array.nbytes for array in arrays)
