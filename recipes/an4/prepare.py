"""CMU AN4: 948 + 130 utterances of spelled words, numbers and commands; its own train and test.

In: the folder that holds ``etc/`` and ``wav/``. Out: train, dev (taken from train: there is no published dev) and test.

Two differences between copies in circulation are handled and reported: file lists that start with a blank line, and
test speaker fcaw, of whom some copies have the recordings but no transcripts (117 of the 130 utterances remain then).
"""

import re
from pathlib import Path
from typing import Literal

from asr.audio import AUDIO_EXTENSIONS
from asr.data.fetch import fetch_archive
from asr.data.manifest import Utterance
from asr.data.recordings import with_durations
from asr.data.records import raise_problems
from asr.data.splits import Splits, expect_count, split_off_speakers, write_splits
from asr.errors import DataError

URL = "http://www.speech.cs.cmu.edu/databases/an4/an4_sphere.tar.gz"  # publishes no checksum: prepare counts
TRAIN_UTTERANCES = 948
TEST_UTTERANCES = 130
INCOMPLETE_SPEAKER = "fcaw"
INCOMPLETE_UTTERANCES = 13
RAW_EXTENSIONS = {".raw"}  # headerless: soundfile cannot know rate and width


def prepare(
    corpus: Path,
    out: Path,
    *,
    dev: Literal["speaker", "file"] = "speaker",
    dev_share: float = 0.1,
    seed: int = 0,
    complete: bool = True,
) -> str:
    """Write train, dev and test manifests and return the summary.

    Args:
        corpus: holds ``etc/`` and ``wav/``.
        out: folder for the manifests.
        dev: ``speaker`` takes whole speakers from train for dev; ``file`` takes every tenth file.
        dev_share: share of the training utterances for ``dev=speaker``.
        seed: chooses the speakers.
        complete: require 948 and 130 utterances (117 where fcaw has no transcripts).
    """
    root = _root(corpus)
    recordings = _recordings(root)
    notes: list[str] = []
    listed = {part: _read_part(root, part, recordings, notes) for part in ("train", "test")}
    missing = INCOMPLETE_UTTERANCES if any(INCOMPLETE_SPEAKER in note for note in notes) else 0
    expect_count("AN4 training utterances", len(listed["train"]), TRAIN_UTTERANCES, complete=complete)
    expect_count("AN4 test utterances", len(listed["test"]), TEST_UTTERANCES - missing, complete=complete)
    everything = with_durations(listed["train"] + listed["test"])
    train, test = everything[: len(listed["train"])], everything[len(listed["train"]) :]
    if dev == "speaker":
        train, held_out = split_off_speakers(train, dev_share, seed=seed)
    else:
        held_out = train[9::10]
        train = [u for position, u in enumerate(train) if position % 10 != 9]
    return write_splits(out, Splits(train=train, dev=held_out, test=test, notes=notes))


def download(corpus: Path) -> None:
    """Fetch the NIST SPHERE archive (64 MB) into ``corpus`` unless the corpus is there."""
    fetch_archive(URL, corpus, present=_find_root(corpus) is not None)


def _find_root(corpus: Path) -> Path | None:
    places = (corpus, corpus / "an4")
    return next((place.resolve() for place in places if (place / "etc" / "an4_train.fileids").is_file()), None)


def _root(corpus: Path) -> Path:
    found = _find_root(corpus)
    if found is not None:
        return found
    raise DataError(f"{corpus} is not AN4: it holds no etc/an4_train.fileids. Give the folder with etc/ and wav/.")


def _recordings(root: Path) -> dict[str, Path]:
    """Every recording by its id, which is its path below ``wav/`` without the extension."""
    folder = root / "wav"
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in AUDIO_EXTENSIONS
    }


def _read_part(root: Path, part: str, recordings: dict[str, Path], notes: list[str]) -> list[Utterance]:
    fileids = [line.strip() for line in _lines(root / "etc" / f"an4_{part}.fileids") if line.strip()]
    texts = _read_transcription(root / "etc" / f"an4_{part}.transcription")
    found: list[Utterance] = []
    problems: list[str] = []
    skipped: list[str] = []
    for fileid in fileids:
        speaker, name = fileid.split("/")[-2:]
        lacks = [what for what, there in (("audio", fileid in recordings), ("transcript", name in texts)) if not there]
        if lacks and speaker == INCOMPLETE_SPEAKER:
            skipped.append(fileid)
        elif lacks:
            problems.append(f"{fileid}: no {' and no '.join(lacks)}{_raw_hint(root, fileid)}")
        else:
            audio = str(recordings[fileid])
            found.append(Utterance(id=name, audio=audio, duration_s=0.0, text=texts[name], speaker=speaker))
    raise_problems(str(root / "etc" / f"an4_{part}.fileids"), problems)
    prefix = {"train": "an4_clstk/", "test": "an4test_clstk/"}[part]
    unlisted = {fileid for fileid in recordings if fileid.startswith(prefix)} - set(fileids)
    skipped += [fileid for fileid in unlisted if fileid.split("/")[-2] == INCOMPLETE_SPEAKER]
    if skipped:
        notes.append(f"{part}: {len(skipped)} utterances of speaker {INCOMPLETE_SPEAKER} lack audio or transcript.")
    return found


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise DataError(f"{file} is missing: the AN4 folder is incomplete.")
    return file.read_text(encoding="utf-8").splitlines()


def _read_transcription(file: Path) -> dict[str, str]:
    """Utterance id → lower-case text, from lines such as ``<s> YES </s> (an251-fash-b)``; blank lines are skipped."""
    texts: dict[str, str] = {}
    problems = []
    for number, line in enumerate(_lines(file), start=1):
        match = re.fullmatch(r"(.*)\(([^()\s]+)\)", line.strip())
        if match:
            texts[match[2]] = " ".join(re.sub(r"</?s>", " ", match[1]).lower().split())
        elif line.strip():
            problems.append(f"{file}:{number}: no (utterance-id) at the end: {line.strip()[:60]!r}")
    raise_problems(str(file), problems)
    return texts


def _raw_hint(root: Path, fileid: str) -> str:
    raw = (root / "wav" / fileid).with_suffix(".raw")
    return " (only a headerless .raw; take the NIST .sph archive instead)" if raw.exists() else ""
