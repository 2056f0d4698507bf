"""LibriSpeech: read English books; 100 h, 960 h, or the 5 h of mini LibriSpeech.

In: the folder that holds ``train-clean-100``, ``dev-clean``, ... in the official layout SPEAKER/CHAPTER/*.trans.txt,
the audio in any format. Out: train, dev, test, and ``test-other`` and ``dev-other`` where present. Texts become
lower case.
"""

from pathlib import Path
from typing import Literal

from asr.audio import AUDIO_EXTENSIONS
from asr.data.fetch import fetch_archive
from asr.data.manifest import Utterance
from asr.data.recordings import with_durations
from asr.data.records import raise_problems
from asr.data.splits import Splits, expect_count, write_splits
from asr.errors import DataError

TRAIN_PARTS = {
    "mini": ("train-clean-5",),
    "100": ("train-clean-100",),
    "960": ("train-clean-100", "train-clean-360", "train-other-500"),
}
UTTERANCES = {
    "train-clean-5": 1519,
    "train-clean-100": 28539,
    "train-clean-360": 104014,
    "train-other-500": 148688,
    "dev-clean": 2703,
    "dev-other": 2864,
    "test-clean": 2620,
    "test-other": 2939,
}
HOME = "https://www.openslr.org/resources"
# sha256 as torchaudio.datasets.librispeech has them; train-clean-5: the md5 that its host publishes.
SHA256 = {
    "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
}
MD5 = {"train-clean-5": "5df7d4e78065366204ca6845bb08f490"}
MINI_DEV_SPEAKERS = frozenset({"251", "1993", "2277", "2902"})
MINI_TEST_SPEAKERS = frozenset(
    {"84", "174", "422", "652", "777", "1272", "1462", "1673"}
    | {"1919", "1988", "2035", "2078", "2086", "2412", "2428", "2803"}
)
MINI_DEV_UTTERANCES, MINI_TEST_UTTERANCES = 266, 1047


def prepare(
    corpus: Path,
    out: Path,
    *,
    subset: Literal["mini", "100", "960"] = "mini",
    test_speakers: Literal["mini", "all"] = "mini",
    complete: bool = True,
) -> str:
    """Write the manifests and return the summary.

    Args:
        corpus: holds the folders of LibriSpeech, or holds ``LibriSpeech``, which does.
        out: folder for the manifests.
        subset: how much to train on. ``100`` and ``960`` have the official dev and test sets; ``mini`` trains on
            train-clean-5 and cuts dev-clean into dev (4 speakers) and test.
        test_speakers: for ``mini``: the 16 speakers of dev-clean on which our figures are measured, or all but dev's.
        complete: require the published number of utterances.
    """
    root = _root(corpus)
    train = [u for part in TRAIN_PARTS[subset] for u in _read_part(root, part, complete=complete)]
    if subset == "mini":
        return write_splits(out, _mini(root, train, every_speaker=test_speakers == "all", complete=complete))
    others = {
        name: _read_part(root, name, complete=complete)
        for name in ("dev-other", "test-other")
        if (root / name).is_dir()
    }
    dev = _read_part(root, "dev-clean", complete=complete)
    test = _read_part(root, "test-clean", complete=complete)
    return write_splits(out, Splits(train=train, dev=dev, test=test, others=others))


def download(corpus: Path, *, subset: Literal["mini", "100", "960"] = "mini") -> None:
    """Fetch the parts of ``subset`` that ``corpus`` lacks (0.7 GB, 7.6 GB, 61 GB packed; as much again unpacked)."""
    parts = ("dev-clean",) if subset == "mini" else ("dev-clean", "dev-other", "test-clean", "test-other")
    for part in (*TRAIN_PARTS[subset], *parts):
        url = f"{HOME}/{31 if part in MD5 else 12}/{part}.tar.gz"
        present = (_root(corpus) / part).is_dir()
        fetch_archive(url, corpus, present=present, sha256=SHA256.get(part), md5=MD5.get(part))


def _root(corpus: Path) -> Path:
    return corpus / "LibriSpeech" if (corpus / "LibriSpeech").is_dir() else corpus


def _mini(root: Path, train: list[Utterance], *, every_speaker: bool, complete: bool) -> Splits:
    held_out = _read_part(root, "dev-clean", complete=False)
    dev = [u for u in held_out if u.speaker in MINI_DEV_SPEAKERS]
    test = [
        u for u in held_out if u.speaker not in MINI_DEV_SPEAKERS and (every_speaker or u.speaker in MINI_TEST_SPEAKERS)
    ]
    expect_count("dev (speakers 251, 1993, 2277, 2902 of dev-clean)", len(dev), MINI_DEV_UTTERANCES, complete=complete)
    if not every_speaker:
        expect_count("test (16 speakers of dev-clean)", len(test), MINI_TEST_UTTERANCES, complete=complete)
    unused = len(held_out) - len(dev) - len(test)
    notes = [f"{unused} utterances of other dev-clean speakers are left out (test_speakers=all)."] if unused else []
    return Splits(train=train, dev=dev, test=test, notes=notes)


def _read_part(root: Path, part: str, *, complete: bool) -> list[Utterance]:
    folder = (root / part).resolve()
    if not folder.is_dir():
        there = ", ".join(name for name in UTTERANCES if (root / name).is_dir()) or "none of LibriSpeech's folders"
        raise DataError(f"{root} has no {part} (there: {there}). Give the LibriSpeech folder, or add --download.")
    problems: list[str] = []
    utterances: list[Utterance] = []
    for transcript in sorted(folder.glob("*/*/*.trans.txt"), key=lambda file: _numbers(file.name)):
        utterances += _read_chapter(transcript, problems)
    raise_problems(str(folder), problems)
    expect_count(f"Utterances in {folder}", len(utterances), UTTERANCES[part], complete=complete)
    return with_durations(utterances)


def _read_chapter(transcript: Path, problems: list[str]) -> list[Utterance]:
    """Utterances of one ``SPEAKER-CHAPTER.trans.txt``, each line ``ID TEXT``, the audio next to it."""
    audio = {file.stem: file for file in transcript.parent.iterdir() if file.suffix.lower() in AUDIO_EXTENSIONS}
    utterances = []
    named = set()
    for number, line in enumerate(transcript.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, text = line.strip().partition(" ")
        named.add(name)
        if name not in audio or not text.strip():
            problems.append(f"{transcript}:{number}: {name or 'blank line'}: no {'text' if name in audio else 'audio'}")
            continue
        speaker = name.split("-")[0]
        text = " ".join(text.lower().split())
        utterances.append(Utterance(id=name, audio=str(audio[name]), duration_s=0.0, text=text, speaker=speaker))
    problems += [f"{transcript}: no line for {audio[name].name}" for name in sorted(set(audio) - named)]
    return utterances


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(word) for word in name.split(".")[0].split("-") if word.isdigit())
