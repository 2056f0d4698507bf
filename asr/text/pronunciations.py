"""Pronouncing dictionaries such as cmudict: what the words of a language sound like.

In: a file with lines ``WORD PHONE ...``, which gzip may have compressed. Out: per word its pronunciations, each a row
of phones. Comments (``;;;``, ``#``) and cmudict's stress marks are left out; its variants (``WORD(2)``) belong to the
word.
"""

import functools
import gzip
import re
import zlib
from pathlib import Path

from asr.errors import ConfigError

Pronunciations = dict[str, list[tuple[str, ...]]]
STRESS = re.compile(r"(?<=^[A-Z]{2})[012]$")  # of cmudict's vowels
VARIANT = re.compile(r"\(\d+\)$")  # cmudict's further pronunciations of a word


def read_pronunciations(path: Path, key: str) -> Pronunciations:
    """The pronunciations of each word, in lower case, in the file's order, equal ones once.

    Raises ConfigError, which names the setting ``key``, where the file cannot be read or has none.
    """
    try:
        content = path.read_bytes()
        lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{key}={path}: {getattr(error, 'strerror', None) or error}") from None
    found: Pronunciations = {}
    for line in lines.splitlines():
        word, *phones = line.partition(" #")[0].split() or [""]
        if phones and not word.startswith((";;;", "#")):
            one = tuple(map(_without_stress, phones))
            sounds = found.setdefault((VARIANT.sub("", word) if word[-1] == ")" else word).lower(), [])
            if one not in sounds:
                sounds.append(one)
    if not found:
        raise ConfigError(f"{key}={path}: no line is a word with its phones (WORD PHONE ...)")
    return found


def pronunciations_gz(pronunciations: Pronunciations) -> bytes:
    """The compressed file that ``read_pronunciations`` reads, in the order of the words; equal for equal ones."""
    lines = [f"{word} {' '.join(one)}\n" for word, sounds in sorted(pronunciations.items()) for one in sounds]
    return gzip.compress("".join(lines).encode(), mtime=0)


@functools.cache
def _without_stress(phone: str) -> str:
    return STRESS.sub("", phone)
