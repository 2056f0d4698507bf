"""LibriSpeech and speechocean762 recipes: made-up corpora in the original layout, and the real ones where available."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.data.manifest import Utterance, read_manifest
from asr.data.prepare import run_prepare
from asr.errors import ConfigError, DataError

RECIPES = Path(__file__).parents[2] / "recipes"
LIBRISPEECH = RECIPES / "librispeech"
OCEAN = RECIPES / "speechocean762"


def write_tone(path: Path, duration_s: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(duration_s * 16000)) / 5), 16000)


def write_chapter(root: Path, part: str, speaker: str, suffix: str = ".flac", count: int = 2) -> Path:
    folder = root / part / speaker / "77"
    names = [f"{speaker}-77-{n:04d}" for n in range(count)]
    for name in names:
        write_tone(folder / f"{name}{suffix}")
    transcript = folder / f"{speaker}-77.trans.txt"
    transcript.write_text("".join(f"{name} THE MAN'S  HAT\n" for name in names))
    return transcript


def parts(out: Path) -> dict[str, list[Utterance]]:
    return {file.stem: list(read_manifest(file)) for file in sorted(out.glob("*.jsonl"))}


def test_librispeech_mini_cuts_dev_clean_by_the_named_speakers(tmp_path: Path) -> None:
    write_chapter(tmp_path, "train-clean-5", "19", ".ogg")
    for speaker in ("251", "2902", "84", "9999"):
        write_chapter(tmp_path, "dev-clean", speaker, ".mp3")
    summary = run_prepare(LIBRISPEECH, tmp_path, tmp_path / "out", {"complete": False})
    found = parts(tmp_path / "out")
    assert {name: {u.speaker for u in found[name]} for name in found} == {
        "train": {"19"},
        "dev": {"251", "2902"},
        "test": {"84"},
    }
    assert "2 utterances of other dev-clean speakers are left out" in summary
    assert found["train"][0].text == "the man's hat"
    run_prepare(LIBRISPEECH, tmp_path, tmp_path / "all", {"complete": False, "test_speakers": "all"})
    assert {u.speaker for u in parts(tmp_path / "all")["test"]} == {"84", "9999"}


def test_librispeech_100_and_960_use_the_official_parts(tmp_path: Path) -> None:
    root = tmp_path / "LibriSpeech"
    for speaker, part in enumerate(
        ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "test-clean", "test-other"), start=1
    ):
        write_chapter(root, part, str(speaker))
    run_prepare(LIBRISPEECH, tmp_path, tmp_path / "100", {"subset": "100", "complete": False})
    assert {name: {u.speaker for u in us} for name, us in parts(tmp_path / "100").items()} == {
        "train": {"1"},
        "dev": {"4"},
        "test": {"5"},
        "test-other": {"6"},
    }
    run_prepare(LIBRISPEECH, root, tmp_path / "960", {"subset": "960", "complete": False})
    assert {u.speaker for u in parts(tmp_path / "960")["train"]} == {"1", "2", "3"}


def test_librispeech_errors_are_listed_together_with_file_and_line(tmp_path: Path) -> None:
    first = write_chapter(tmp_path, "train-clean-5", "19")
    second = write_chapter(tmp_path, "train-clean-5", "26")
    (first.parent / "19-77-0001.flac").unlink()
    second.write_text("26-77-0000 TEXT\n")
    with pytest.raises(DataError) as caught:
        run_prepare(LIBRISPEECH, tmp_path, tmp_path / "out", {"complete": False})
    assert "19-77.trans.txt:2: 19-77-0001: no audio" in str(caught.value)
    assert "no line for 26-77-0001.flac" in str(caught.value)


def test_librispeech_missing_parts_and_wrong_subset_are_named(tmp_path: Path) -> None:
    write_chapter(tmp_path, "train-clean-5", "19")
    with pytest.raises(DataError, match=r"has no dev-clean \(there: train-clean-5\)"):
        run_prepare(LIBRISPEECH, tmp_path, tmp_path / "out", {"complete": False})
    with pytest.raises(DataError, match=r"found 2, expected 1519"):
        run_prepare(LIBRISPEECH, tmp_path, tmp_path / "out", {})
    with pytest.raises(ConfigError, match=r"choose one of mini, 100, 960"):
        run_prepare(LIBRISPEECH, tmp_path, tmp_path / "out", {"subset": "500"})


@pytest.fixture
def ocean(tmp_path: Path) -> Path:
    root = tmp_path / "ocean"
    for part, speakers in (("train", ("0001", "0007", "1027")), ("test", ("0003", "0017"))):
        rows: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2spk", "spk2age", "spk2gender")}
        for speaker in speakers:
            name = f"{speaker}00011"
            write_tone(root / "WAVE" / f"SPEAKER{speaker}" / f"{name}.flac")
            rows["wav.scp"].append(f"{name}\tWAVE/SPEAKER{speaker}/{name}.WAV")
            rows["text"].append(f"{name}\tWE CALL IT BEAR")
            rows["utt2spk"].append(f"{name} {speaker}")
            rows["spk2age"].append(f"{speaker}\t6")
            rows["spk2gender"].append(f"{speaker}\tf")
        (root / part).mkdir()
        for name, lines in rows.items():
            (root / part / name).write_text("".join(f"{line}\n" for line in lines))
    return root


def test_speechocean_dev_is_the_training_speakers_ending_in_7(ocean: Path, tmp_path: Path) -> None:
    run_prepare(OCEAN, ocean, tmp_path / "out", {"complete": False})
    found = parts(tmp_path / "out")
    assert {name: [u.speaker for u in us] for name, us in found.items()} == {
        "train": ["0001"],
        "dev": ["0007", "1027"],
        "test": ["0003", "0017"],
    }
    assert dict(found["train"][0].extra) == {"age": 6, "gender": "f"}
    assert found["train"][0].text == "we call it bear"


def test_speechocean_errors_are_named(ocean: Path, tmp_path: Path) -> None:
    (ocean / "WAVE" / "SPEAKER0001" / "000100011.flac").unlink()
    (ocean / "train" / "spk2age").write_text("0001 6\n1027 six\n")
    with pytest.raises(DataError) as caught:
        run_prepare(OCEAN, ocean, tmp_path / "out", {"complete": False})
    for part in ("000100011.WAV does not exist", "000700011: missing in spk2age", "102700011: missing in spk2age as"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match=r"give the speechocean762 folder"):
        run_prepare(OCEAN, tmp_path, tmp_path / "out", {})


def test_real_mini_librispeech_has_1519_266_1047(corpora: Path, tmp_path: Path) -> None:
    run_prepare(LIBRISPEECH, corpora / "LibriSpeech", tmp_path, {})
    found = parts(tmp_path)
    assert [len(found[part]) for part in ("train", "dev", "test")] == [1519, 266, 1047]
    assert sum(u.duration_s for u in found["train"]) / 3600 == pytest.approx(5.31, abs=0.01)


def test_real_speechocean_has_2340_160_2500(corpora: Path, tmp_path: Path) -> None:
    run_prepare(OCEAN, corpora / "speechocean762", tmp_path, {})
    found = parts(tmp_path)
    assert [len(found[part]) for part in ("train", "dev", "test")] == [2340, 160, 2500]
    assert sum(u.duration_s for u in found["test"]) / 3600 == pytest.approx(2.69, abs=0.01)
