"""Your own recordings: the folder (or table) in, speaker-disjoint train, dev and test out.

In: a folder with a ``.txt`` next to each recording, or with files of time-aligned annotation (ELAN, Praat, subtitles,
...); a CSV or TSV with a header, a Kaldi data folder, a JSONL, tar shards or a list of their addresses; or a folder
with ``train`` and ``test`` (and perhaps ``dev``) of such a form, whose split is then kept. Out: the manifests, and a
table of the annotations left out.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from asr.data.annotation import LEAVE_OUT, REMOVE, TABLE, AnnotationOptions, AnnotationReport, Kind, SegmentRules
from asr.data.manifest import Utterance
from asr.data.readers import read_folder
from asr.data.splits import Splits, split_by_speaker, split_off_speakers, write_splits
from asr.data.tables import AUDIO_FOLDERS
from asr.errors import DataError
from asr.files import write_text

PARTS = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "valid", "validation", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
TABLES = (".csv", ".tsv", ".jsonl", ".json", ".shards")


def prepare(
    corpus: Path,
    out: Path,
    *,
    dev: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    speaker: Literal["folder", "none"] = "folder",
    lowercase: bool = False,
    split: Literal["keep", "none"] = "keep",
    annotation: Kind = "auto",
    tier: str | None = None,
    link: str | None = None,
    leave_out: str = LEAVE_OUT,
    remove: str = REMOVE,
    overlap: Literal["drop", "keep"] = "drop",
    join: float = 1.0,
    pause: float = 0.5,
    longest: float = 20.0,
    pad: float = 0.1,
) -> str:
    """Write train, dev and test manifests and return the summary.

    Args:
        corpus: the folder or the table file.
        out: folder for the manifests.
        dev: share of the duration for dev.
        test: share of the duration for test; both are used only where the corpus has no such part itself.
        seed: another seed assigns the speakers differently.
        speaker: ``folder`` takes those that the corpus names, and next to ``.txt`` the first subfolder's name; ``none``
            knows none, so that all is split by recording.
        lowercase: write the texts in lower case.
        split: ``none`` divides all recordings anew, also where the corpus has parts named train and test.
        annotation: the format of the annotation files to read; ``auto`` for all.
        tier: the transcript's tiers: ``NAME``, ``type:NAME`` or ``participant:NAME``, with ``*`` and commas.
        link: pattern for the recordings of an annotation file, such as ``../audio/{name}_*``.
        leave_out: words with which an annotation is left out, see ``asr.data.annotation.SegmentRules``.
        remove: marks that are taken out of texts.
        overlap: whether annotations during which somebody else speaks are dropped.
        join: seconds; shorter annotations are joined with their neighbours.
        pause: seconds; over longer pauses nothing is joined.
        longest: seconds; longer annotations are left out.
        pad: seconds of silence around a segment.
    """
    rules = SegmentRules(
        leave_out=leave_out, remove=remove, overlap=overlap, join=join, pause=pause, longest=longest, pad=pad
    )
    options = AnnotationOptions(
        kind=annotation, tier=tier, link=link, speaker_from_folder=speaker == "folder", rules=rules
    )
    reader = _Reader(options, AnnotationReport())
    parts = {name: _find_parts(corpus, names) for name, names in PARTS.items()} if split == "keep" else {}
    if any(parts.values()):
        splits = _own_split(corpus, parts, shares={"dev": dev, "test": test}, seed=seed, reader=reader)
    else:
        splits = split_by_speaker(reader.read(corpus), dev=dev, test=test, seed=seed)
    splits = dataclasses.replace(splits, notes=(*splits.notes, *reader.report.lines()))
    summary = write_splits(out, _lowercase(splits) if lowercase else splits)
    _write_table(out / TABLE, reader.report.table())
    return summary


def _write_table(path: Path, table: str | None) -> None:
    if table:
        write_text(path, table)
    else:
        path.unlink(missing_ok=True)  # of an earlier preparation


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads the parts of a corpus with the same options into one report."""

    options: AnnotationOptions
    report: AnnotationReport

    def read(self, path: Path) -> Sequence[Utterance]:
        """The utterances of a folder or table; their speakers only where they count."""
        utterances = read_folder(path, annotations=self.options, report=self.report)
        if not utterances:
            raise DataError("\n  ".join([f"{path} contains no utterances.", *self.report.lines()]))
        if self.options.speaker_from_folder:
            return utterances
        return [dataclasses.replace(one, speaker=None) for one in utterances]


def _own_split(
    corpus: Path, parts: dict[str, list[Path]], *, shares: dict[str, float], seed: int, reader: _Reader
) -> Splits:
    """The corpus's own parts; dev and test that it lacks are taken from train by speaker. Raises DataError without
    train.
    """
    if not parts["train"]:
        found = ", ".join(path.name for paths in parts.values() for path in paths)
        raise DataError(
            f"{corpus} has parts ({found}), but none named train. Give the training part that name; or divide all"
            " recordings anew, these included, with split=none."
        )
    read = {name: [one for path in paths for one in reader.read(path)] for name, paths in parts.items()}
    own = " and ".join(name for name in ("test", "dev") if read[name])
    notes = [f"The corpus's own {own} is kept." if own else "The corpus's own train is kept."]
    for name in ("test", "dev"):
        if not read[name] and shares[name] > 0:
            read["train"], read[name] = split_off_speakers(read["train"], shares[name], seed=seed)
            notes.append(f"{name.capitalize()} is taken from train.")
    used = {path for paths in parts.values() for path in paths}
    left = [one for one in sorted(corpus.iterdir()) if one not in used and _may_be_part(one)]
    others = [one.name for one in left if one.name not in AUDIO_FOLDERS]
    if others:
        notes.append(f"Not read: {', '.join(others)}.")
    return Splits(train=read["train"], dev=read["dev"], test=read["test"], notes=notes)


def _find_parts(corpus: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders or tables of a part, if the corpus has one, in any case: train, TEST.csv, test-clean."""
    if not corpus.is_dir():
        return []
    found = [one for one in sorted(corpus.iterdir()) if _may_be_part(one)]
    exact = [one for one in found if _part_name(one) in names]
    return exact or [one for one in found if _part_name(one).split("-")[0] in names]


def _part_name(path: Path) -> str:
    return (path.name if path.is_dir() else path.stem).lower().replace("_", "-")


def _may_be_part(path: Path) -> bool:
    return not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in TABLES)


def _lowercase(splits: Splits) -> Splits:
    train, dev, test = (
        [dataclasses.replace(u, text=u.text.lower()) for u in part] for part in (splits.train, splits.dev, splits.test)
    )
    return dataclasses.replace(splits, train=train, dev=dev, test=test)
