"""Pronouncing dictionaries such as cmudict: what the words of a language sound like.

In: a file with lines ``WORD PHONE ...``. Out: per word its pronunciations, each a row of phones. Comments (``;;;``,
``#``) and cmudict's stress marks are left out; its variants (``WORD(2)``) belong to the word.
"""

import re
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
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"{key}={path}: {error.strerror}") from None
    found: Pronunciations = {}
    for line in lines:
        word, *phones = line.partition(" #")[0].split() or [""]
        if phones and not word.startswith((";;;", "#")):
            sounds = found.setdefault(VARIANT.sub("", word).lower(), [])
            one = tuple(STRESS.sub("", phone) for phone in phones)
            if one not in sounds:
                sounds.append(one)
    if not found:
        raise ConfigError(f"{key}={path}: no line is a word with its phones (WORD PHONE ...)")
    return found


def write_pronunciations(path: Path, pronunciations: Pronunciations) -> None:
    """The file that ``read_pronunciations`` reads, in the order of the words."""
    lines = [f"{word} {' '.join(one)}\n" for word, sounds in sorted(pronunciations.items()) for one in sounds]
    path.write_text("".join(lines), encoding="utf-8")
