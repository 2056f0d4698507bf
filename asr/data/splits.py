"""The train, dev and test parts of a corpus: cut so that no speaker is in two of them, checked, and written.

In: utterances. Out: ``Splits``, their manifests, and a summary text; or nested parts of a training set. An error rate
measured on speakers that the model was trained on says little about new ones (six of six FSDD speakers are in both
parts of its published split). The order in which speakers are assigned depends on the seed and their names alone,
through SHA-256, so that an added speaker hardly moves the others.
"""

import contextlib
import contextvars
import dataclasses
import hashlib
import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.data.manifest import Utterance, write_manifests
from asr.errors import ConfigError, DataError
from asr.text.respelling import Respelling

_respelling: contextvars.ContextVar[Respelling | None] = contextvars.ContextVar("respelling", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The parts of a prepared corpus: ``train``, ``dev``, ``test``, and ``others`` (further test sets by name, as
    ``test-other``). ``notes``: remarks on how they were made, one sentence each.
    """

    train: Sequence[Utterance]
    dev: Sequence[Utterance]
    test: Sequence[Utterance]
    others: Mapping[str, Sequence[Utterance]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def named(self) -> dict[str, Sequence[Utterance]]:
        """Every part by its name, train first; the name is the manifest's file name without ``.jsonl``."""
        return {"train": self.train, "dev": self.dev, "test": self.test, **self.others}


def split_by_speaker(utterances: Iterable[Utterance], *, dev: float = 0.1, test: float = 0.1, seed: int = 0) -> Splits:
    """Cut ``utterances`` into shares of their total duration with no speaker in two parts.

    Utterances without a speaker are kept together by recording, and so are speakers who share a recording, and
    recordings that share an annotation file. Where fewer than three (groups of) speakers are known, recordings are
    split instead of speakers, and a note says so.

    Args:
        utterances: all of the corpus; the order inside each part is kept.
        dev: share of the duration for dev, 0 <= dev < 1.
        test: share of the duration for test, 0 <= test < 1.
        seed: another seed assigns the speakers differently.

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
    for key, utterance in zip(_connected(everything, by_speaker="speakers" not in notes), everything, strict=True):
        parts[part_of.get(key, "train")].append(utterance)
    return Splits(train=parts["train"], dev=parts["dev"], test=parts["test"], notes=tuple(notes.values()))


def split_off_speakers(
    utterances: Iterable[Utterance], share: float, *, seed: int = 0
) -> tuple[list[Utterance], list[Utterance]]:
    """Take whole speakers, about ``share`` of the utterances, out of ``utterances``: (the rest, those taken)."""
    everything = list(utterances)
    keys = _joined(everything, [utterance.speaker or utterance.audio for utterance in everything])
    taken = _deal(Counter(keys), {"taken": share}, seed)
    rest = [u for u, key in zip(everything, keys, strict=True) if key not in taken]
    return rest, [u for u, key in zip(everything, keys, strict=True) if key in taken]


def nested_parts(utterances: Sequence[Utterance], minutes: Sequence[float], *, seed: int = 0) -> list[list[Utterance]]:
    """Parts of ``utterances`` of about so many minutes of speech, each contained in every longer one.

    A part is a small image of the whole: it has about the same share of every speaker's speech. To that end the
    utterances of a speaker (where none is known, of a recording) are put in hashed order, each at the share of the
    speaker's speech at which it begins, or a fraction of its length later; a part takes utterances in the order of
    those shares while that brings it nearer to its length, at least one. The order depends on the seed, the speakers'
    names and the utterances' ids alone.

    Args:
        utterances: the training set; its order is kept in every part.
        minutes: the wanted lengths, in any order; one beyond the whole gives the whole.
        seed: another seed chooses other utterances.
    """
    place = _places(utterances, seed)
    order = sorted(range(len(utterances)), key=lambda index: (place[index], utterances[index].id))
    filled_s = list(itertools.accumulate(utterances[index].duration_s for index in order))
    parts = []
    for wanted in minutes:
        wanted_s = min(60 * wanted, filled_s[-1])
        count = 1 + min(range(len(order)), key=lambda last: abs(filled_s[last] - wanted_s))
        parts.append([utterances[index] for index in sorted(order[:count])])
    return parts


def _places(utterances: Sequence[Utterance], seed: int) -> list[float]:
    """At which share of its speaker's speech, in hashed order, each utterance is; from 0 to 1."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(_keys(utterances, by_speaker=True)):
        groups[key].append(index)
    places = [0.0] * len(utterances)
    for key, members in groups.items():
        total = sum(utterances[index].duration_s for index in members)
        before = 0.0
        offset = int.from_bytes(_hash(seed, key)[:8]) / 2**64  # speakers of one utterance are spread, too
        for index in sorted(members, key=lambda one: _hash(seed, utterances[one].id)):
            places[index] = (before + offset * utterances[index].duration_s) / total
            before += utterances[index].duration_s
    return places


@contextlib.contextmanager
def respelling(table: Respelling | None) -> Iterator[None]:
    """Inside, ``write_splits`` writes every text as ``table`` respells it."""
    token = _respelling.set(table)
    try:
        yield
    finally:
        _respelling.reset(token)


def _respelled(splits: Splits) -> Splits:
    """``splits`` by the table of ``respelling``, without utterances of whose text nothing is left; a note says what."""
    table = _respelling.get()
    if table is None:
        return splits
    found: Counter[str] = Counter()
    parts: dict[str, list[Utterance]] = {}
    for name, utterances in splits.named().items():
        changed = [dataclasses.replace(one, text=table(one.text, found)) for one in utterances]
        parts[name] = [one for one, old in zip(changed, utterances, strict=True) if one.text.strip() or not old.text]
    emptied = sum(map(len, splits.named().values())) - sum(map(len, parts.values()))
    left_out = [f"{emptied:,} utterances are left out: the replacements leave nothing of their text."]
    return Splits(
        train=parts.pop("train"),
        dev=parts.pop("dev"),
        test=parts.pop("test"),
        others=parts,
        notes=[*splits.notes, table.describe(found), *(left_out if emptied else [])],
    )


def write_splits(out: Path, splits: Splits) -> str:
    """Write one manifest a part (``out/train.jsonl``, ...), none where one cannot be, and return the summary to show.

    Inside ``respelling`` the texts are written as its table has them.

    Raises:
        DataError: if there is nothing to train on, a test set contains training utterances, or one cannot be written.
    """
    splits = _respelled(splits)
    if not splits.train:
        raise DataError(f"Nothing to train on remains for {out / 'train.jsonl'}: check the corpus and the options.")
    trained = {(u.audio, u.start_s, u.channel) for u in splits.train}
    for name, utterances in splits.named().items():
        shared = [u.id for u in utterances if name.startswith("test") and (u.audio, u.start_s, u.channel) in trained]
        if shared:
            raise DataError(f"{len(shared)} utterance(s) are in both train and {name}: {', '.join(shared[:10])}.")
    paths = {out / f"{name}.jsonl": utterances for name, utterances in splits.named().items()}
    # together, and none of an earlier run stays: its utterances may be in train now
    write_manifests({path: utterances for path, utterances in paths.items() if utterances})
    for path in (path for path, utterances in paths.items() if not utterances):
        path.unlink(missing_ok=True)
    return "\n".join([summarize(splits), *_notes_on_others(out, splits)])


def summarize(splits: Splits) -> str:
    """A table of utterances, hours and speakers by part, speakers in common, and the notes."""
    rows = [f"{'split':<12}{'utterances':>11}{'hours':>8}{'speakers':>10}"]
    for name, utterances in splits.named().items():
        hours = sum(u.duration_s for u in utterances) / 3600
        shown = f"{hours:.2f}" if hours >= 0.1 or not hours else f"{hours:.2g}"  # 9 s are 0.0025 h, not 0.00
        rows.append(f"{name:<12}{len(utterances):>11}{shown:>8}{len(_speakers(utterances)):>10}")
    seen = _speakers(splits.train)
    for name, utterances in splits.named().items():
        shared = seen & _speakers(utterances)
        if name != "train" and shared:
            rows.append(f"{len(shared)} of {len(_speakers(utterances))} speakers of {name} are in train as well.")
    return "\n".join([*rows, *splits.notes])


def expect_count(what: str, found: int, expected: int, *, complete: bool = True) -> None:
    """Raise ``DataError`` unless ``found == expected``; ``complete=False`` accepts a part of a corpus."""
    if complete and found != expected:
        raise DataError(
            f"{what}: found {found}, expected {expected}. Is the corpus complete? To use it as it is: complete=false."
        )


def _groups(utterances: Sequence[Utterance]) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds by group, and the notes on how groups were made."""
    notes: dict[str, str] = {}
    speakers = {u.speaker for u in utterances if u.speaker is not None}
    unknown = sum(u.speaker is None for u in utterances)
    keys = _connected(utterances, by_speaker=True)
    apart = {key for key, u in zip(keys, utterances, strict=True) if u.speaker is not None}
    if len(apart) < 3 and (speakers or not unknown):
        known = f"Only {len(speakers)} speaker(s) known"
        if len(speakers) >= 3:
            known = f"The {len(speakers)} speakers cannot be kept apart, as they share recordings"
        notes["speakers"] = f"{known}: parts share speakers, so expect more errors on new ones."
    elif unknown:
        notes["unknown"] = (
            f"{unknown} of {len(utterances)} utterances have no speaker: they are split by recording, "
            "and parts may share speakers."
        )
    sizes: dict[str, float] = defaultdict(float)
    for key, utterance in zip(_connected(utterances, by_speaker="speakers" not in notes), utterances, strict=True):
        sizes[key] += utterance.duration_s
    return sizes, notes


def _connected(utterances: Sequence[Utterance], *, by_speaker: bool) -> list[str]:
    """Each utterance's group, such that no recording and no annotation file is in two of them."""
    return _joined(utterances, _keys(utterances, by_speaker=by_speaker))


def _joined(utterances: Sequence[Utterance], keys: Sequence[str]) -> list[str]:
    """The keys, those that meet in a recording or in an annotation file replaced by all of their names together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    shared = [(f"audio {u.audio}", f"annotation {u.extra.get('annotation_file', u.audio)}") for u in utterances]
    names = {name: number for number, name in enumerate(dict.fromkeys([*keys, *itertools.chain(*shared)]))}
    pairs = [(names[key], names[other]) for key, others in zip(keys, shared, strict=True) for other in others]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    links = coo_array(([True] * len(pairs), (rows, columns)), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    members: dict[int, set[str]] = defaultdict(set)
    for key in keys:
        members[component[names[key]]].add(key)
    return [" + ".join(sorted(members[component[names[key]]])) for key in keys]


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
    left = sorted(sizes, key=lambda group: _hash(seed, group))
    part_of: dict[str, str] = {}
    for position, (part, share) in enumerate(wanted.items()):
        reserve = len(wanted) - position  # groups that the later parts and train still need
        taken = _nearest(left, sizes, target=share * total, most=len(left) - reserve)
        part_of.update(dict.fromkeys(taken, part))
        left = [group for group in left if group not in part_of]
    return part_of


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _nearest(groups: Sequence[str], sizes: Mapping[str, float], *, target: float, most: int) -> list[str]:
    taken: list[str] = []
    filled = 0.0
    for group in groups:
        if len(taken) < most and abs(filled + sizes[group] - target) < abs(filled - target):
            taken.append(group)
            filled += sizes[group]
    return taken or [min(groups, key=lambda group: sizes[group])]


def _notes_on_others(out: Path, splits: Splits) -> list[str]:
    """Test sets in ``out`` that this preparation did not make, which ``asr run`` would evaluate on as well."""
    others = sorted(file.name for file in out.glob("test-*.jsonl") if file.stem not in splits.named())
    return [f"{name} in {out} was there before and is kept; remove it if it is not wanted." for name in others]


def _speakers(utterances: Iterable[Utterance]) -> set[str]:
    return {u.speaker for u in utterances if u.speaker is not None}
