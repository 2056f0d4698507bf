"""speechocean762: English sentences read by 250 Mandarin speakers, half of them children; its own train and test.

In: the folder that holds ``train/``, ``test/`` (Kaldi data folders) and ``WAVE/``. Out: train, dev (the training
speakers whose number ends in 7; there is no published dev) and test, with each speaker's age and gender.
"""

from pathlib import Path

from asr.data.fetch import fetch_archive
from asr.data.kaldi import read_kaldi_table
from asr.data.manifest import Scalar, Utterance
from asr.data.recordings import with_durations
from asr.data.records import raise_problems
from asr.data.splits import Splits, expect_count, write_splits
from asr.errors import DataError

URL = "https://www.openslr.org/resources/101/speechocean762.tar.gz"  # publishes no checksum: prepare counts
UTTERANCES = 2500  # in train, and again in test
DEV_LAST_DIGIT = "7"


def prepare(corpus: Path, out: Path, *, complete: bool = True) -> str:
    """Write train, dev and test manifests and return the summary.

    Args:
        corpus: holds ``train/``, ``test/`` and ``WAVE/``.
        out: folder for the manifests.
        complete: require 2500 utterances in train and in test.
    """
    root = _root(corpus)
    train, test = (_read_part(root, part, complete=complete) for part in ("train", "test"))
    dev = [u for u in train if str(u.speaker).endswith(DEV_LAST_DIGIT)]
    train = [u for u in train if not str(u.speaker).endswith(DEV_LAST_DIGIT)]
    return write_splits(out, Splits(train=train, dev=dev, test=test))


def download(corpus: Path) -> None:
    """Fetch the archive (520 MB) into ``corpus`` unless the corpus is there."""
    fetch_archive(URL, corpus, present=(_root(corpus) / "train" / "wav.scp").is_file())


def _root(corpus: Path) -> Path:
    return corpus / "speechocean762" if (corpus / "speechocean762").is_dir() else corpus


def _read_part(corpus: Path, part: str, *, complete: bool) -> list[Utterance]:
    folder = corpus / part
    if not (folder / "wav.scp").is_file():
        raise DataError(f"{folder}/wav.scp is missing: give the speechocean762 folder (it holds train, test and WAVE).")
    problems: list[str] = []
    tables = {
        name: read_kaldi_table(folder / name, problems)
        for name in ("wav.scp", "text", "utt2spk", "spk2age", "spk2gender")
    }
    utterances = []
    for name, listed in tables["wav.scp"].items():
        audio = _find_audio(corpus, listed)
        speaker = tables["utt2spk"].get(name, "")
        lacks = [what for what in ("text", "utt2spk") if name not in tables[what]]
        lacks += [what for what in ("spk2age", "spk2gender") if speaker not in tables[what]]
        lacks += ["spk2age as a number"] if not tables["spk2age"].get(speaker, "0").isdigit() else []
        if lacks or audio is None:
            problems.append(f"{name}: missing in {', '.join(lacks)}" if lacks else f"{name}: {listed} does not exist")
            continue
        extra: dict[str, Scalar] = {"age": int(tables["spk2age"][speaker]), "gender": tables["spk2gender"][speaker]}
        text = " ".join(tables["text"][name].lower().split())
        utterances.append(Utterance(id=name, audio=str(audio), duration_s=0.0, text=text, speaker=speaker, extra=extra))
    raise_problems(str(folder), problems)
    expect_count(f"Utterances in {folder}", len(utterances), UTTERANCES, complete=complete)
    return with_durations(utterances)


def _find_audio(corpus: Path, listed: str) -> Path | None:
    """The listed file, or the same name in another format (copies of the corpus are often recompressed)."""
    path = corpus.resolve() / listed
    if path.is_file():
        return path
    return next(iter(sorted(path.parent.glob(f"{path.stem}.*"))), None)
