"""Named, versioned normalisers: which spellings count as the same text.

In: a transcript as it was written. Out: the text that is compared. A report names the normaliser by its label
("basic v1") because a change of rules moves scores (open_asr_leaderboard#135): whoever changes what a normaliser does
raises its version. Every normaliser composes Unicode first, so that an accented letter equals a letter followed by its
accent (otherwise NFC against NFD is 100% WER), and every one is idempotent.

A file of replacements may follow a normaliser, in the style of NIST's GLM or in two columns. The label then names the
file and the beginning of its SHA-256 (``basic v1 + my.glm 3fa9c1``). Each line is one of

    ;; a comment                        * a header line of NIST's
    A => B                              the words A are replaced by B, in both texts
    [A] => [B] / [left] __ [right]      only between these words; an empty context is any
    A<tab>B                             two columns; also ``a b`` where the line has just two words

Both sides of a rule are normalised first, so that case and punctuation do not matter. An empty B, ``(B)`` (in NIST's
files a word that may be left out) or ``@`` removes the words. Of the rules that match at a place, the one with most
words is applied, then the first in the file. Alternatives ``{ B / C }`` are refused: a text has one compared form.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asr.errors import ConfigError, DataError
from asr.files import sha256_file
from asr.terminal import few_of_each_kind
from asr.text.basic import normalize_basic, normalize_letters, normalize_none
from asr.text.english import normalize_english

__all__ = ["NORMALIZERS", "Normalizer", "get_normalizer", "normalize_basic", "normalize_none"]


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A function from text to compared text, with the name and the version that reports print.

    ``addition`` names what follows it, such as a file of replacements.
    """

    name: str
    version: int
    function: Callable[[str], str]
    addition: str = ""

    def __call__(self, text: str) -> str:
        return self.function(text)

    @property
    def label(self) -> str:
        """What a report prints: ``basic v1``, ``basic v1 + my.glm 3fa9c1``."""
        return f"{self.name} v{self.version}{self.addition}"


NORMALIZERS: dict[str, Normalizer] = {
    "none": Normalizer("none", 1, normalize_none),
    "basic": Normalizer("basic", 1, normalize_basic),
    "english": Normalizer("english", 2, normalize_english),
    "letters": Normalizer("letters", 1, normalize_letters),
}
_LANGUAGE = re.compile("letters-[a-z]{2,3}")


def get_normalizer(name: str) -> Normalizer:
    """The normaliser of that name, which for "letters" may have a language ("letters-tr").

    Raises ConfigError naming the choices.
    """
    if _LANGUAGE.fullmatch(name):
        return Normalizer(name, 1, partial(normalize_letters, language=name.removeprefix("letters-")))
    if name not in NORMALIZERS:
        choices = ", ".join(NORMALIZERS)
        raise ConfigError(f"normalizer {name!r} is unknown; choose one of: {choices}, letters-LANGUAGE (letters-tr)")
    return NORMALIZERS[name]


_HASH_DIGITS = 6
_ROUNDS = 10
_RULE = re.compile(r"(?P<old>.*?)=>(?P<new>.*?)(?:\s/\s(?P<left>.*?)__(?P<right>.*))?")
_DROPPED = re.compile(r"\(.*\)|@|")


@dataclass(frozen=True, slots=True)
class _Rule:
    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()

    def matches(self, words: Sequence[str], at: int) -> bool:
        stop = at + len(self.old)
        before = tuple(words[max(at - len(self.left), 0) : at])
        behind = tuple(words[stop : stop + len(self.right)])
        return tuple(words[at:stop]) == self.old and before == self.left and behind == self.right


