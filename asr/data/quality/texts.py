"""Checks of transcripts: empty ones, odd and rare characters, texts written unlike the rest, and texts that repeat.

In: utterances. Out: findings. What nearly all transcripts do is taken for the style of the corpus, and those that
differ are listed; where there is no such style, that is reported once.
"""

import functools
import itertools
import re
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from asr.data.alphabet import alphabet, list_uses
from asr.data.manifest import Utterance
from asr.data.quality.findings import Finding, manifest_finding, utterance_finding
from asr.terminal import shorten
from asr.text.normalize import normalize_basic
from asr.text.tokenizer import split_graphemes

_MOST = 0.95  # share of the transcripts that makes a style
_STYLE_NEEDS_UTTERANCES = 20
_REPEATS_BY_DESIGN = 0.25  # share of the utterances that have another's text: commands, digits, read prompts
LONG_WORDS = 4  # texts of fewer words repeat by chance
_NEAR = 0.9
_SHINGLE_WORDS = 5
_COMMON_SHINGLE = 10
_PLAIN_EXISTS = ("<font>", "<circle>", "<wide>", "<narrow>", "<super>", "<sub>", "<square>")  # Unicode's names
_APOSTROPHES = "'’ʼ´`＇"
_APOSTROPHE_IN_WORD = re.compile(f"(?<=\\w)[{_APOSTROPHES}](?=\\w)")
# Control, format, private and unassigned characters; U+FFFD is what a wrong decoding leaves behind.
_ODD_CATEGORIES = {"Cc", "Cf", "Co", "Cn", "Cs"}
_SPOKEN_FORMAT = {"\u200c", "\u200d"}  # joiners, which Persian and Indic scripts spell with
_PUNCTUATION = frozenset('.,;:!?"()…–—')
_BLOCK = 500  # utterances looked through at a time
_RARE_UTTERANCES = 3
_RARE_NEEDS_UTTERANCES = 200
_CHARACTERS_SHOWN = 30

_warning = partial(utterance_finding, "warning")


def text_findings(utterances: Sequence[Utterance], plain: Sequence[str] | None = None) -> Iterator[Finding]:
    """All findings about transcripts. ``plain``: what ``normalize_basic`` makes of each, where that is known."""
    plain = [normalize_basic(one.text) for one in utterances] if plain is None else plain
    return itertools.chain.from_iterable(check() for check in text_checks(utterances, plain))


def text_checks(utterances: Sequence[Utterance], plain: Sequence[str]) -> list[Callable[[], Iterator[Finding]]]:
    """The checks of ``text_findings``, each by itself."""
    return [
        partial(_character_findings, utterances, plain),
        partial(_style_findings, utterances),
        partial(_alphabet_findings, utterances),
        partial(_repeated_findings, utterances, plain),
    ]


def _character_findings(utterances: Sequence[Utterance], plain: Sequence[str]) -> Iterator[Finding]:
    """Warnings about single transcripts, then about the characters of them all."""
    for utterance, words in zip(utterances, plain, strict=True):
        text = utterance.text
        if not text.strip():
            yield _warning("empty text", utterance.id, "the transcript is empty")
        elif not words:
            yield _warning("no words", utterance.id, f"{text!r} holds no letter or digit; training refuses it")
        if not unicodedata.is_normalized("NFC", text):
            yield _warning("text not in NFC", utterance.id, "accents are separate from their letters; normalise to NFC")
        if utterance.id.split() != [utterance.id]:
            yield _warning("id with spaces", utterance.id, "Kaldi and trn files cannot contain it")
    texts = _Texts(utterances)
    for utterance in texts.holding(_is_odd):
        odd = sorted(filter(_is_odd, set(utterance.text)))
        yield _warning("odd characters", utterance.id, ", ".join(map(describe_character, odd[:5])))
    rare = texts.rare(_RARE_UTTERANCES) if len(utterances) >= _RARE_NEEDS_UTTERANCES else []
    if rare:
        shown = " ".join(map(describe_character, rare[:_CHARACTERS_SHOWN]))
        more = f" and {len(rare) - _CHARACTERS_SHOWN} more" if len(rare) > _CHARACTERS_SHOWN else ""
        yield manifest_finding(
            "warning", "rare characters", f"in fewer than {_RARE_UTTERANCES} utterances each: {shown}{more}"
        )


