"""What the sub-verbs of `asr lm` that read texts share: their options, and sentences with a line of progress.

In: parsed arguments. Out: `TextOptions`, and the sentences of all texts one after another.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import DataError, UsageError
from asr.terminal import Progress
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    from asr.lm.text import TextOptions


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """The options that say how a line of text becomes sentences."""
    group = parser.add_argument_group("how the texts are read")
    group.add_argument(
        "--normalizer", choices=NORMALIZERS, default="basic", help="what counts as the same text (default: basic)"
    )
    group.add_argument(
        "--split-sentences",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="cut lines at . ! ? before a capital letter (default: on; text without punctuation stays as it is)",
    )
    group.add_argument("--split-hyphens", action="store_true", help='make "well-known" two words, as LibriSpeech does')
    group.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="WORD=TEXT",
        help="write TEXT where WORD stands after normalising, e.g. mr=mister; may be given several times",
    )


def text_options(options: argparse.Namespace, unit: str) -> "TextOptions":
    """The `TextOptions` that the arguments ask for; raises UsageError on a --replace without `=`."""
    from asr.lm.text import TextOptions

    normalize = get_normalizer(options.normalizer)
    replacements: dict[str, str] = {}
    for pair in options.replace:
        word, sign, text = pair.partition("=")
        if not sign or not normalize(word):
            raise UsageError(f"--replace {pair}: wants WORD=TEXT, such as mr=mister")
        replacements[normalize(word)] = normalize(text)
    return TextOptions(
        normalizer=options.normalizer,
        split_sentences=options.split_sentences,
        split_hyphens=options.split_hyphens,
        replacements=replacements,
        unit=unit,
    )


def sentences_of(paths: Sequence[Path], options: "TextOptions", label: str) -> Iterator[list[str]]:
    """All sentences of all files and folders; progress goes to stderr, a step a file, sized by its bytes."""
    from asr.lm.text import find_texts, read_sentences

    files = find_texts(paths)
    with Progress(sum(file.stat().st_size for file in files) / 1e6, label, "MB") as progress:
        for file in files:
            yield from read_sentences(file, options)
            progress.update(file.stat().st_size / 1e6)


def read_words(path: Path) -> list[str]:
    """The words of a list, white space between them; raises DataError where there are none."""
    try:
        words = path.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8") from None
    if not words:
        raise DataError(f"{path}: holds no words")
    return words
