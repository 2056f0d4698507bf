"""FSDD and AN4 recipes: made-up corpora in the original layout, and the real ones where available."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.data.manifest import read_manifest
from asr.data.prepare import run_prepare
from asr.errors import ConfigError, DataError

RECIPES = Path(__file__).parents[2] / "recipes"


def write_tone(path: Path, duration_s: float = 0.5, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(duration_s * rate)) / 5), rate)


def ids(manifest: Path) -> list[str]:
    return [u.id for u in read_manifest(manifest)]


@pytest.fixture
def fsdd(tmp_path: Path) -> Path:
    for speaker in ("ann", "bob"):
        for index in (0, 4, 5, 9, 10, 11):
            write_tone(tmp_path / "fsdd" / "recordings" / f"7_{speaker}_{index}.wav")
    return tmp_path / "fsdd"


def test_fsdd_published_split_tests_on_indices_0_to_4(fsdd: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_prepare(RECIPES / "fsdd", fsdd, out, {"complete": False})
    assert ids(out / "test.jsonl") == ["7_ann_0", "7_ann_4", "7_bob_0", "7_bob_4"]
    assert ids(out / "dev.jsonl") == ["7_ann_5", "7_ann_9", "7_bob_5", "7_bob_9"]
    assert ids(out / "train.jsonl") == ["7_ann_10", "7_ann_11", "7_bob_10", "7_bob_11"]
    first = read_manifest(out / "train.jsonl")[0]
    assert (first.text, first.speaker, first.duration_s) == ("seven", "ann", 0.5)


def test_fsdd_can_keep_dev_in_train_as_published_and_says_what_that_means(fsdd: Path, tmp_path: Path) -> None:
    summary = run_prepare(RECIPES / "fsdd", fsdd, tmp_path / "out", {"complete": False, "dev_from_train": False})
    assert len(ids(tmp_path / "out" / "train.jsonl")) == 8
    assert "dev is a part of train" in summary


def test_fsdd_leaving_a_speaker_out_tests_on_all_and_only_that_speaker(fsdd: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_prepare(RECIPES / "fsdd", fsdd, out, {"complete": False, "leave_out": "bob"})
    assert {u.speaker for u in read_manifest(out / "test.jsonl")} == {"bob"}
    assert len(ids(out / "test.jsonl")) == 6
    assert {u.speaker for part in ("train", "dev") for u in read_manifest(out / f"{part}.jsonl")} == {"ann"}


def test_fsdd_errors_are_named_all_at_once(fsdd: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found 12, expected 3000"):
        run_prepare(RECIPES / "fsdd", fsdd, tmp_path / "out", {})
    with pytest.raises(ConfigError, match=r"leave_out=eve: no such speaker. Choose one of ann, bob"):
        run_prepare(RECIPES / "fsdd", fsdd, tmp_path / "out", {"complete": False, "leave_out": "eve"})
    (fsdd / "recordings" / "1_ann_0.wav").write_bytes(b"not a wave")
    (fsdd / "recordings" / "2_bob_0.wav").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        run_prepare(RECIPES / "fsdd", fsdd, tmp_path / "out", {"complete": False})
    assert "1_ann_0.wav" in str(caught.value)
    assert "2_bob_0.wav" in str(caught.value)


def test_preparing_twice_gives_the_same_bytes(fsdd: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_prepare(RECIPES / "fsdd", fsdd, tmp_path / name, {"complete": False})
    for part in ("train", "dev", "test"):
        assert (tmp_path / "a" / f"{part}.jsonl").read_bytes() == (tmp_path / "b" / f"{part}.jsonl").read_bytes()


@pytest.fixture
def an4(tmp_path: Path) -> Path:
    root = tmp_path / "an4"
    train = [f"an4_clstk/sp{speaker}/an{speaker}{n}-sp{speaker}-b" for speaker in range(10) for n in range(2)]
    test = ["an4test_clstk/fcaw/an406-fcaw-b", "an4test_clstk/fjlp/an416-fjlp-b"]
    for fileid in train + test:
        write_tone(root / "wav" / f"{fileid}.wav", rate=16000)
    (root / "etc").mkdir()
    (root / "etc" / "an4_train.fileids").write_text("".join(f"{f}\n" for f in train))
    lines = [f"<s> ERASE C Q </s> ({f.split('/')[-1]})\n" for f in train]
    (root / "etc" / "an4_train.transcription").write_text("".join(lines))
    (root / "etc" / "an4_test.fileids").write_text(f"\n{test[1]}\n")
    (root / "etc" / "an4_test.transcription").write_text("\nNO (an416-fjlp-b)\n")
    return root


def test_an4_reads_its_lists_blank_lines_and_all(an4: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = run_prepare(RECIPES / "an4", an4, out, {"complete": False})
    (only,) = read_manifest(out / "test.jsonl")
    assert (only.id, only.text, only.speaker) == ("an416-fjlp-b", "no", "fjlp")
    assert "1 utterances of speaker fcaw lack audio or transcript" in summary
    train, dev = read_manifest(out / "train.jsonl"), read_manifest(out / "dev.jsonl")
    assert {u.text for u in train} == {"erase c q"}
    assert (len(train), len(dev)) == (18, 2)
    assert not {u.speaker for u in train} & {u.speaker for u in dev}


def test_an4_can_take_every_tenth_file_as_dev(an4: Path, tmp_path: Path) -> None:
    run_prepare(RECIPES / "an4", an4, tmp_path / "out", {"complete": False, "dev": "file"})
    assert ids(tmp_path / "out" / "dev.jsonl") == ["an41-sp4-b", "an91-sp9-b"]


def test_an4_missing_audio_of_any_other_speaker_is_an_error(an4: Path, tmp_path: Path) -> None:
    (an4 / "wav" / "an4_clstk" / "sp3" / "an30-sp3-b.wav").rename(an4 / "wav" / "an4_clstk" / "sp3" / "an30-sp3-b.raw")
    (an4 / "wav" / "an4_clstk" / "sp4" / "an40-sp4-b.wav").unlink()
    with pytest.raises(DataError) as caught:
        run_prepare(RECIPES / "an4", an4, tmp_path / "out", {"complete": False})
    assert "an4_clstk/sp3/an30-sp3-b: no audio (only a headerless .raw" in str(caught.value)
    assert "an4_clstk/sp4/an40-sp4-b: no audio" in str(caught.value)


def test_an4_in_a_wrong_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not AN4.*Give the folder with etc/ and wav/"):
        run_prepare(RECIPES / "an4", tmp_path, tmp_path / "out", {})


def test_real_fsdd_has_2400_300_300(corpora: Path, tmp_path: Path) -> None:
    run_prepare(RECIPES / "fsdd", corpora / "free-spoken-digit-dataset", tmp_path, {})
    assert [len(ids(tmp_path / f"{part}.jsonl")) for part in ("train", "dev", "test")] == [2400, 300, 300]


def test_real_an4_has_948_training_and_117_test_utterances(corpora: Path, tmp_path: Path) -> None:
    summary = run_prepare(RECIPES / "an4", corpora / "an4", tmp_path, {})
    train, dev, test = (len(ids(tmp_path / f"{part}.jsonl")) for part in ("train", "dev", "test"))
    assert (train + dev, test) == (948, 117)
    assert 85 <= dev <= 105
    assert "13 utterances of speaker fcaw" in summary


def test_real_fsdd_folds_share_the_training_recordings_and_leave_the_test_alone(corpora: Path, tmp_path: Path) -> None:
    folds = []
    for fold in range(3):
        out = tmp_path / str(fold)
        run_prepare(RECIPES / "fsdd", corpora / "free-spoken-digit-dataset", out, {"fold": fold})
        folds.append(set(ids(out / "dev.jsonl")))
        assert len(ids(out / "train.jsonl")) == 1800 and len(ids(out / "test.jsonl")) == 300
    assert [len(one) for one in folds] == [900, 900, 900] and len(set.union(*folds)) == 2700
    assert not set.union(*folds) & set(ids(out / "test.jsonl"))
