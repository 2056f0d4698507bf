"""``asr prepare RECIPE_DIR [CORPUS] OUT [--download] [key=value ...]``: corpus folder in, manifests out."""

import argparse
import re
from pathlib import Path

from asr.commands.parser import Parser
from asr.config.recipes import resolve_recipe
from asr.errors import UsageError


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr prepare``."""
    parser = Parser(
        prog="asr prepare",
        usage="asr prepare RECIPE_DIR [CORPUS] OUT [--download] [key=value ...]",
        description="Turn a corpus into train.jsonl, dev.jsonl and test.jsonl with the recipe's prepare.py.",
        epilog="Example: asr prepare recipes/librispeech ~/corpora/LibriSpeech data/mini subset=mini",
    )
    parser.add_argument("recipe", metavar="RECIPE_DIR", help="folder of the recipe, e.g. recipes/fsdd")
    parser.add_argument(
        "words",
        nargs="*",  # none: the message below
        metavar="CORPUS OUT key=value",
        help="the corpus folder (recipes/digits needs none), the folder for the manifests, options of the recipe;"
        " faulty=drop leaves out recordings that cannot be read, replacements=FILE writes letters otherwise,"
        " shards=FOLDER (or s3://...) puts the recordings into tar archives",
    )
    parser.add_argument(
        "--download", action="store_true", help="first download the corpus into CORPUS, if it is not there"
    )
    return parser


def run(arguments: list[str]) -> int:
    """Prepare the corpus and print its summary; returns 0."""
    parsed = build_parser().parse_intermixed_args(arguments)
    folders, options = _sort_words(parsed.words)
    if len(folders) not in (1, 2):
        raise UsageError(
            f"asr prepare needs [CORPUS] OUT after the recipe, but got {len(folders)} folder(s): "
            f"{' '.join(folders) or 'none'}. Example: asr prepare recipes/fsdd CORPUS_FOLDER data/fsdd"
        )
    from asr.data.prepare import run_prepare  # late: numpy and soundfile stay off the path of --help

    corpus = Path(folders[0]) if len(folders) == 2 else None
    out = Path(folders[-1])
    found = resolve_recipe(parsed.recipe)
    recipe = found if found.is_dir() else found.parent  # fsdd/bilstm.yaml means its folder
    print(run_prepare(recipe, corpus, out, options, download=parsed.download))
    print(f"Written to {out}")
    return 0


def _sort_words(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Folders and options; ``name=value`` is an option (write ``./name=value`` for a folder of that name)."""
    folders: list[str] = []
    options: dict[str, str] = {}
    for word in words:
        match = re.match(r"([A-Za-z_]\w*)=(.*)", word, re.DOTALL)
        if match is None:
            folders.append(word)
        elif match[1] in options:
            raise UsageError(f"Option {match[1]} is given twice: {options[match[1]]!r} and {match[2]!r}.")
        else:
            options[match[1]] = match[2]
    return folders, options