def _alphabet_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """What is suspicious in the characters of the texts, in lower case and NFC; rare ones are reported elsewhere."""
    uses = alphabet(utterances, lambda text: unicodedata.normalize("NFC", text.lower()))
    kind = "two alphabets in a word"
    foreign = (one for one in utterances if not one.text.isascii())
    mixed = [(one, word) for one in foreign if (word := next(filter(_is_mixed, one.text.split()), None))]
    few = len(utterances) < _STYLE_NEEDS_UTTERANCES or len(mixed) <= (1 - _MOST) * len(utterances)
    for utterance, word in mixed if few else ():
        message = f"{word!r} mixes {' and '.join(sorted(_scripts(word)))} letters, which may look alike"
        yield _warning(kind, utterance.id, message)
    if not few:  # it is the spelling of the language
        yield manifest_finding("note", kind, f"{len(mixed):,} transcripts, such as {mixed[0][1]!r}")
    named = {letter for _, word in mixed for letter in word.lower()} if few else set()
    if found := [use for use in uses if use.script and use.token not in named]:
        yield manifest_finding("note", "letters of another script", list_uses(found, lambda use: use.script))
    if found := [use for use in uses if use.one_speaker and not use.rare]:
        yield manifest_finding("note", "letters of one speaker", list_uses(found, lambda use: use.one_speaker))
    if found := [use for use in uses if use.lone_mark]:
        message = (
            f"{list_uses(found, lambda use: '')}: a token of its own after letters that Unicode has not with it, part"
            " of the token where it has; tokenizer.graphemes=true makes each letter with its marks one token"
        )
        yield manifest_finding("note", "marks apart from their letters", message)
    composed, apart = _written(utterances)
    if both := [one for one in composed if one in apart]:
        shown = ", ".join(f"{one} ({composed[one]:,} and {apart[one]:,})" for one in both[:_CHARACTERS_SHOWN])
        message = f"as one character and as letter and mark: {shown}; a normaliser makes them equal, others may not"
        yield manifest_finding("warning", "letters written in two ways", message)


def _written(utterances: Sequence[Utterance]) -> tuple[Counter[str], Counter[str]]:
    """Of each composed letter, how often it is written so, and how often as a letter and marks."""
    composed: Counter[str] = Counter()
    apart: Counter[str] = Counter()
    if all(unicodedata.is_normalized("NFC", one.text) for one in utterances):
        return composed, apart
    for utterance in utterances:
        for letter in split_graphemes(utterance.text):
            whole = unicodedata.normalize("NFC", letter)
            if len(whole) < len(letter):
                apart[whole] += 1
            elif unicodedata.normalize("NFD", letter) != letter:
                composed[letter] += 1
    return composed, apart


def _style_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """Transcripts written unlike the rest."""
    texts = _Texts(utterances)
    message = "holds digits; the other transcripts spell numbers out"
    yield from _unlike(texts, "digits among spelled words", str.isdigit, message)
    for name, other in (("lower", str.upper), ("upper", str.lower)):
        kind = "case unlike the rest"
        yield from _unlike(
            texts, kind, _not_in(other), f"is not all in {name} case, as the others are", report_many=False
        )
    kind, message = "punctuation unlike the rest", "has punctuation; the others have none"
    yield from _unlike(texts, kind, _PUNCTUATION.__contains__, message, report_many=False)
    marked = texts.holding(_APOSTROPHES.__contains__)
    marks = Counter(mark for utterance in marked for mark in _APOSTROPHE_IN_WORD.findall(utterance.text))
    if len(marks) > 1:
        shown = ", ".join(f"{mark} ({count:,})" for mark, count in marks.most_common())
        message = f"{shown}: the same words may be spelled in two ways (the normaliser `basic` unifies them)"
        yield manifest_finding("warning", "several apostrophes", message)
    for utterance in texts.holding(_is_compatibility):
        message = "ligatures, full-width or circled characters; NFKC replaces them"
        yield _warning("compatibility characters", utterance.id, message)


def _repeated_findings(utterances: Sequence[Utterance], plain: Sequence[str]) -> Iterator[Finding]:
    """Texts that occur twice, and long texts that nearly do."""
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance, text in zip(utterances, plain, strict=True):
        if text:
            groups[text].append(utterance)
    shared = sum(len(group) for group in groups.values() if len(group) > 1)
    if len(utterances) >= _STYLE_NEEDS_UTTERANCES and shared > _REPEATS_BY_DESIGN * len(utterances):
        message = f"{len(groups):,} different texts in {len(utterances):,} utterances: commands, digits or prompts read"
        message += " by many, assumed to be intended and not counted as errors"
        yield manifest_finding("note", "texts repeat", message)
        return
    for text, (first, *others) in groups.items():
        for other in others if others and len(text.split()) >= LONG_WORDS else ():
            yield _warning("same text twice", other.id, f"as {first.id}: {shorten(text)}")
    yield from _near(groups)


def _near(groups: dict[str, list[Utterance]]) -> Iterator[Finding]:
    """Pairs that share five words in a row and differ by less than a tenth of their characters; for information."""
    from rapidfuzz.fuzz import ratio

    texts = list(groups)
    lengths = np.array(list(map(len, texts)), np.int64)
    first, other = _sharing_words(texts)
    # The share of changed characters is at least that of the lengths' difference.
    alike = abs(lengths[first] - lengths[other]) <= (1 - _NEAR) * (lengths[first] + lengths[other])
    for one, two in zip(first[alike].tolist(), other[alike].tolist(), strict=True):
        if ratio(texts[one], texts[two]) > 100 * _NEAR:
            message = f"nearly as {groups[texts[one]][0].id}: {shorten(texts[two])}"
            where = groups[texts[two]][0].id
            yield Finding(severity="note", kind="nearly the same text twice", where=where, message=message)


