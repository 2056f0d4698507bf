"""The English starter model: eight English corpora in one training set.

In: the folder that holds the corpora, each in a folder of its own; absent ones are skipped and listed. Out: ``train``;
``dev`` and ``test`` of mini LibriSpeech; and further dev and test sets by name (``dev-common-voice``, ``test-an4``,
...). Texts are lower case, letters and apostrophes only.

No speaker of a dev or test set is in train, and no sentence of one, whoever read it. Each utterance has its corpus as
``source``, so that reports can group by it.
"""

import dataclasses
import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from asr.data.manifest import Utterance, read_manifest
from asr.data.prepare import load_recipe, run_prepare
from asr.data.recordings import with_durations
from asr.data.splits import Splits, write_splits
from asr.data.tables import read_table
from asr.errors import DataError
from asr.text.normalize import normalize_basic

RECIPES = Path(__file__).resolve().parents[1]
MINI, MORE_LIBRI = "librispeech", "librispeech-100"
CV_DEV_SHARE = 0.1  # of the client_ids, those whose SHA-256 is smallest
Parts = dict[str, list[Utterance]]  # "train", "dev" and "test" of one corpus, as far as it has them


def prepare(corpus: Path, out: Path, *, without: str = "", complete: bool = True) -> str:
    """Write the manifests and return the summary.

    Args:
        corpus: holds the folders of the corpora.
        out: folder for the manifests.
        without: sources to leave out of train, separated by commas, to measure what each is worth.
        complete: insist on the published number of utterances where one is known.
    """
    found, notes = _read_all(corpus, complete=complete)
    plain = {source: {part: _plain(source, us, notes) for part, us in parts.items()} for source, parts in found.items()}
    held_out = {
        part if source == MINI else f"{part}-{source}": utterances
        for source, parts in plain.items()
        for part, utterances in parts.items()
        if part != "train"
    }
    unwanted = {name.strip() for name in without.split(",") if name.strip()}
    if unknown := unwanted - plain.keys():
        raise DataError(f"without={', '.join(sorted(unknown))}: not one of {', '.join(plain)}.")
    train = [u for source, parts in plain.items() if source not in unwanted for u in parts["train"]]
    kept = _without_sentences(train, held_out, notes)
    _check_speakers(kept, held_out)
    notes += _by_source(kept)
    others = {name: us for name, us in held_out.items() if name not in ("dev", "test")}
    return write_splits(out, Splits(train=kept, dev=held_out["dev"], test=held_out["test"], others=others, notes=notes))


def _read_all(corpus: Path, *, complete: bool) -> tuple[dict[str, Parts], list[str]]:
    """The parts of every corpus in the folder, by source, and a note on the absent ones."""
    readers: dict[str, tuple[str, Callable[[Path], Parts]]] = {
        MINI: ("LibriSpeech", lambda folder: _by_recipe("librispeech", folder, complete=complete)),
        MORE_LIBRI: ("librispeech-100-part", _librispeech_100),
        "common-voice-v1": ("common-voice-v1", _common_voice_v1),
        "common-voice": ("common-voice-extra", _common_voice),
        "vctk": ("vctk-p239", _vctk),
        "ljspeech": ("ljspeech-part", _ljspeech),
        "speechocean762": ("speechocean762", lambda folder: _by_recipe("speechocean762", folder, complete=complete)),
        "an4": ("an4", lambda folder: _by_recipe("an4", folder, complete=complete)),
    }
    present = {source: reader(corpus / name) for source, (name, reader) in readers.items() if (corpus / name).is_dir()}
    if MINI not in present:
        raise DataError(f"{corpus} has no LibriSpeech (train-clean-5, dev-clean), which dev and test come from.")
    absent = [name for source, (name, _) in readers.items() if source not in present]
    return present, [f"Absent, so not in train: {', '.join(absent)}."] if absent else []


def _by_recipe(recipe: str, folder: Path, *, complete: bool) -> Parts:
    """The manifests of the corpus's own recipe, dev and test included."""
    with tempfile.TemporaryDirectory() as scratch:
        run_prepare(RECIPES / recipe, folder, Path(scratch), {"complete": complete})
        return {part: list(read_manifest(Path(scratch) / f"{part}.jsonl")) for part in ("train", "dev", "test")}


def _librispeech_100(folder: Path) -> Parts:
    reader = load_recipe(RECIPES / "librispeech")
    return {"train": reader._read_part(folder, "train-clean-100", complete=False)}


