"""Pronouncing dictionaries such as cmudict: what the words of a language sound like.

In: a file with lines ``WORD PHONE ...``, which gzip may have compressed. Out: per word its pronunciations, each its
phones with a space between. Comments (``;;;``, ``#``), cmudict's stress marks and the probabilities of Kaldi and MFA
are left out; cmudict's variants (``WORD(2)``) belong to the word.
"""

import gzip
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from asr.errors import ConfigError
from asr.files import atomic_path

Pronunciations = dict[str, tuple[str, ...]]  # strings alone: a list for each would be the garbage collector's work
STRESS = re.compile(r"[012](?<= [A-Z]{2}[012])(?!\S)")  # of cmudict's vowels
PROBABILITIES = re.compile(r"^(\S+)(?: \d+\.\d+)+(?= )", re.MULTILINE)  # between a word and its phones
VARIANT = re.compile(r"\(\d+\)$")  # cmudict's further pronunciations of a word


def read_pronunciations(path: Path, key: str) -> Pronunciations:
    """The pronunciations of each word, in lower case and NFC, in the file's order, equal ones once.

    Raises ConfigError, which names the setting ``key``, where the file cannot be read or has none.
    """
    found: Pronunciations = {}
    text = STRESS.sub("", _text(path, key).replace("\t", " "))
    while "  " in text:
        text = text.replace("  ", " ")
    if "." in text:
        text = PROBABILITIES.sub(r"\1", text)
    for line in text.splitlines():
        word, _, phones = line.partition(" #")[0].strip().partition(" ")
        if phones and not word.startswith((";;;", "#")):
            word = (VARIANT.sub("", word) if word[-1] == ")" else word).lower()
            others = found.get(word, ())
            if phones not in others:
                found[word] = (*others, phones)
    if not found:
        raise ConfigError(f"{key}={path}: no line is a word with its phones (WORD PHONE ...)")
    return found


def _text(path: Path, key: str) -> str:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        return unicodedata.normalize("NFC", content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{key}={path}: line {line} is not UTF-8; convert it, e.g. iconv -f latin1 -t utf-8"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{key}={path}: {getattr(error, 'strerror', None) or error}") from None


def write_pronunciations(path: Path, pronunciations: Mapping[str, Iterable[str]]) -> None:
    """Write the file that ``read_pronunciations`` reads, in the order of the words, compressed where it ends in .gz;
    equal ones have equal files.
    """
    lines = [f"{word} {one}\n" for word, several in sorted(pronunciations.items()) for one in several]
    content = "".join(lines).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def phones_of(pronunciations: Mapping[str, Iterable[str]]) -> set[str]:
    """All phones that they use."""
    return {phone for several in pronunciations.values() for one in several for phone in one.split()}
