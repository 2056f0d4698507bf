"""Checks across the splits of a corpus: what they share although they should not, and how they differ.

In: utterances, and the measures of their sound, by the name of their split. Out: an error for each stretch of sound
that is in two splits, which makes the test figure worthless; warnings for speakers, ids and sentences that two splits
share, which may be intended, and for sound that differs between them. The `ids` of a finding are utterances of the
first split.
"""

import functools
import itertools
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from asr.data.manifest import Utterance
from asr.data.quality.findings import Finding, splits_finding, worst_first
from asr.data.quality.sound import Sounds, SoundStatistics, bandwidths, without_errors
from asr.data.quality.texts import LONG_WORDS
from asr.text.normalize import normalize_basic

_NAMES_SHOWN = 10
# Segments of one long recording may touch; a shared stretch longer than this is no rounding.
_TOUCH_S = 0.02
_BANDWIDTH_HZ = 750.0
_BY_DESIGN = 0.25  # share of the second split's utterances with texts of the first: commands, digits, prompts
_NEEDS_UTTERANCES = 20
_SHOWN = 3


def check_splits(
    splits: Mapping[str, Sequence[Utterance]], sounds: Mapping[str, Sounds] | None = None
) -> list[Finding]:
    """Look for sound, speakers, ids and sentences that two splits share, and for differences in sound.

    Args:
        splits: utterances by split name, such as `train`, `dev` and `test`.
        sounds: what `analyse_all` measured, by split name.

    Returns:
        Errors first, then warnings, then notes.
    """
    findings = [*_shared_stretches(splits), *_sound_findings(splits, sounds or {})]
    plain = {name: [normalize_basic(one.text) for one in utterances] for name, utterances in splits.items()}
    for one, other in itertools.combinations(splits, 2):
        findings += _shared_names(splits, (one, other), "speakers in two splits", "speaker")
        findings += _shared_names(splits, (one, other), "ids in two splits", "id")
        findings += _shared_sentences(splits, plain, (one, other))
    return worst_first(findings)


def _shared_names(
    splits: Mapping[str, Sequence[Utterance]], pair: tuple[str, str], kind: str, field: str
) -> Iterator[Finding]:
    """Values of an utterance's ``field`` that both splits have."""
    first, second = ({getattr(one, field) for one in splits[name]} - {None} for name in pair)
    if shared := first & second:
        shown = ", ".join(sorted(shared)[:_NAMES_SHOWN]) + (", ..." if len(shared) > _NAMES_SHOWN else "")
        ids = tuple(one.id for one in splits[pair[0]] if getattr(one, field) in shared)
        yield splits_finding("warning", kind, pair, f"{len(shared)}: {shown}", ids)


def _shared_sentences(
    splits: Mapping[str, Sequence[Utterance]], plain: Mapping[str, Sequence[str]], pair: tuple[str, str]
) -> Iterator[Finding]:
    """A warning where a few long sentences are shared, a note where nearly all are."""
    kind = "sentences in two splits"
    first, second = (plain[name] for name in pair)
    shared = set(first) & set(second) - {""}
    long = {text for text in shared if len(text.split()) >= LONG_WORDS}
    again = sum(text in shared for text in second)
    if again > max(_BY_DESIGN * len(second), _NEEDS_UTTERANCES):
        message = f"{again:,} of {len(second):,} texts of {pair[1]} are in {pair[0]} too: commands, digits or prompts,"
        message += " assumed to be intended; the WER then says nothing about new sentences"
        yield splits_finding("note", kind, pair, message)
    elif long:
        shown = "; ".join(sorted(long)[:_SHOWN]) + ("; ..." if len(long) > _SHOWN else "")
        ids = tuple(one.id for one, text in zip(splits[pair[0]], first, strict=True) if text in long)
        yield splits_finding("warning", kind, pair, f"{len(long):,} of at least {LONG_WORDS} words: {shown}", ids)


