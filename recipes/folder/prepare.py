"""Your own recordings: the folder (or table) in, speaker-disjoint train, dev and test out.

In: a folder with a ``.txt`` next to each recording, a CSV or TSV with a header, a Kaldi data folder or a JSONL; or a
folder with ``train`` and ``test`` (and perhaps ``dev``) of such a form, whose split is then kept. Out: the manifests.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from asr.data.manifest import Utterance
from asr.data.readers import read_folder
from asr.data.splits import Splits, split_by_speaker, split_off_speakers, write_splits
from asr.errors import DataError

DEV_NAMES = ("dev", "valid", "validation", "val")
TABLES = (".csv", ".tsv", ".jsonl")


def prepare(
    corpus: Path,
    out: Path,
    *,
    dev: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    speaker: Literal["folder", "none"] = "folder",
    lowercase: bool = False,
) -> str:
    """Write train, dev and test manifests and return the summary.

    Args:
        corpus: the folder or the table file.
        out: folder for the manifests.
        dev: share of the duration for dev.
        test: share of the duration for test; both are used only where the corpus has no such part itself.
        seed: another seed assigns the speakers differently.
        speaker: with ``.txt`` next to recordings: ``folder`` takes the first subfolder's name as the speaker.
        lowercase: write the texts in lower case.
    """
    parts = {name: _find_part(corpus, names) for name, names in (("train", ("train",)), ("test", ("test",)))}
    if all(parts.values()):
        splits = _own_split(corpus, parts, dev=dev, seed=seed, speaker=speaker)
    else:
        splits = split_by_speaker(_read(corpus, speaker), dev=dev, test=test, seed=seed)
    return write_splits(out, _lowercase(splits) if lowercase else splits)


def _own_split(corpus: Path, parts: dict[str, Path | None], *, dev: float, seed: int, speaker: str) -> Splits:
    """The corpus's own train and test; dev is its own or taken from train by speaker."""
    train, test = (_read(part, speaker) for part in parts.values() if part is not None)
    own_dev = _find_part(corpus, DEV_NAMES)
    if own_dev is not None:
        return Splits(train=train, dev=_read(own_dev, speaker), test=test, notes=["The corpus's own split is kept."])
    train, held_out = split_off_speakers(train, dev, seed=seed) if dev > 0 else (train, [])
    return Splits(
        train=train, dev=held_out, test=test, notes=["The corpus's own test is kept; dev is taken from train."]
    )


def _find_part(corpus: Path, names: tuple[str, ...]) -> Path | None:
    """The folder or table of a part, if the corpus has one."""
    if not corpus.is_dir():
        return None
    places = [corpus / f"{name}{suffix}" for name in names for suffix in ("", *TABLES)]
    return next((place for place in places if place.exists()), None)


def _read(path: Path, speaker: str) -> list[Utterance]:
    utterances = read_folder(path, speaker_from_folder=speaker == "folder")
    if not utterances:
        raise DataError(f"{path} contains no utterances.")
    return utterances


def _lowercase(splits: Splits) -> Splits:
    train, dev, test = (
        [dataclasses.replace(u, text=u.text.lower()) for u in part] for part in (splits.train, splits.dev, splits.test)
    )
    return dataclasses.replace(splits, train=train, dev=dev, test=test)
