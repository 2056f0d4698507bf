"""`asr lm perplexity LM TEXT...`: how well a model predicts texts.

In: a model of any format and texts. Out: perplexity with and without unknown words and the rate of these, on stdout.
"""

import argparse
from pathlib import Path

from asr.commands._lm_texts import add_text_options, sentences_of, text_options
from asr.errors import DataError
from asr.terminal import table


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm perplexity`."""
    parser = argparse.ArgumentParser(
        prog="asr lm perplexity",
        description="Report a language model's perplexity on texts, as KenLM's `query` does: each sentence's end "
        "counts, and an unknown word counts as <unk>.",
        epilog="Read the texts as those of the model were read: give the same --normalizer and other options.",
    )
    parser.add_argument("model", type=Path, metavar="LM", help="a language model: .arpa, .arpa.gz or binary")
    parser.add_argument(
        "texts", type=Path, nargs="+", metavar="TEXT", help="text files, .gz of them, .jsonl manifests, or folders"
    )
    add_text_options(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Measure and print; returns 0."""
    options = build_parser().parse_args(arguments)
    from asr.lm.files import read_lm
    from asr.lm.query import measure

    model = read_lm(options.model)
    texts = text_options(options, model.unit)
    result = measure(model, sentences_of(options.texts, texts, "reading"))
    if not result.tokens:
        raise DataError(f"{', '.join(map(str, options.texts))}: no words to measure on")
    rows = [
        ("perplexity, unknown words included", f"{result.including_unknown:,.4f}"),
        ("perplexity of the known words", f"{result.excluding_unknown:,.4f}"),
        (f"unknown {model.unit}s", f"{result.unknown:,} ({result.unknown_rate:.2%})"),
        (f"{model.unit}s", f"{result.tokens - result.sentences:,}"),
        ("sentences", f"{result.sentences:,}"),
    ]
    print(table(rows))
    return 0