def _sound_findings(splits: Mapping[str, Sequence[Utterance]], sounds: Mapping[str, Sounds]) -> Iterator[Finding]:
    """The same samples in two splits under two file names; other bandwidths, rates or encodings."""
    decoded = {name: without_errors(sounds.get(name, {})) for name in splits}
    for pair in itertools.combinations([name for name in splits if decoded[name]], 2):
        files = [{utterance.id: utterance.audio for utterance in splits[name]} for name in pair]  # ids may be the same
        yield from _same_samples(pair, decoded[pair[0]], decoded[pair[1]], files)
        middle = [statistics.median(sound.bandwidth_hz for sound in decoded[name].values()) for name in pair]
        if abs(middle[0] - middle[1]) >= _BANDWIDTH_HZ:
            shown = "; ".join(f"{name} up to {_frequencies(decoded[name])}" for name in pair)
            message = f"{shown}. The model is tested on another channel than it was trained on"
            yield splits_finding("warning", "other bandwidth between splits", pair, message)
        encodings = {name: _encodings(decoded[name]) for name in pair}
        if encodings[pair[0]].keys() != encodings[pair[1]].keys():
            message = "; ".join(f"{name}: {', '.join(counts)}" for name, counts in encodings.items())
            yield splits_finding("note", "other encoding between splits", pair, message)


def _same_samples(
    pair: tuple[str, str],
    one: Mapping[str, SoundStatistics],
    other: Mapping[str, SoundStatistics],
    files: Sequence[Mapping[str, str]],
) -> Iterator[Finding]:
    theirs = {sound.fingerprint: identifier for identifier, sound in other.items() if sound.peak > 0}
    for identifier, sound in one.items():
        twin = theirs.get(sound.fingerprint)
        if twin is not None and files[1][twin] != files[0][identifier]:
            message = f"{identifier} and {twin} have the same samples, in two files"
            yield splits_finding("error", "same sound in two splits", pair, message, (identifier,))


def _frequencies(decoded: Mapping[str, SoundStatistics]) -> str:
    return ", ".join(f"{hz:,.0f} Hz ({count:,})" for hz, count in bandwidths(decoded).most_common(_SHOWN))


def _encodings(decoded: Mapping[str, SoundStatistics]) -> Counter[str]:
    return Counter(f"{sound.format} {sound.subtype} {sound.sample_rate:,} Hz" for sound in decoded.values())


def _shared_stretches(splits: Mapping[str, Sequence[Utterance]]) -> Iterator[Finding]:
    """An error for each utterance that begins inside utterances of another split, and for each such split."""
    by_file: dict[str, list[tuple[float, float, str, Utterance]]] = defaultdict(list)
    real_folder = functools.cache(os.path.realpath)  # of a million files in few folders

    @functools.cache
    def real(audio: str) -> str:
        folder, file = os.path.split(audio)
        return os.path.realpath(audio) if os.path.islink(audio) else os.path.join(real_folder(folder), file)

    for name, utterances in splits.items():
        for utterance in utterances:
            stop_s = utterance.start_s + utterance.duration_s
            by_file[real(utterance.audio)].append((utterance.start_s, stop_s, name, utterance))
    order = {name: place for place, name in enumerate(splits)}
    for spans in by_file.values():
        yield from _overlaps(sorted(spans, key=lambda span: span[:3]), order)


_Span = tuple[float, float, str, Utterance]  # start and stop, the split


def _overlaps(spans: list[_Span], order: Mapping[str, int]) -> Iterator[Finding]:
    """Sweep over one file's spans, sorted by start; keep those open that reach beyond the current start."""
    opened: list[_Span] = []
    for span in spans:
        start_s, stop_s, split, utterance = span
        opened = [earlier for earlier in opened if earlier[1] > start_s + _TOUCH_S]
        shared: dict[str, list[_Span]] = defaultdict(list)
        for earlier in opened:
            if earlier[2] != split and _same_channel(earlier[3], utterance):
                shared[earlier[2]].append(earlier)
        for other, found in shared.items():
            shared_s = min(stop_s, found[0][1]) - start_s
            message = f"{found[0][3].id} and {utterance.id} share {shared_s:.2f} s of {utterance.audio}"
            first, second = sorted((other, split), key=order.__getitem__)
            ids = tuple(one[3].id for one in found) if first == other else (utterance.id,)
            yield splits_finding("error", "same sound in two splits", (first, second), message, ids)
        opened.append(span)


def _same_channel(one: Utterance, other: Utterance) -> bool:
    return one.channel is None or other.channel is None or one.channel == other.channel
