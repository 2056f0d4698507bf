"""Cutting a corpus into train, dev and test so that no speaker is in two of them.

In: utterances. Out: ``Splits``. Why: an error measured on speakers the model was trained on says little about new ones
(six of six FSDD speakers are in both parts of its published split). The order in which speakers are dealt out depends
on the seed and their names alone, through SHA-256, so that an added speaker hardly moves the others about.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asr.data.utterance import Utterance
from asr.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The parts of a prepared corpus: ``train``, ``dev``, ``test``, ``others`` (further test sets by name, as
    ``test-other``) and ``notes``: what the person should know about how they were made, one sentence each."""

    train: Sequence[Utterance]
    dev: Sequence[Utterance]
    test: Sequence[Utterance]
    others: Mapping[str, Sequence[Utterance]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def named(self) -> dict[str, Sequence[Utterance]]:
        """Every part under its name, train first: the name is the manifest's file name without ``.jsonl``."""
        return {"train": self.train, "dev": self.dev, "test": self.test, **self.others}


def split_by_speaker(utterances: Iterable[Utterance], *, dev: float = 0.1, test: float = 0.1, seed: int = 0) -> Splits:
    """Cut ``utterances`` into shares of their total duration with no speaker in two parts.

    Utterances without a speaker are kept together by recording. Where fewer than three speakers are known, recordings
    are dealt out instead of speakers, and a note says so.

    Args:
        utterances: all of the corpus; the order inside each part is kept.
        dev: share of the duration for dev, 0 <= dev < 1.
        test: share of the duration for test, 0 <= test < 1.
        seed: another seed deals out the speakers otherwise.

    Raises:
        ConfigError: if the shares leave nothing to train on.
        DataError: if there are fewer groups than parts.
    """
    if not (0 <= dev < 1 and 0 <= test < 1 and dev + test < 1):
        raise ConfigError(f"dev={dev} and test={test} must be shares of at least 0 whose sum is below 1.")
    everything = list(utterances)
    groups, notes = _groups(everything)
    part_of = _deal(groups, {"test": test, "dev": dev}, seed)
    parts: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for key, utterance in zip(_keys(everything, by_speaker="speakers" not in notes), everything, strict=True):
        parts[part_of.get(key, "train")].append(utterance)
    return Splits(train=parts["train"], dev=parts["dev"], test=parts["test"], notes=tuple(notes.values()))


def split_off_speakers(
    utterances: Iterable[Utterance], share: float, *, seed: int = 0
) -> tuple[list[Utterance], list[Utterance]]:
    """Take whole speakers, about ``share`` of the utterances, out of ``utterances``: (the rest, those taken)."""
    everything = list(utterances)
    sizes: dict[str, float] = defaultdict(float)
    for utterance in everything:
        sizes[utterance.speaker or utterance.audio] += 1
    taken = _deal(sizes, {"taken": share}, seed)
    rest = [u for u in everything if (u.speaker or u.audio) not in taken]
    return rest, [u for u in everything if (u.speaker or u.audio) in taken]


def _groups(utterances: Sequence[Utterance]) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds by group, and the notes on how groups were made."""
    notes: dict[str, str] = {}
    speakers = {u.speaker for u in utterances if u.speaker is not None}
    unknown = sum(u.speaker is None for u in utterances)
    if len(speakers) < 3 and (speakers or not unknown):
        notes["speakers"] = (
            f"Only {len(speakers)} speaker(s) known: parts share speakers, so expect more errors on new ones."
        )
    elif unknown:
        notes["unknown"] = (
            f"{unknown} of {len(utterances)} utterances have no speaker: they are split by recording, "
            "and parts may share speakers."
        )
    sizes: dict[str, float] = defaultdict(float)
    for key, utterance in zip(_keys(utterances, by_speaker="speakers" not in notes), utterances, strict=True):
        sizes[key] += utterance.duration_s
    return sizes, notes


def _keys(utterances: Sequence[Utterance], *, by_speaker: bool) -> list[str]:
    """Each utterance's group. Recordings are named from the folder that holds them all: a corpus may be moved."""
    audio = [os.path.abspath(u.audio) for u in utterances]
    home = os.path.commonpath([os.path.dirname(path) for path in audio]) if audio else ""
    return [
        f"speaker {u.speaker}" if by_speaker and u.speaker is not None else f"recording {os.path.relpath(path, home)}"
        for u, path in zip(utterances, audio, strict=True)
    ]


def _deal(sizes: Mapping[str, float], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Group → part for the groups that leave train: each part takes groups in hashed order while that brings it
    nearer to its share, at least one each, and one always stays for train."""
    wanted = {part: share for part, share in shares.items() if share > 0}
    if len(sizes) < len(wanted) + 1:
        raise DataError(
            f"Cannot make {len(wanted) + 1} parts (train, {', '.join(wanted)}) out of {len(sizes)} speaker(s) or "
            "recording(s): record more, or set that part's share to 0."
        )
    total = sum(sizes.values())
    left = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    part_of: dict[str, str] = {}
    for position, (part, share) in enumerate(wanted.items()):
        reserve = len(wanted) - position  # groups that the later parts and train still need
        taken = _nearest(left, sizes, target=share * total, most=len(left) - reserve)
        part_of.update(dict.fromkeys(taken, part))
        left = [group for group in left if group not in part_of]
    return part_of


def _nearest(groups: Sequence[str], sizes: Mapping[str, float], *, target: float, most: int) -> list[str]:
    taken: list[str] = []
    filled = 0.0
    for group in groups:
        if len(taken) < most and abs(filled + sizes[group] - target) < abs(filled - target):
            taken.append(group)
            filled += sizes[group]
    return taken or [min(groups, key=lambda group: sizes[group])]
