"""Do the splits of a corpus leak into each other?

In: utterances by the name of their split. Out: an error for each stretch of sound that stands in two splits, which
makes the test figure worthless; warnings for speakers, ids and sentences that two splits share, which may be meant, and
for sound that differs between them.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from asr.data.doctor.across import sound_across, texts_across
from asr.data.doctor.listen import Sounds
from asr.data.findings import Finding, worst_first
from asr.data.utterance import Utterance

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
