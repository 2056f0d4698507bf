"""The alphabet of transcripts: each token with its count and an example, and what looks like a mistake.

In: utterances, and a function from a text to its tokens. Out: a row for each token, with what is suspicious: rare
tokens, those of one speaker, letters of another script, and marks that are tokens beside letters that have them.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from asr.cores import in_processes
from asr.data.manifest import Utterance
from asr.text.tokenizer import Tokenizer, TokenizerConfig, build_tokenizer, is_mark

RARE = 5  # a token that occurs less often is hardly learned
_SHOWN = 20
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "BOPOMOFO": "CJK"}  # Han and kana, written together
_HEADER = ("token", "code points", "count", "share %", "utterances", "speakers", "example", "remarks")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUse:
    """How often a token occurs, in how many utterances, of how many known speakers, and the id of the shortest text
    with it.

    What is suspicious: ``rare``, ``one_speaker`` (its name, where several are known), ``script`` ("Greek among Latin")
    and ``lone_mark``.
    """

    token: str
    count: int
    share: float
    utterances: int
    speakers: int
    example: str
    rare: bool = False
    one_speaker: str = ""
    script: str = ""
    lone_mark: bool = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is suspicious, each in a few words."""
        found = [
            f"fewer than {RARE} times" if self.rare else "",
            f"speaker {self.one_speaker} only" if self.one_speaker else "",
            self.script,
            "a mark apart from its letter" if self.lone_mark else "",
        ]
        return tuple(filter(None, found))

    def row(self) -> list[str]:
        """The values of a table's row."""
        codes = " ".join(f"U+{ord(one):04X}" for one in self.token)
        share, counts = f"{100 * self.share:.3g}", (str(self.utterances), str(self.speakers))
        return [shown_token(self.token), codes, str(self.count), share, *counts, self.example, "; ".join(self.remarks)]


@dataclass(slots=True)
class _Tally:
    """A token: how often it occurs, in how many utterances, of which speakers; length and id of the shortest text."""

    count: int = 0
    utterances: int = 0
    speakers: set[str | None] = field(default_factory=set)
    length: float = math.inf
    example: str = ""


def alphabet(utterances: Sequence[Utterance], split: Callable[[str], Iterable[str]]) -> list[TokenUse]:
    """The tokens of all texts by ``split``, the most frequent first."""
    found: dict[str, _Tally] = defaultdict(_Tally)
    everybody: set[str | None] = set()
    for part, speakers in in_processes(lambda block: _tallies(utterances[block], split), len(utterances)):
        everybody |= speakers
        for token, tally in part.items():
            all_ = found[token]
            all_.count += tally.count
            all_.utterances += tally.utterances
            all_.speakers |= tally.speakers
            if tally.length < all_.length:
                all_.length, all_.example = tally.length, tally.example
    counts = Counter({token: tally.count for token, tally in found.items()})
    several = len(everybody - {None}) > 1
    main, total = _main_script(counts), sum(counts.values())
    carried = {mark for token in counts for mark in unicodedata.normalize("NFD", token)[1:] if is_mark(mark)}
    return [
        TokenUse(
            token=token,
            count=count,
            share=count / total,
            utterances=found[token].utterances,
            speakers=len(found[token].speakers - {None}),
            example=found[token].example,
            rare=count < RARE,
            one_speaker=str(next(iter(found[token].speakers))) if several and _is_one(found[token].speakers) else "",
            script=_among(script_of(token), main),
            lone_mark=token in carried,
        )
        for token, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _tallies(
    utterances: Iterable[Utterance], split: Callable[[str], Iterable[str]]
) -> tuple[dict[str, _Tally], set[str | None]]:
    """Each token of the texts, and all speakers."""
    found: dict[str, _Tally] = {}
    everybody: set[str | None] = set()
    for utterance in utterances:
        length, speaker = len(utterance.text), utterance.speaker
        everybody.add(speaker)
        for token, count in Counter(split(utterance.text)).items():
            if (tally := found.get(token)) is None:
                tally = found[token] = _Tally()
            tally.count += count
            tally.utterances += 1
            tally.speakers.add(speaker)
            if length < tally.length:
                tally.length, tally.example = length, utterance.id
    return found, everybody


def alphabet_to_train(
    utterances: Sequence[Utterance], normalize: Callable[[str], str], config: TokenizerConfig
) -> list[TokenUse]:
    """The tokens that a training with that normaliser and tokenizer would have. Raises TextError without any text."""
    normal = [replace(one, text=normalize(one.text)) for one in utterances]
    return alphabet(normal, spelled(build_tokenizer(config, [one.text for one in normal])))


def spelled(tokenizer: Tokenizer) -> Callable[[str], list[str]]:
    """The function from a text to its tokens. It raises TextError where they do not spell it."""
    return lambda text: [tokenizer.tokens[one] for one in tokenizer.encode(text)]


def alphabet_table(uses: Iterable[TokenUse]) -> tuple[list[list[str]], Sequence[str]]:
    """Rows and header."""
    return [use.row() for use in uses], _HEADER


def suspicious(uses: Sequence[TokenUse]) -> str:
    """The tokens by their remarks in a line, ``fewer than 5 times: q x``; "" where there are none."""
    groups: dict[str, list[str]] = defaultdict(list)
    for use in uses:
        for remark in use.remarks:
            groups[remark].append(shown_token(use.token))
    shown = {remark: " ".join(tokens[:_SHOWN]) for remark, tokens in groups.items()}
    return "; ".join(f"{remark}: {shown[remark]}{' ...' * (len(groups[remark]) > _SHOWN)}" for remark in groups)


def script_of(token: str) -> str:
    """Unicode's name of the script of its first letter (LATIN, GREEK; CJK for kana, too); "" without one."""
    for character in token:
        if unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo"):
            words = unicodedata.name(character, "").split()
            first = next((word for word in words if word not in ("FULLWIDTH", "HALFWIDTH")), "")
            return _ONE_SCRIPT.get(first, first)
    return ""


def shown_token(token: str) -> str:
    """The token as it can be read: a space by name, a lone mark on a circle."""
    if token == " ":
        return "space"
    return f"\u25cc{token}" if token and is_mark(token[0]) else token


def list_uses(uses: Sequence[TokenUse], remark: Callable[[TokenUse], str]) -> str:
    """``ω (2,277 times, Greek among Latin; utt-3), ...``."""
    shown = []
    for use in uses[:_SHOWN]:
        said = ", ".join(filter(None, (f"{use.count:,} time{'s' * (use.count > 1)}", remark(use))))
        shown.append(f"{shown_token(use.token)} ({said}; {use.example})")
    more = f" and {len(uses) - _SHOWN} more" if len(uses) > _SHOWN else ""
    return ", ".join(shown) + more


def _main_script(counts: Counter[str]) -> str:
    scripts: Counter[str] = Counter()
    for token, count in counts.items():
        scripts[script_of(token)] += count
    del scripts[""]
    return scripts.most_common(1)[0][0] if scripts else ""


def _among(script: str, main: str) -> str:
    return f"{script.capitalize()} among {main.capitalize()}" if script and script != main else ""


def _is_one(speakers: set[str | None]) -> bool:
    return len(speakers) == 1 and None not in speakers
