"""Texts in, normalised sentences out: what a language model is counted from and measured on.

In: text files, .gz of them, manifests (.jsonl with "text") and folders of all these. Out: sentences, one at a time.
Prose comes a paragraph a line and is split at sentence ends, because a decoder sees utterances: a model should know how
they begin and end.
"""

import codecs
import gzip
import json
import os
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from asr.errors import DataError
from asr.lm.model import SPACE, UNITS
from asr.text.normalize import get_normalizer

_SUFFIXES = (".txt", ".txt.gz", ".text", ".text.gz", ".jsonl", ".jsonl.gz")
_GZIP = b"\x1f\x8b"
_LONGEST_LINE = 1 << 24  # bytes; zipped zeros must not take the memory

# An end of sentence: marks, closing quotes and brackets, white space, and what opens the next. What looks behind keeps
# a line of one long word, as in Chinese, or of dots from taking the square of its length.
_END = re.compile(
    r"(?P<word>(?<![\w'’])[\w'’]*)(?P<mark>(?<![.!?…])[.!?…]++)[\"'”’»)\]_*]*"
    r"(?P<gap>\s+)(?=[\"'“‘«(\[_*—–-]*(?P<next>\w))"
)
_ABBREVIATIONS = {
    "mr", "mrs", "ms", "messrs", "mme", "mlle", "dr", "st", "rev", "hon", "capt", "col", "gen", "lt", "maj", "sgt",
    "prof", "esq", "jr", "sr", "no", "vol", "chap", "fig", "cf", "viz", "vs", "etc",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How a line of text becomes sentences.

    Args:
        normalizer: a name of asr/text/normalize.py.
        split_sentences: split a line at its sentence ends; does nothing to text without punctuation.
        split_hyphens: make "well-known" two words, as LibriSpeech's transcripts write it.
        replacements: normalised word to the words that replace it, such as mr to mister.
        unit: "word", or "character" to count characters, with "<space>" for " ".
    """

    normalizer: str = "letters"
    split_sentences: bool = True
    split_hyphens: bool = False
    replacements: Mapping[str, str] = field(default_factory=dict)
    unit: str = "word"

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(UNITS)}, not {self.unit!r}")


def find_texts(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files that are meant: folders are searched for .txt, .txt.gz, .jsonl and the like, in alphabetical order;
    hidden files, such as the index of `asr transcribe`, are not among them.

    Raises:
        DataError: a path does not exist, or a folder holds no text.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if _is_text(p.relative_to(path)) and p.is_file())
            if not inside:
                raise DataError(f"{path}: no texts in this folder ({', '.join(_SUFFIXES)})")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such text file or folder")
    return found


def _is_text(inside: Path) -> bool:
    return inside.name.endswith(_SUFFIXES) and not any(part.startswith(".") for part in inside.parts)


def read_sentences(path: Path, options: TextOptions) -> Iterator[list[str]]:
    """The sentences of one file, each as its words (or characters); none is empty.

    Raises:
        DataError: a line is not UTF-8, or not a JSON object with "text" in a manifest; names file and line.
    """
    normalize = get_normalizer(options.normalizer)
    for line in _texts(path):
        for sentence in split_sentences(line) if options.split_sentences else (line,):
            text = normalize(sentence)
            if options.split_hyphens:
                text = " ".join(text.replace("-", " ").split())
            if options.replacements:
                text = " ".join(filter(None, (options.replacements.get(word, word) for word in text.split(" "))))
            if text:
                yield spell(text, options.unit)


def read_word_list(path: Path) -> list[str]:
    """The words of a file, white space between them, in NFC.

    Raises:
        DataError: the file is not UTF-8 or holds no words.
    """
    try:
        words = unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig")).split()
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8") from None
    if not words:
        raise DataError(f"{path}: holds no words")
    return words


def spell(text: str, unit: str) -> list[str]:
    """The words of a normalised text, or its characters with "<space>" for " "."""
    if unit == "word":
        return text.split(" ")
    return [SPACE if character == " " else character for character in text]


def split_sentences(paragraph: str) -> list[str]:
    """Cut after . ! ? … where a capital, a digit or an opening quote follows; not after Mr. and single initials."""
    sentences: list[str] = []
    start = 0
    for match in _END.finditer(paragraph):
        if _ends_sentence(match):
            sentences.append(paragraph[start : match.start("gap")])
            start = match.end("gap")
    sentences.append(paragraph[start:])
    return sentences


def _ends_sentence(match: re.Match[str]) -> bool:
    following = match["next"]
    if following.islower():
        return False
    if match["mark"] != ".":
        return True
    word = match["word"]
    is_initial = len(word) == 1 and word.isupper() and word != "I"
    return not is_initial and word.lower() not in _ABBREVIATIONS


def _texts(path: Path) -> Iterator[str]:
    is_manifest = path.name.removesuffix(".gz").endswith(".jsonl")
    for number, line in enumerate(_lines(path), start=1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}:{number}: is not UTF-8 (byte {line[error.start]:#04x})") from None
        yield _text_field(path, number, text) if is_manifest else text


def _lines(path: Path) -> Iterable[bytes]:
    try:
        with path.open("rb") as stream:
            zipped = stream.read(2) == _GZIP
            stream.seek(0)
            content: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=stream) if zipped else stream
            while line := content.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise DataError(f"{path}: a line has {_LONGEST_LINE:,} bytes and more; write a sentence a line")
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: its compression is damaged ({error})") from None


def _text_field(path: Path, number: int, line: str) -> str:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:{number}: is not JSON ({error})") from None
    text = fields.get("text") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        raise DataError(f'{path}:{number}: is no object with a "text"')
    return text
