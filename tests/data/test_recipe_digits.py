"""The digits recipe: the same options give the same corpus, no test voice is in training, a second run does nothing."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.data.manifest import read_manifest
from asr.data.prepare import load_recipe, run_prepare
from asr.errors import ConfigError, DataError

RECIPE = Path(__file__).parents[2] / "recipes" / "digits"
SMALL = {"train": 60, "dev": 7, "test": 13}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits")
    run_prepare(RECIPE, None, out, SMALL)
    return out


def recordings(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in out.glob("audio-*/*.flac")}


def test_texts_are_one_to_seven_digit_words_and_recordings_16_khz_speech(corpus: Path) -> None:
    words = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
    lengths = set()
    for part, count in SMALL.items():
        utterances = read_manifest(corpus / f"{part}.jsonl")
        assert len(utterances) == count
        for utterance in utterances:
            spoken = utterance.text.split()
            lengths.add(len(spoken))
            assert set(spoken) <= words
            waveform, rate = soundfile.read(utterance.audio)
            assert (rate, waveform.ndim) == (16000, 1)
            assert utterance.duration_s == pytest.approx(len(waveform) / rate, abs=1e-5)
            assert 0.15 < utterance.duration_s / len(spoken) < 2.5
            assert 0.09 < np.abs(waveform).max() < 0.9  # -20 to -1 dBFS
    assert lengths == set(range(1, 8))


def test_no_voice_of_dev_or_test_is_in_training(corpus: Path) -> None:
    voices = [{u.speaker for u in read_manifest(corpus / f"{part}.jsonl")} for part in SMALL]
    assert [len(part) for part in voices] == [56, 6, 12]
    assert len(set.union(*voices)) == 56 + 6 + 12


def test_every_voice_exists_in_the_library() -> None:
    import espeakng_loader

    recipe = load_recipe(RECIPE)
    variants = {file.name for file in (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir()}
    assert {voice for part in recipe.VOICES.values() for voice in part.split()} <= variants


def test_the_same_options_give_the_same_bytes_and_another_seed_others(corpus: Path, tmp_path: Path) -> None:
    run_prepare(RECIPE, None, tmp_path / "again", SMALL)
    assert recordings(tmp_path / "again") == recordings(corpus)
    run_prepare(RECIPE, None, tmp_path / "other", {**SMALL, "train": 2, "seed": 1})
    assert recordings(tmp_path / "other")["test-00000.flac"] != recordings(corpus)["test-00000.flac"]


def test_fewer_training_utterances_leave_the_others_as_they_were(corpus: Path, tmp_path: Path) -> None:
    run_prepare(RECIPE, None, tmp_path, {**SMALL, "train": 5})
    fewer, whole = recordings(tmp_path), recordings(corpus)
    assert len(fewer) == 5 + 7 + 13
    assert fewer == {name: whole[name] for name in fewer}


def test_repeating_makes_nothing_again_until_something_is_missing(tmp_path: Path) -> None:
    options = {"train": 3, "dev": 1, "test": 1}
    first = run_prepare(RECIPE, None, tmp_path, options)
    made = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
    assert run_prepare(RECIPE, None, tmp_path, options) == first
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()} == made
    next(tmp_path.glob("audio-*/train-00001.flac")).unlink()
    run_prepare(RECIPE, None, tmp_path, options)
    assert len(recordings(tmp_path)) == 5


def test_other_options_replace_the_recordings(tmp_path: Path) -> None:
    run_prepare(RECIPE, None, tmp_path, {"train": 3, "dev": 1, "test": 1})
    run_prepare(RECIPE, None, tmp_path, {"train": 2, "dev": 1, "test": 1})
    assert len(recordings(tmp_path)) == 4
    assert len(read_manifest(tmp_path / "train.jsonl")) == 2


def test_options_that_leave_a_part_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train=0, dev=100.* must each be at least 1"):
        run_prepare(RECIPE, None, tmp_path, {"train": 0})


def test_a_synthesizer_that_dies_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(RECIPE)
    monkeypatch.setattr(recipe, "ACCENTS", ("xx-nowhere",))
    with pytest.raises(DataError, match=r"synthesizer failed .*espeak-ng has no voice xx-nowhere\+"):
        recipe.prepare(None, tmp_path, train=1, dev=1, test=1)
    assert not (tmp_path / "train.jsonl").exists()
