"""Free Spoken Digit Dataset: 3000 recordings ``{digit}_{speaker}_{index}`` of six speakers at 8 kHz.

In: the corpus folder (the one that holds ``recordings/``, or that folder itself). Out: the published split, where
indices 0 to 4 are the test; or, with ``leave_out=SPEAKER``, that speaker's 500 recordings as the test. The second
measures new speakers: in the published split every test speaker is in train.
"""

import re
from pathlib import Path

from asr.audio import AUDIO_EXTENSIONS
from asr.data.fetch import fetch_archive
from asr.data.manifest import Utterance
from asr.data.recordings import with_durations
from asr.data.records import raise_problems
from asr.data.splits import Splits, expect_count, write_splits
from asr.errors import ConfigError, DataError

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RECORDINGS = 3000
# The host packs it on request: its bytes, and so its checksum, are not fixed; prepare counts what is in it.
URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
TEST_INDICES = range(0, 5)  # published: the repository's README
DEV_INDICES = range(5, 10)  # ours: there is no published dev
FOLDS = 3  # of the 45 training indices, 15 each


def prepare(
    corpus: Path,
    out: Path,
    *,
    leave_out: str | None = None,
    dev_from_train: bool = True,
    fold: int | None = None,
    complete: bool = True,
) -> str:
    """Write train, dev and test manifests and return the summary.

    Args:
        corpus: holds ``recordings/``.
        out: folder for the manifests.
        leave_out: the speaker whose recordings are the test; train has the other five only.
        dev_from_train: take dev (indices 5 to 9) from train; if false, train keeps them as the published split has
            it, and the dev figure is then one on training data.
        fold: 0, 1 or 2: dev is that third of the training indices (5 to 19, 20 to 34, 35 to 49), to choose settings by
            cross-validation, on three times 900 words instead of 300, without the test.
        complete: require all 3000 recordings.
    """
    utterances = with_durations(_utterances(corpus))
    expect_count(f"Recordings in {corpus}", len(utterances), RECORDINGS, complete=complete)
    speakers = sorted({str(u.speaker) for u in utterances})
    if leave_out is not None and leave_out not in speakers:
        raise ConfigError(f"leave_out={leave_out}: no such speaker. Choose one of {', '.join(speakers)}.")
    test = [u for u in utterances if (u.speaker == leave_out if leave_out else _index(u) in TEST_INDICES)]
    rest = [u for u in utterances if (u.speaker != leave_out if leave_out else _index(u) not in TEST_INDICES)]
    dev_indices = DEV_INDICES if fold is None else _fold_indices(fold)
    dev = [u for u in rest if _index(u) in dev_indices]
    train = [u for u in rest if _index(u) not in dev_indices] if dev_from_train else rest
    notes = [] if dev_from_train else ["dev is a part of train: its error says nothing about new recordings."]
    return write_splits(out, Splits(train=train, dev=dev, test=test, notes=notes))


def download(corpus: Path) -> None:
    """Fetch release 1.0.10 into ``corpus`` unless recordings are there."""
    fetch_archive(URL, corpus, present=_folder(corpus) != corpus)


def _folder(corpus: Path) -> Path:
    """Where the recordings are: in ``recordings``, also in that of an unpacked release, or in ``corpus`` itself."""
    places = [corpus / "recordings", *sorted(corpus.glob("free-spoken-digit-dataset*/recordings"))]
    return next((place for place in places if place.is_dir()), corpus)


def _utterances(corpus: Path) -> list[Utterance]:
    folder = _folder(corpus)
    files = sorted(file for file in folder.resolve().iterdir() if file.suffix.lower() in AUDIO_EXTENSIONS)
    if not files:
        raise DataError(f"{folder} holds no recordings: give the folder of free-spoken-digit-dataset.")
    matches = {file: re.fullmatch(r"(\d)_(\w+?)_(\d+)", file.stem) for file in files}
    raise_problems(
        str(folder), [f"{f.name}: not named DIGIT_SPEAKER_INDEX" for f, match in matches.items() if not match]
    )
    found = [
        Utterance(id=file.stem, audio=str(file), duration_s=0.0, text=WORDS[int(match[1])], speaker=match[2])
        for file, match in matches.items()
        if match
    ]
    return sorted(found, key=lambda u: (str(u.speaker), u.id[0], _index(u)))


def _fold_indices(fold: int) -> range:
    if fold not in range(FOLDS):
        raise ConfigError(f"fold={fold}: choose 0 to {FOLDS - 1}, or leave it out for the usual dev")
    return range(5 + 15 * fold, 20 + 15 * fold)


def _index(utterance: Utterance) -> int:
    return int(utterance.id.rpartition("_")[2])
