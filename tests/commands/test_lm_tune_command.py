"""`asr lm tune` on a model that hears b for d: a language model that knows better is kept, another is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.cli import main
from asr.data.manifest import Utterance, write_manifest
from asr.decoding.beam import BeamDecoder
from asr.errors import ModelError
from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import save_pretrained
from asr.recognition import Recognizer
from asr.recognition.stored_decoding import read_decoding
from asr.recognition.windows import Emissions
from asr.text.tokenizer import CharacterTokenizer

TOKENIZER = CharacterTokenizer.from_texts(["abcd "])
TEXTS = ["bad cab", "a dad", "bad dad", "a cab"]


def heard(text: str) -> Emissions:
    """A frame a letter, blanks between; d and b are taken for each other, 0.55 to 0.45."""
    confused = {"b": "d", "d": "b"}
    probabilities = np.full((2 * len(text), TOKENIZER.vocab_size), 1e-4)
    probabilities[1::2, 0] = 1.0
    for frame, letter in enumerate(text):
        (right,) = TOKENIZER.encode(letter)
        (other,) = TOKENIZER.encode(confused.get(letter, letter))
        probabilities[2 * frame, right] = 0.45
        probabilities[2 * frame, other] = 0.55 if letter in confused else 1.0
    log_probs = np.log(probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)
    return Emissions(log_probs, 0.02, 0.0, 0.02 * len(log_probs))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``model``, ``dev.jsonl``; a recogniser that hears what ``heard`` says."""
    features = LogMel(LogMelConfig(sample_rate=8000, n_mels=8))
    subsampling = SubsamplingConfig(factor=2, channels=2, output_size=4)
    config = BiLstmConfig(num_layers=1, hidden_size=4, subsampling=subsampling)
    save_pretrained(tmp_path / "model", features, AcousticModel(config, 8, TOKENIZER.vocab_size), TOKENIZER, {})
    soundfile.write(tmp_path / "a.wav", np.zeros(8000, np.float32), 8000)
    rows = [
        Utterance(id=str(number), audio=str(tmp_path / "a.wav"), duration_s=1.0, text=text)
        for number, text in enumerate(TEXTS)
    ]
    write_manifest(tmp_path / "dev.jsonl", rows)

    def emissions(self: Recognizer, recordings: list[Utterance], **_: Any) -> Iterator[Emissions]:
        yield from (heard(one.text) for one in recordings)

    monkeypatch.setattr(Recognizer, "emissions", emissions)
    return tmp_path


def build_lm(folder: Path, texts: list[str]) -> str:
    (folder / "texts.txt").write_text("\n".join(texts * 3) + "\n")
    words = ["lm", "build", str(folder / "texts.txt"), "--order", "2", "--out", str(folder / "made.arpa")]
    assert main(words) == 0
    return str(folder / "made.arpa")


def tune(place: Path, language_model: str, *more: str) -> int:
    return main(["lm", "tune", str(place / "model"), str(place / "dev.jsonl"), "--lm", language_model, *more])


def test_a_language_model_that_helps_is_kept_and_used_from_then_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "model" / "calibration.json").write_text("{}")
    assert tune(place, build_lm(place, TEXTS)) == 0
    kept = json.loads((place / "model" / "decoding.json").read_text())
    assert kept["facts"]["dev_wer"]["greedy"] == 100 * 6 / 8  # every word but the two a's
    assert kept["facts"]["dev_wer"]["language_model"] == 0.0
    assert not (place / "model" / "calibration.json").exists()
    assert "75.00%" in capsys.readouterr().out
    (place / "made.arpa").unlink()  # the directory has a copy
    recognizer = Recognizer.from_pretrained(place / "model")
    assert [recognizer.decode(heard(text)).text for text in TEXTS] == TEXTS
    greedy = Recognizer.from_pretrained(place / "model", decoding={"name": "greedy"})
    assert greedy.decode(heard("bad")).text == "dab"


def test_one_that_does_not_help_is_refused_and_nothing_changes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in (place / "model").iterdir())
    assert tune(place, build_lm(place, ["cca cca acc", "acc acc cca"])) == 1
    assert "does no better than greedy decoding" in capsys.readouterr().err
    assert sorted(path.name for path in (place / "model").iterdir()) == before


def test_a_dry_run_keeps_nothing(place: Path) -> None:
    assert tune(place, build_lm(place, TEXTS), "--dry-run") == 0
    assert not (place / "model" / "decoding.json").exists()


def test_a_language_model_that_is_not_the_one_of_the_settings_is_refused(place: Path) -> None:
    assert tune(place, build_lm(place, TEXTS)) == 0
    content = (place / "model" / "lm.bin").read_bytes()
    (place / "model" / "lm.bin").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match=r"lm.bin: absent, or not the one that decoding.json was made with"):
        read_decoding(place / "model")
    (place / "model" / "lm.bin").unlink()
    with pytest.raises(ModelError, match=r"tune again \(asr lm tune\)"):
        Recognizer.from_pretrained(place / "model")


def test_what_is_given_replaces_what_is_stored(place: Path) -> None:
    language_model = build_lm(place, TEXTS)
    assert tune(place, language_model) == 0
    wide = Recognizer.from_pretrained(place / "model", decoding={"beam_width": 7}).decoding
    stored = read_decoding(place / "model")
    assert stored is not None
    assert (wide.beam_width, wide.lm_weight, wide.name) == (7, stored.lm_weight, "beam")
    other = Recognizer.from_pretrained(place / "model", decoding={"language_model": language_model}).decoding
    assert (other.lm_weight, other.language_model) == (0.5, language_model)
    none = Recognizer.from_pretrained(place / "model", decoding={"language_model": None}).decoding
    assert none.name == "beam" and none.language_model is None


def test_weights_are_changed_without_building_anything_again(place: Path) -> None:
    from asr.decoding.config import BeamConfig
    from asr.lm import read_lm

    model = read_lm(Path(build_lm(place, TEXTS)))
    first = BeamDecoder(TOKENIZER, BeamConfig(lm_weight=0.1), model)
    for weights in ((1.5, 0.7), (0.01, -2.0)):
        fresh = BeamDecoder(TOKENIZER, BeamConfig(lm_weight=weights[0], word_score=weights[1]), model)
        log_probs = heard("bad cab dad").log_probs
        assert first.reweighted(*weights).decode(log_probs) == fresh.decode(log_probs)
    assert first.config.lm_weight == 0.1


def test_stored_settings_of_greedy_decoding_are_called_damaged(place: Path) -> None:
    assert tune(place, build_lm(place, TEXTS)) == 0
    path = place / "model" / "decoding.json"
    path.write_text(path.read_text().replace('"name": "beam"', '"name": "greedy"'))
    with pytest.raises(ModelError, match=r"decoding.json: is for greedy decoding.*delete it"):
        Recognizer.from_pretrained(place / "model")
