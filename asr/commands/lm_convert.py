"""`asr lm convert LM OUT`: the same model in another format.

In: a model of any format. Out: the same as ARPA, zipped ARPA or binary, by the name of the file.
"""

import argparse
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm convert`."""
    parser = argparse.ArgumentParser(
        prog="asr lm convert",
        description="Write a language model in another format; binary loads at once, ARPA is read by every other tool.",
    )
    parser.add_argument("model", type=Path, metavar="LM", help="a language model: .arpa, .arpa.gz or binary")
    parser.add_argument("out", type=Path, metavar="OUT", help="where: .arpa, .arpa.gz, else binary")
    return parser


def run(arguments: list[str]) -> int:
    """Read and write; returns 0."""
    options = build_parser().parse_args(arguments)
    from asr.lm.files import read_trie, write_lm

    write_lm(options.out, read_trie(options.model))
    print(f"Written to {options.out} ({options.out.stat().st_size / 1e6:,.1f} MB)")
    return 0
