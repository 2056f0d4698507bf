"""Do the splits of a corpus leak into each other?

In: utterances by the name of their split. Out: an error for each stretch of sound that stands in two splits, which
makes the test figure worthless; warnings for speakers, ids and sentences that two splits share, which may be meant, and
for sound that differs between them.

What two splits of a corpus share although they should not, and how they differ although they should not.

In: utterances, and what was heard of them, by the name of their split. Out: findings whose `where` names both splits
and whose `ids` are the utterances of the first of them.
"""

import itertools
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from asr.data.manifest import Utterance
from asr.data.quality import Finding, worst_first
from asr.data.quality.sound import Heard, Sounds, bandwidths, heard_only
from asr.data.quality.texts import LONG_WORDS
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
            ids = tuple(utterance.id for utterance, text in zip(splits[one], texts[one], strict=True) if text in long)
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


_NAMES_SHOWN = 10
# Segments of one long recording may touch; a shared stretch longer than this is no rounding.
_TOUCH_S = 0.02


def check_splits(
    splits: Mapping[str, Sequence[Utterance]], sounds: Mapping[str, Sounds] | None = None
) -> list[Finding]:
    """Look for sound, speakers, ids and sentences that two splits share.

    Args:
        splits: utterances by split name, such as `train`, `dev` and `test`.
        sounds: what `listen_all` heard, by split name.

    Returns:
        Errors first, then warnings, then notes; `ids` are those of the split that is named first.
    """
    findings = [*_shared_sound(splits), *sound_across(splits, sounds or {})]
    for one, other in itertools.combinations(splits, 2):
        speakers = _values(splits[one], "speaker") & _values(splits[other], "speaker")
        ids = _values(splits[one], "id") & _values(splits[other], "id")
        for kind, field, shared in (
            ("speakers in two splits", "speaker", speakers),
            ("ids in two splits", "id", ids),
        ):
            if shared:
                names = ", ".join(sorted(shared)[:_NAMES_SHOWN]) + (", ..." if len(shared) > _NAMES_SHOWN else "")
                findings.append(
                    Finding(
                        severity="warning",
                        kind=kind,
                        where=f"{one}, {other}",
                        message=f"{len(shared)}: {names}",
                        ids=tuple(utterance.id for utterance in splits[one] if getattr(utterance, field) in shared),
                    )
                )
    findings += texts_across(splits)
    return worst_first(findings)


def _values(utterances: Sequence[Utterance], field: str) -> set[str]:
    return {value for utterance in utterances if (value := getattr(utterance, field)) is not None}


def _shared_sound(splits: Mapping[str, Sequence[Utterance]]) -> Iterator[Finding]:
    """One error for each utterance that begins inside an utterance of another split."""
    by_file: dict[str, list[tuple[float, float, str, Utterance]]] = defaultdict(list)
    real: dict[str, str] = {}
    for name, utterances in splits.items():
        for utterance in utterances:
            if utterance.audio not in real:
                real[utterance.audio] = os.path.realpath(utterance.audio)
            stop_s = utterance.start_s + utterance.duration_s
            by_file[real[utterance.audio]].append((utterance.start_s, stop_s, name, utterance))
    order = {name: place for place, name in enumerate(splits)}
    for spans in by_file.values():
        yield from _overlaps(sorted(spans, key=lambda span: span[:3]), order)


def _overlaps(spans: list[tuple[float, float, str, Utterance]], order: Mapping[str, int]) -> Iterator[Finding]:
    """Sweep over one file's spans, sorted by start; keep those open that reach beyond the current start."""
    opened: list[tuple[float, float, str, Utterance]] = []
    for span in spans:
        start_s, stop_s, split, utterance = span
        opened = [earlier for earlier in opened if earlier[1] > start_s + _TOUCH_S]
        for _, earlier_stop_s, earlier_split, earlier in opened:
            if earlier_split != split and _same_channel(earlier, utterance):
                shared_s = min(stop_s, earlier_stop_s) - start_s
                names = sorted((earlier_split, split), key=order.__getitem__)
                yield Finding(
                    severity="error",
                    kind="same sound in two splits",
                    where=", ".join(names),
                    message=f"{earlier.id} and {utterance.id} share {shared_s:.2f} s of {utterance.audio}",
                    ids=(earlier.id if names[0] == earlier_split else utterance.id,),
                )
                break
        opened.append(span)


def _same_channel(one: Utterance, other: Utterance) -> bool:
    return one.channel is None or other.channel is None or one.channel == other.channel
