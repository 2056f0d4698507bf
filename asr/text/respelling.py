"""Replacements in transcripts: letters, marks and phrases written in one way before anything is made of the text.

In: a mapping, or a file with a rule on each line, ``OLD => NEW`` or two columns separated by a tab. Out:
``Respelling``, a function of a text. Rules act on the text as it was written, before a normaliser takes out its
punctuation:

    ʼ => ʔ            a letter, also inside a word; its capital forms, too, where OLD has no capital of its own
    n~ => ñ           of the rules that match at a place, the longest OLD is taken
    U+0301 =>         characters by number; nothing after => removes OLD. A combining mark alone: wherever it stands
    [laughter] =>     any phrase
    ;; a comment

A letter is not found where a combining mark follows: ``e => ɛ`` leaves é alone. Text and rules are composed (NFC)
first, but a rule for marks alone finds them inside composed letters: U+0301 takes the acute accent off á.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import ConfigError, DataError
from asr.text.normalize import Normalizer
from asr.text.tokenizer import is_mark

_CODE = re.compile(r"U\+([0-9A-Fa-f]{4,6})")
_DIACRITIC = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"  # marks of any script
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Respelling:
    """``rules``: OLD to NEW, in NFC, capital forms included; ``label`` names them in summaries and reports.

    Idempotent: a text that it has changed stays as it is.
    """

    rules: Mapping[str, str]
    label: str

    def __call__(self, text: str, found: Counter[str] | None = None) -> str:
        """The text with every rule applied; ``found`` counts the OLDs."""
        letters = {old: new for old, new in self.rules.items() if not _is_marks(old)}
        marks = {old: new for old, new in self.rules.items() if _is_marks(old)}
        for _ in range(_ROUNDS):  # one, unless a replacement and its neighbour match another rule
            before = text = unicodedata.normalize("NFC", text)
            text = _replaced(text, letters, f"(?!{_DIACRITIC})", found)
            if marks:
                text = unicodedata.normalize("NFC", _replaced(unicodedata.normalize("NFD", text), marks, "", found))
            if text == before:
                break
        return text

    def describe(self, found: Counter[str]) -> str:
        """One line: the label, how often each rule was applied, and the rules that never were."""
        counts = Counter({old.lower(): 0 for old in self.rules})
        for old, count in found.items():
            counts[old.lower()] += count
        final = {old.lower(): new for old, new in self.rules.items()} | dict(self.rules)
        applied = [f"{_shown(old)} → {_shown(final[old])} ({count:,})" for old, count in counts.most_common() if count]
        unused = [_shown(old) for old, count in counts.items() if not count]
        never = f"; not found: {', '.join(unused)}" if unused else ""
        return f"Replacements ({self.label}): {', '.join(applied) or 'none'}{never}."


def respelled(normalizer: Normalizer, table: Respelling) -> Normalizer:
    """The normaliser of texts that ``table`` has respelled."""

    def normalize(text: str) -> str:
        return normalizer(table(text))

    return Normalizer(normalizer.name, normalizer.version, normalize, f"{normalizer.addition} + {table.label}")


def read_respelling(source: Any) -> Respelling:
    """The rules of a mapping, or of the file that a text or path names.

    Raises ConfigError or DataError listing every rule that is none, or whose NEW another rule would replace again.
    """
    if isinstance(source, Mapping):
        pairs = [(f"replacements: {old!r}", str(old), "" if new is None else str(new)) for old, new in source.items()]
        label = f"{len(pairs)} of the configuration"
        return Respelling(_checked(pairs, "replacements"), label)
    if not isinstance(source, str | Path) or not str(source):
        raise ConfigError(f"replacements={source!r} must be a file, or a mapping such as {{ω: ɔ}}")
    path = Path(source)
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"replacements: {path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"replacements: {path}: is not UTF-8 (byte {error.start})") from None
    pairs = []
    for number, line in enumerate(lines, start=1):
        rule = line.split(";;")[0].strip(" \r")
        if rule.strip():
            old, sign, new = rule.partition("=>" if "=>" in rule else "\t")
            pairs.append((f"{path}:{number}", old if sign else "", new))
    return Respelling(_checked(pairs, str(path)), f"{path.name} {hashlib.sha256(content).hexdigest()[:6]}")


def _checked(pairs: Iterable[tuple[str, str, str]], where: str) -> dict[str, str]:
    """The rules, each named by where it stands; with their capital forms."""
    rules: dict[str, str] = {}
    problems = []
    for place, *sides in pairs:
        old, new = (unicodedata.normalize("NFC", _CODE.sub(_character, side).strip()) for side in sides)
        if not old:
            problems.append(f"{place}: is no rule; write OLD => NEW, or two columns separated by a tab")
        elif rules.setdefault(old, new) != new:
            problems.append(f"{place}: {_shown(old)} has two replacements")
    respelled = Respelling(_with_capitals(rules), "")
    for old, new in rules.items():
        if respelled(new) != new and old != new:
            problems.append(
                f"{where}: {_shown(old)} => {_shown(new)}: another rule replaces that; write the final form"
            )
    if problems:
        raise DataError("\n  ".join(["the replacements cannot be used:", *problems]))
    if not rules:
        raise DataError(f"{where}: contains no replacements; write one per line, such as: ω => ɔ")
    return dict(respelled.rules)


def _with_capitals(rules: Mapping[str, str]) -> dict[str, str]:
    forms = dict(rules)
    for old, new in rules.items():
        for capital, changed in ((old.capitalize(), new.capitalize()), (old.upper(), new.upper())):
            if capital != old and capital.lower() == old:  # not where OLD has capitals, or loses letters (ß: SS)
                forms.setdefault(capital, changed)
    return forms


def _replaced(text: str, rules: Mapping[str, str], behind: str, found: Counter[str] | None) -> str:
    if not rules:
        return text
    pattern = "|".join(map(re.escape, sorted(rules, key=len, reverse=True)))

    def replace(match: re.Match[str]) -> str:
        if found is not None:
            found[match[0]] += 1
        return rules[match[0]]

    return re.sub(f"(?:{pattern}){behind}", replace, text)


def _is_marks(old: str) -> bool:
    return all(map(is_mark, old))


def _character(code: re.Match[str]) -> str:
    number = int(code[1], 16)
    return chr(number) if number <= 0x10FFFF else code[0]


def _shown(text: str) -> str:
    """The text, its combining marks by number where none of its letters carries them."""
    return " ".join(f"U+{ord(one):04X}" for one in text) if text and _is_marks(text) else text or "nothing"
