"""`asr lm build TEXT... --out FILE`: a language model from texts.

In: text files, zipped ones, manifests, folders of them. Out: the model, as ARPA or binary by its name, and a short
account of it on stdout.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands._lm_texts import add_text_options, read_words, sentences_of, text_options
from asr.terminal import table

if TYPE_CHECKING:
    from asr.lm.build import BuiltModel

_EPILOG = """\
The model is an interpolated modified Kneser-Ney model (Chen and Goodman 1998), as KenLM's lmplz makes it. Words outside
the vocabulary are counted as <unk>. 10 million words and order 4 take 1.2 GB of memory and a minute or two on one core.

examples:
  asr lm build books/ train.jsonl --out lm.bin                       a 4-gram of everything
  asr lm build books/ --order 3 --prune 0 0 1 --out lm.arpa.gz       without trigrams that were seen once
  asr lm build train.jsonl --unit character --order 8 --out lm.bin   a character model
  asr lm build books/ --split-hyphens --replace mr=mister --replace mrs=missus --out lm.bin
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm build`."""
    parser = argparse.ArgumentParser(
        prog="asr lm build",
        description="Build an n-gram language model from texts, one sentence or paragraph a line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "texts", type=Path, nargs="+", metavar="TEXT", help="text files, .gz of them, .jsonl manifests, or folders"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="where: .arpa, .arpa.gz, else binary (loads at once)"
    )
    parser.add_argument("--order", type=int, default=4, metavar="N", help="words in the longest n-grams (default: 4)")
    parser.add_argument("--unit", choices=("word", "character"), default="word", help="what is counted (default: word)")
    group = parser.add_argument_group("what is left out")
    group.add_argument("--vocab-size", type=int, metavar="N", help="keep the N most frequent words (default: all)")
    group.add_argument("--min-count", type=int, default=1, metavar="N", help="keep words seen N times (default: 1)")
    group.add_argument("--limit-words", type=Path, metavar="FILE", help="know exactly the words in this file")
    group.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="drop n-grams seen N times or less, a number an order, the last for all higher ones (e.g. 0 0 1)",
    )
    group.add_argument(
        "--prune-entropy",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="drop n-grams whose loss raises perplexity by less than this share (e.g. 1e-8; default: 0, drop none)",
    )
    add_text_options(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Build, write, and describe the model; returns 0."""
    options = build_parser().parse_args(arguments)
    from asr.lm.build import BuildOptions, build_lm
    from asr.lm.files import write_lm

    build = BuildOptions(
        order=options.order,
        unit=options.unit,
        cutoffs=tuple(options.prune),
        prune_entropy=options.prune_entropy,
        limit=None if options.limit_words is None else read_words(options.limit_words),
        vocab_size=options.vocab_size,
        min_count=options.min_count,
    )
    texts = text_options(options, options.unit)
    built = build_lm(sentences_of(options.texts, texts, "reading"), build)
    write_lm(options.out, built.trie)
    _describe(built, options.out)
    return 0


def _describe(built: "BuiltModel", out: Path) -> None:
    words = built.tokens - built.sentences
    print(f"{words:,} {built.trie.unit}s in {built.sentences:,} sentences; {built.unknown:,} outside the vocabulary")
    rows = []
    for order, (counted, discounts) in enumerate(zip(built.counted, built.discounts, strict=True), start=1):
        kept = built.trie.counts[order - 1] if order <= len(built.trie.counts) else 0
        shown = ", ".join(f"{value:.3f}" for value in discounts.values)
        rows.append((order, f"{counted:,}", f"{kept:,}", shown, discounts.source))
    print(table(rows, ("order", "n-grams in text", "in model", "discounts (1, 2, 3+)", "estimated as")))
    print(f"Written to {out} ({out.stat().st_size / 1e6:,.1f} MB)")