def _common_voice_v1(folder: Path) -> Parts:
    return {"train": read_table(folder / "cv-valid-dev.csv")}


def _common_voice(folder: Path) -> Parts:
    """Speakers are client_ids; clips without one can only train."""
    utterances = read_table(folder / "en" / "validated.tsv")
    speakers = sorted({str(u.speaker) for u in utterances if u.speaker}, key=_hash)
    dev = set(speakers[: round(CV_DEV_SHARE * len(speakers))])
    return {
        "train": [u for u in utterances if u.speaker not in dev],
        "dev": [u for u in utterances if u.speaker in dev],
    }


def _vctk(folder: Path) -> Parts:
    """``txt/SPEAKER/ID.txt`` with ``wav48/SPEAKER/ID.*``."""
    utterances = []
    for text in sorted(folder.resolve().glob("txt/*/*.txt")):
        audio = _beside(folder.resolve() / "wav48" / text.parent.name, text.stem)
        words = text.read_text(encoding="utf-8")
        utterances.append(Utterance(id=text.stem, audio=audio, duration_s=0.0, text=words, speaker=text.parent.name))
    return {"train": with_durations(utterances, where=str(folder))}


def _ljspeech(folder: Path) -> Parts:
    """``metadata.csv`` with lines ``ID|text|text with numbers in words``, no header, and ``wavs/ID.*``."""
    lines = (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line]
    utterances = [
        Utterance(
            id=row[0], audio=_beside(folder.resolve() / "wavs", row[0]), duration_s=0.0, text=row[-1], speaker="lj"
        )
        for row in rows
    ]
    return {"train": with_durations(utterances, where=str(folder))}


def _beside(folder: Path, stem: str) -> str:
    """The recording of that name, in any format; ``with_durations`` reports an absent one."""
    return str(next(iter(sorted(folder.glob(f"{stem}.*"))), folder / stem))


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _plain(source: str, utterances: Iterable[Utterance], notes: list[str]) -> list[Utterance]:
    """Texts as letters and apostrophes, speakers with the source before their names, the source as a field."""
    kept, dropped = [], []
    for utterance in utterances:
        text = plain_text(utterance.text)
        if not re.fullmatch(r"[a-z' ]+", text):
            dropped.append(utterance.id)
            continue
        speaker = f"{source}-{utterance.speaker}" if utterance.speaker else None
        extra = {**{k: v for k, v in utterance.extra.items() if k in ("age", "gender")}, "source": source}
        kept.append(dataclasses.replace(utterance, text=text, speaker=speaker, extra=extra))
    if dropped:
        notes.append(f"{source}: {len(dropped)} texts hold more than letters and are left out: {_some(dropped)}.")
    return kept


def plain_text(text: str) -> str:
    """Lower case without punctuation, hyphens as spaces: ``well-known`` is two words."""
    return normalize_basic(text).replace("-", " ")


def _without_sentences(
    train: list[Utterance], held_out: dict[str, list[Utterance]], notes: list[str]
) -> list[Utterance]:
    """Train without the utterances whose whole text is one of dev or test, be it one word ("yes" in AN4)."""
    where = {u.text: name for name, utterances in held_out.items() for u in utterances}
    removed = {u.id: where[u.text] for u in train if u.text in where}
    lost = Counter((str(u.extra["source"]), removed[u.id]) for u in train if u.id in removed)
    for (source, name), count in sorted(lost.items()):
        notes.append(f"{source}: {count} training utterances have a sentence of {name} and are left out.")
    return [u for u in train if u.id not in removed]


def _check_speakers(train: list[Utterance], held_out: dict[str, list[Utterance]]) -> None:
    """The same speaker number in two parts of LibriSpeech is the same person."""
    seen = {_person(u) for u in train if u.speaker}
    for name, utterances in held_out.items():
        if shared := sorted({_person(u) for u in utterances if u.speaker} & seen):
            raise DataError(f"{len(shared)} speaker(s) are in train and in {name}: {_some(shared)}.")


def _person(utterance: Utterance) -> str:
    return str(utterance.speaker).replace(f"{MORE_LIBRI}-", f"{MINI}-")


def _by_source(train: list[Utterance]) -> Iterator[str]:
    for source, count in Counter(str(u.extra["source"]) for u in train).items():
        hours = sum(u.duration_s for u in train if u.extra["source"] == source) / 3600
        yield f"train, {source}: {count} utterances, {hours:.2f} h"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