def _sharing_words(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of texts with the same `_SHINGLE_WORDS` words in a row, which at most `_COMMON_SHINGLE` texts hold.

    Of each such row of words the first text with each of the others; each pair once, in the order of the rows. Rows are
    compared by hashes of 64 bits, which take 8 bytes where words would take 100.
    """
    words = array("q")
    ends = array("q")
    for text in texts:
        words.extend(map(hash, text.split()))
        ends.append(len(words))
    hashes, stops = np.array(words, np.int64).view(np.uint64), np.array(ends, np.int64)
    owners = np.repeat(np.arange(len(texts)), np.diff(stops, prepend=0))
    count = max(0, len(hashes) - _SHINGLE_WORDS + 1)
    rows = np.zeros(count, np.uint64)
    for place in range(_SHINGLE_WORDS):
        rows = rows * np.uint64(0x9E3779B97F4A7C15) + hashes[place : place + count]
    whole = np.flatnonzero(owners[:count] == owners[_SHINGLE_WORDS - 1 :][:count])  # within one text
    rows, owners = rows[whole], owners[whole]
    order = np.argsort(rows, kind="stable")
    begins = np.flatnonzero(np.diff(rows[order], prepend=~rows[order][:1]))
    sizes = np.diff(begins, append=len(rows))
    shared = (sizes > 1) & (sizes <= _COMMON_SHINGLE)
    begins, sizes = begins[shared], sizes[shared]
    by_place = np.argsort(order[begins])
    begins, sizes = begins[by_place], sizes[by_place]
    behind = np.repeat(begins, sizes - 1)
    offset = np.arange(len(behind)) - np.repeat(np.cumsum(sizes - 1) - (sizes - 1), sizes - 1) + 1
    first, other = owners[order[behind]], owners[order[behind + offset]]
    differ = first != other
    first, other = first[differ], other[differ]
    _, once = np.unique(first * len(texts) + other, return_index=True)
    once.sort()
    return first[once], other[once]


class _Texts:
    """Utterances, and the characters in each block of them, so that most blocks need not be looked through."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        parts = (utterances[start : start + _BLOCK] for start in range(0, len(utterances), _BLOCK))
        self._blocks = [(part, set("".join(one.text for one in part))) for part in parts]
        self.count = len(utterances)

    def holding(self, odd: Callable[[str], bool]) -> Iterator[Utterance]:
        """Those whose texts hold a character that is ``odd``."""
        judge = functools.cache(odd)
        for part, characters in self._blocks:
            if found := set(filter(judge, characters)):
                yield from (one for one in part if not found.isdisjoint(one.text))

    def rare(self, number: int) -> list[str]:
        """The characters that fewer than ``number`` of the texts hold, sorted."""
        blocks = Counter(itertools.chain.from_iterable(characters for _, characters in self._blocks))
        few = {character for character, count in blocks.items() if count < number}
        held = Counter(itertools.chain.from_iterable(few & set(one.text) for one in self.holding(few.__contains__)))
        return sorted(character for character in few if held[character] < number)


def _unlike(
    texts: _Texts, kind: str, odd: Callable[[str], bool], message: str, report_many: bool = True
) -> Iterator[Finding]:
    """Those few that hold odd characters; a note (if `report_many`) where they are many, but not all."""
    found = list(texts.holding(odd))
    if not found or len(found) == texts.count or texts.count < _STYLE_NEEDS_UTTERANCES:
        return
    if len(found) <= (1 - _MOST) * texts.count:
        for utterance in found:
            yield _warning(kind, utterance.id, f"{shorten(utterance.text)!r} {message}")
    elif report_many:
        shown = f"{len(found):,} of {texts.count:,} transcripts; a model learns best from one way of writing"
        yield manifest_finding("note", kind, shown)


def _not_in(other: Callable[[str], str]) -> Callable[[str], bool]:
    """Whether a character is a letter of the other case than the one meant."""
    return lambda c: c == other(c) and c.lower() != c.upper()


def _is_compatibility(c: str) -> bool:
    return "\ufb00" <= c <= "\ufb06" or unicodedata.decomposition(c).startswith(_PLAIN_EXISTS)


def _is_mixed(word: str) -> bool:
    return len(_scripts(word)) > 1


def _scripts(word: str) -> set[str]:
    """Of Latin, Greek and Cyrillic, which share the shapes of their letters, those that the word holds."""
    if word.isascii():
        return set()
    return set(map(_script, word)) & {"LATIN", "GREEK", "CYRILLIC"}


@functools.lru_cache(10_000)
def _script(c: str) -> str:
    return unicodedata.name(c, "").split(" ")[0] if c.isalpha() else ""


def describe_character(character: str) -> str:
    """The character itself if it can be seen, else its number and name."""
    if character.isprintable() and not character.isspace() and not _is_odd(character):
        return character
    return f"U+{ord(character):04X} {unicodedata.name(character, 'control')}"


@functools.lru_cache(10_000)
def _is_odd(character: str) -> bool:
    if character == "\ufffd":
        return True
    return unicodedata.category(character) in _ODD_CATEGORIES and character not in _SPOKEN_FORMAT
