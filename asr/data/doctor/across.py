"""What two splits of a corpus share although they should not, and how they differ although they should not.

In: utterances, and what was heard of them, by the name of their split. Out: findings whose `where` names both splits
and whose `ids` are the utterances of the first of them.
"""

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from asr.data.doctor.listen import Heard, Sounds
from asr.data.doctor.sound import bandwidths, heard_only
from asr.data.doctor.texts import LONG_WORDS
from asr.data.findings import Finding
from asr.data.utterance import Utterance
from asr.text.normalize import normalize_basic

_BANDWIDTH_HZ = 750.0
_BY_DESIGN = 0.25  # of the second split's utterances have texts of the first: commands, digits, prompts
_NEEDS_UTTERANCES = 20
_SHOWN = 3


def sound_across(splits: Mapping[str, Sequence[Utterance]], sounds: Mapping[str, Sounds]) -> Iterator[Finding]:
    """The same samples in two splits under two names of file; other bandwidths, rates or encodings."""
    heard = {name: heard_only(sounds.get(name, {})) for name in splits}
    for one, other in itertools.combinations([name for name in splits if heard[name]], 2):
        where = f"{one}, {other}"
        files = {utterance.id: utterance.audio for name in (one, other) for utterance in splits[name]}
        yield from _same_samples(where, heard[one], heard[other], files)
        middle = [statistics.median(sound.bandwidth_hz for sound in heard[name].values()) for name in (one, other)]
        if abs(middle[0] - middle[1]) >= _BANDWIDTH_HZ:
            shown = "; ".join(f"{name} up to {_frequencies(heard[name])}" for name in (one, other))
            message = f"{shown}. The model meets another channel than it was trained on"
            yield Finding(severity="warning", kind="other bandwidth between splits", where=where, message=message)
        encodings = [_encodings(heard[name]) for name in (one, other)]
        if encodings[0].keys() != encodings[1].keys():
            shown = "; ".join(
                f"{name}: {', '.join(counts)}" for name, counts in zip((one, other), encodings, strict=True)
            )
            yield Finding(severity="note", kind="other encoding between splits", where=where, message=shown)


def texts_across(splits: Mapping[str, Sequence[Utterance]]) -> Iterator[Finding]:
    """Sentences of two splits: a warning where a few long ones are shared, a note where nearly all are."""
    texts = {name: [normalize_basic(utterance.text) for utterance in utterances] for name, utterances in splits.items()}
    for one, other in itertools.combinations(splits, 2):
        shared = set(texts[one]) & set(texts[other]) - {""}
        long = {text for text in shared if len(text.split()) >= LONG_WORDS}
        again = sum(text in shared for text in texts[other])
        if again > max(_BY_DESIGN * len(splits[other]), _NEEDS_UTTERANCES):
            message = f"{again:,} of {len(splits[other]):,} texts of {other} stand in {one} too: commands, digits or"
            message += " prompts, taken for intended; the figure says nothing of new sentences"
            yield Finding(severity="note", kind="sentences in two splits", where=f"{one}, {other}", message=message)
        elif long:
            shown = "; ".join(sorted(long)[:_SHOWN]) + ("; ..." if len(long) > _SHOWN else "")
            message = f"{len(long):,} of at least {LONG_WORDS} words: {shown}"
            ids = tuple(
                utterance.id for utterance, text in zip(splits[one], texts[one], strict=True) if text in long
            )
            yield Finding(
                severity="warning", kind="sentences in two splits", where=f"{one}, {other}", message=message, ids=ids
            )


def _same_samples(
    where: str, one: Mapping[str, Heard], other: Mapping[str, Heard], files: Mapping[str, str]
) -> Iterator[Finding]:
    theirs = {sound.fingerprint: identifier for identifier, sound in other.items() if sound.peak > 0}
    for identifier, sound in one.items():
        twin = theirs.get(sound.fingerprint)
        if twin is not None and files[twin] != files[identifier]:
            message = f"{identifier} and {twin} are the same to the sample, in two files"
            yield Finding(
                severity="error", kind="same sound in two splits", where=where, message=message, ids=(identifier,)
            )


def _frequencies(heard: Mapping[str, Heard]) -> str:
    return ", ".join(f"{hz:,.0f} Hz ({count:,})" for hz, count in bandwidths(heard).most_common(_SHOWN))


def _encodings(heard: Mapping[str, Heard]) -> Counter[str]:
    return Counter(f"{sound.format} {sound.subtype} {sound.sample_rate:,} Hz" for sound in heard.values())
