"""Mboshi (Bantu C25, Congo): 5,130 utterances of three speakers; the corpus's own train, and its dev as test.

In: the folder that holds ``full_corpus_newsplit/``, with a ``.mb`` (the linguists' transcription) beside each ``.wav``.
Out: train, dev (made out of train by a rule: there is no third part) and test, with what was elicited as ``source``:
"dico" or "part", as the recordings are named.
"""

import hashlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from asr.data.manifest import Utterance
from asr.data.recordings import with_durations
from asr.data.records import raise_problems
from asr.data.splits import Splits, expect_count, write_splits
from asr.errors import ConfigError, DataError
from asr.text.basic import normalize_letters

URL = "https://github.com/besacier/mboshi-french-parallel-corpus"
COMMIT = "83c5b428a8251881711fa45e4ea5bb5ea6bcdc9b"
FOLDER = "full_corpus_newsplit"
COUNTS = {"train": 4616, "dev": 514}
_NAME = re.compile(r"(?P<speaker>[a-z]+)_(?P<session>.+)_elicit_(?P<source>[A-Za-z]+)\d+_\d+")


def prepare(
    corpus: Path,
    out: Path,
    *,
    dev_share: float = 0.05,
    leave_out: str | None = None,
    complete: bool = True,
) -> str:
    """Write train, dev and test manifests and return the summary.

    Args:
        corpus: holds ``full_corpus_newsplit/``, or is that folder.
        out: folder for the manifests.
        dev_share: about this share of the different texts of train is dev: those with the lowest SHA-256.
        leave_out: a speaker (abiayi, kouarata, martial) whose utterances of both parts are the test; dev of the others
            is then test-known, and utterances with the text of a test utterance are left out of train.
        complete: require 4,616 and 514 utterances.
    """
    if not 0 < dev_share < 1:
        raise ConfigError(f"recipes/mboshi: dev_share={dev_share} must be between 0 and 1")
    root = _root(corpus)
    train, test = (_read(root / part, complete=complete) for part in ("train", "dev"))
    others: dict[str, list[Utterance]] = {}
    notes = []
    if leave_out is not None:
        train, test, others = _without(leave_out, train, test)
    tested = {normalize_letters(one.text) for part in (test, *others.values()) for one in part}
    kept = [one for one in train if normalize_letters(one.text) not in tested]
    if len(kept) < len(train):
        notes.append(f"{len(train) - len(kept)} utterances of train have the text of a test utterance: left out.")
    is_dev = [_place(one.text) < dev_share for one in kept]
    dev = [one for one, taken in zip(kept, is_dev, strict=True) if taken]
    train = [one for one, taken in zip(kept, is_dev, strict=True) if not taken]
    return write_splits(out, Splits(train=train, dev=dev, test=test, others=others, notes=notes))


def download(corpus: Path) -> None:
    """Fetch the two folders (0.5 GB) at a fixed commit into ``corpus`` with git, unless they are there."""
    if _find_root(corpus) is not None:
        return
    corpus.mkdir(parents=True, exist_ok=True)
    _git(corpus, "init", "--quiet")
    _git(corpus, "config", "remote.origin.url", URL)
    _git(corpus, "sparse-checkout", "set", f"{FOLDER}/train", f"{FOLDER}/dev")
    _git(corpus, "fetch", "--quiet", "--depth", "1", "--filter=blob:none", "origin", COMMIT)
    _git(corpus, "checkout", "--quiet", "--force", COMMIT)  # fetches the files, whole or not at all


def _git(folder: Path, *arguments: str) -> None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise DataError(
            f"{URL} is downloaded with git, which is not installed: install it, or clone elsewhere"
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DataError(f"{URL} cannot be downloaded into {folder}: git {arguments[0]}: {last}. Try again.")


def _find_root(corpus: Path) -> Path | None:
    places = (corpus, corpus / FOLDER)
    return next((one.resolve() for one in places if any((one / "train").glob("*.mb"))), None)


def _root(corpus: Path) -> Path:
    found = _find_root(corpus)
    if found is None:
        raise DataError(
            f"{corpus} is not the Mboshi corpus: give the folder that holds {FOLDER}/train and {FOLDER}/dev."
        )
    return found


def _read(folder: Path, *, complete: bool) -> list[Utterance]:
    """The utterances of one of the corpus's parts. Raises DataError listing what is not as it should be."""
    audio = {file.stem: file for file in sorted(folder.glob("*.wav"))}
    texts = {file.stem: file for file in folder.glob("*.mb")}
    problems = [f"{name}: no {name}.mb beside it" for name in audio if name not in texts]
    problems += [f"{name}.mb: no recording beside it" for name in sorted(texts) if name not in audio]
    utterances = []
    for name in (one for one in audio if one in texts):
        found = _NAME.fullmatch(name)
        text = " ".join(texts[name].read_text(encoding="utf-8", errors="replace").split())
        if found is None or not text:
            problems.append(f"{name}: {'the transcript is empty' if found else 'not SPEAKER_..._elicit_SOURCE_NUMBER'}")
            continue
        utterances.append(
            Utterance(
                id=name,
                audio=str(audio[name]),
                duration_s=0.0,
                text=text,
                speaker=found["speaker"],
                extra={"source": found["source"].lower()},
            )
        )
    raise_problems(str(folder), problems)
    expect_count(f"Utterances in {folder}", len(utterances), COUNTS[folder.name], complete=complete)
    return with_durations(utterances, where=str(folder))


def _without(
    speaker: str, train: Sequence[Utterance], test: Sequence[Utterance]
) -> tuple[list[Utterance], list[Utterance], dict[str, list[Utterance]]]:
    """Train without the speaker, all of the speaker as test, and the test of the others."""
    speakers = sorted({str(one.speaker) for one in train})
    if speaker not in speakers:
        raise ConfigError(f"leave_out={speaker}: no such speaker. Choose one of {', '.join(speakers)}")
    everything = [*train, *test]
    own = [one for one in everything if one.speaker == speaker]
    known = [one for one in test if one.speaker != speaker]
    return [one for one in train if one.speaker != speaker], own, {"test-known": known}


def _place(text: str) -> float:
    """Where the text is among all, from 0 to 1, by its SHA-256: equal texts are in one part, whoever says them."""
    return int.from_bytes(hashlib.sha256(normalize_letters(text).encode()).digest()[:8]) / 2**64