def with_replacements(normalizer: Normalizer, path: Path) -> Normalizer:
    """The normaliser followed by the rules of the file.

    Raises DataError listing every line that is not a rule, or whose replacement another rule would replace again.
    """
    rules = _read_rules(path, normalizer)
    addition = f" + {path.name} {sha256_file(path)[:_HASH_DIGITS]}"
    by_first: dict[str, list[_Rule]] = {}
    for rule in sorted(rules, key=lambda rule: (-len(rule.old), rule.line)):
        by_first.setdefault(rule.old[0], []).append(rule)

    def replace(text: str) -> str:
        words = normalizer(text).split()
        for _ in range(_ROUNDS):  # one, unless a replacement and its neighbour match another rule
            replaced = _replace(words, by_first)
            if replaced == words:
                break
            words = replaced
        return " ".join(words)

    return Normalizer(normalizer.name, normalizer.version, replace, normalizer.addition + addition)


def _read_rules(path: Path, normalizer: Callable[[str], str]) -> list[_Rule]:
    """The rules of a file, their words normalised."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 (byte {error.start})") from None
    rules, problems = [], []
    for number, line in enumerate(lines, start=1):
        text = line.split(";;")[0].rstrip()
        if not text.strip() or text.lstrip().startswith("*"):
            continue
        try:
            rules.append(_parse(number, text, normalizer))
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    problems += [f"{path}:{number}: {message}" for number, message in _replaced_again(rules)]
    if problems:
        raise DataError("\n  ".join(["the replacements cannot be read:", *few_of_each_kind(problems)]))
    if not rules:
        raise DataError(f"{path}: contains no rules; write one per line, such as: colour => color")
    return rules


def _parse(number: int, text: str, normalizer: Callable[[str], str]) -> _Rule:
    """Raises ValueError with what is wrong, as text that completes "file:line: …"."""
    old, new, left, right = _sides(text)
    if "{" in new or "{" in old:
        raise ValueError("gives alternatives ({ … / … }); write the one form that counts")
    words = tuple(normalizer(old).split())
    if not words:
        raise ValueError(f"replaces nothing: once normalised, {old.strip()!r} is empty")
    replacement = () if _DROPPED.fullmatch(new.strip()) else tuple(normalizer(new).split())
    return _Rule(number, words, replacement, *(tuple(normalizer(side).split()) for side in (left, right)))


def _sides(text: str) -> tuple[str, str, str, str]:
    found = _RULE.fullmatch(text)
    if found is not None:
        sides = found.group("old", "new", "left", "right")
        old, new, left, right = (_without_brackets(side or "") for side in sides)
        return old, new, left, right
    if "=>" in text:
        raise ValueError("is not a rule: write OLD => NEW, or OLD => NEW / [left] __ [right]")
    columns = text.split("\t") if "\t" in text.strip() else text.split()
    if len(columns) != 2:
        raise ValueError("is not a rule: write OLD => NEW, or two columns separated by a tab")
    return columns[0], columns[1], "", ""


def _without_brackets(side: str) -> str:
    side = side.strip()
    return side[1:-1].strip() if side.startswith("[") and side.endswith("]") else side


def _replaced_again(rules: Sequence[_Rule]) -> list[tuple[int, str]]:
    """Rules whose replacement another rule would replace: normalising twice would change the text again."""
    problems: list[tuple[int, str]] = []
    for rule in rules:
        inside = [other for other in rules if rule.new != rule.old and _contains(rule.new, other.old)]
        if inside:
            shown = " ".join(inside[0].old)
            problems.append(
                (rule.line, f"inserts {shown!r}, which line {inside[0].line} replaces: write the final form")
            )
    return problems


def _contains(words: Sequence[str], part: Sequence[str]) -> bool:
    return any(words[at : at + len(part)] == part for at in range(len(words) - len(part) + 1))


def _replace(words: Sequence[str], by_first: dict[str, list[_Rule]]) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(words):
        rule = next((rule for rule in by_first.get(words[at], []) if rule.matches(words, at)), None)
        if rule is None:
            out.append(words[at])
            at += 1
        else:
            out += rule.new
            at += len(rule.old)
    return out
