"""Recognition by phones: a model's second head, a pronouncing dictionary, and the same text whatever computes it."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr.cli import main
from asr.data.manifest import Utterance, write_manifest
from asr.decoding import DecodingConfig
from asr.decoding.beam import BeamDecoder
from asr.decoding.phone_lexicon import PhoneLexicon
from asr.errors import ConfigError, ModelError
from asr.features import LogMel, LogMelConfig
from asr.inspection.inspect import inspect_waveform
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import save_pretrained
from asr.recognition import Recognizer
from asr.recognition.stored_decoding import store_decoding
from asr.text.pronunciations import read_pronunciations, write_pronunciations
from asr.text.tokenizer import CharacterTokenizer
from tests.decoding import oracles

RATE = 8000
TOKENIZER = CharacterTokenizer(" abk")
PHONES = ("<blank>", "AH", "B", "K")
DICTIONARY = ";;; a comment\nA  AH0\nA(2)  AH1\nAB  AH1 B\nBA  B AH1\nKAB  K AH1 B\nCAB  K AH1 B\nZOO  Z UW1\n"
BEAM: dict[str, Any] = {"name": "beam", "beam_width": 20}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random, sharpened weights."""
    torch.manual_seed(4)
    features = LogMel(LogMelConfig(sample_rate=RATE, n_mels=16))
    features.set_normalisation(torch.zeros(16), torch.full((16,), 2.0))
    subsampling = SubsamplingConfig(factor=2, channels=4, output_size=16)
    config = BiLstmConfig(num_layers=2, hidden_size=12, subsampling=subsampling)
    model = AcousticModel(config, 16, TOKENIZER.vocab_size, PHONES)
    assert model.phone_head is not None
    with torch.no_grad():
        for weight in (model.head.weight, model.phone_head.weight, *model.encoder.parameters()):
            weight.mul_(6)
    folder = tmp_path_factory.mktemp("phones")
    save_pretrained(folder / "model", features, model, TOKENIZER, {})
    (folder / "words.dict").write_text(DICTIONARY)
    return folder


def load(directory: Path, *, speech_gate: bool = False, backend: str = "torch", **decoding: Any) -> Recognizer:
    given = {**BEAM, "pronunciations": str(directory / "words.dict"), **decoding}
    return Recognizer.from_pretrained(
        directory / "model", "cpu", speech_gate=speech_gate, decoding=given, backend=backend
    )


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    generator = np.random.default_rng(7)
    level = np.repeat(generator.uniform(0, 0.5, 81), RATE // 20)[: 4 * RATE]
    return (level * np.cumsum(generator.standard_normal(level.size)) / 50).clip(-1, 1).astype(np.float32)


def test_the_text_is_that_of_a_search_over_the_second_head(directory: Path, sound: np.ndarray) -> None:
    recognizer = load(directory)
    (emissions,) = recognizer.emissions([sound])
    assert not isinstance(emissions, Exception) and emissions.phones is not None
    assert emissions.log_probs.shape[1] == 5 and emissions.phones.shape == (len(emissions.log_probs), 4)
    np.testing.assert_allclose(np.exp(emissions.phones).sum(axis=1), 1, atol=1e-5)
    words = read_pronunciations(directory / "words.dict", "key")
    assert words["a"] == ("AH",) and words["ab"] == ("AH B",)
    decoder = BeamDecoder(TOKENIZER, DecodingConfig(**BEAM), phone_lexicon=PhoneLexicon(PHONES, words))
    found = recognizer.transcribe(sound, sample_rate=RATE)
    assert found.text == decoder.decode(emissions.phones).text
    assert len(found.text.split()) > 10 and set(found.text.split()) <= {"a", "ab", "ba", "kab"}  # no "cab": no token c
    assert [word.text for word in found.words] == found.text.split()
    assert found.text != load(directory, pronunciations=None).transcribe(sound, sample_rate=RATE).text


def test_onnx_and_a_stream_give_the_same_text(directory: Path, sound: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    recognizer = load(directory, speech_gate=True)
    expected = recognizer.transcribe(sound, sample_rate=RATE)
    assert load(directory, speech_gate=True, backend="onnx").transcribe(sound, sample_rate=RATE).text == expected.text
    stream = recognizer.stream(chunk_s=0.3, look_ahead_s=56.0)
    events = [event for start in range(0, len(sound), 4000) for event in stream.feed(sound[start : start + 4000])]
    events += stream.finish()
    assert " ".join(event.text for event in events if event.kind == "segment") == expected.text


def test_what_looks_into_the_model_sees_its_tokens_alone(directory: Path, sound: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    recognizer = load(directory, backend="onnx")
    inspection = inspect_waveform(recognizer, sound)
    assert inspection.log_probs.shape[1] == TOKENIZER.vocab_size
    assert inspection.hypothesis.text == recognizer.transcribe(sound, sample_rate=RATE).text


def test_silence_has_no_words(directory: Path) -> None:
    assert load(directory, speech_gate=True).transcribe(np.zeros(2 * RATE, np.float32), sample_rate=RATE).text == ""


def test_words_without_a_pronunciation_are_looked_for_by_letters(
    directory: Path, sound: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    def text(**decoding: Any) -> str:
        return load(directory, **decoding).transcribe(sound, sample_rate=RATE).text

    assert "kab kab" in text(hotwords={"kab kab": 9.0})
    assert not caplog.messages
    assert text(hotwords={"ab bb": 3.0}) == text(hotwords={"ab bb": 3.0}, pronunciations=None)
    (message,) = caplog.messages
    assert f"{directory / 'words.dict'} has no pronunciation of bb: the search goes by" in message
    assert message.endswith("in the model's phones: AH B K")


def test_a_model_without_phones_and_a_dictionary_of_others_are_refused(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "words.dict").write_text("zoo Z UW\n")
    with pytest.raises(ConfigError, match="no word of it is in the model's phones, AH B K"):
        load(directory, pronunciations=str(tmp_path / "words.dict"))
    from asr.decoding.build import build_decoder

    with pytest.raises(ConfigError, match="this model knows no phones"):
        build_decoder(DecodingConfig(**BEAM, pronunciations=str(tmp_path / "words.dict")), TOKENIZER)
    with pytest.raises(ConfigError, match="characters 'XY' spell no word of it"):
        BeamDecoder(
            CharacterTokenizer(" XY"), DecodingConfig(**BEAM), phone_lexicon=PhoneLexicon(PHONES, {"a": ["AH"]})
        )
    model = oracles.arpa(tmp_path, oracles.CHARACTER_ARPA)
    words = PhoneLexicon(PHONES, {"a": ["AH"]})
    with pytest.raises(ConfigError, match="needs a language model of words"):
        BeamDecoder(TOKENIZER, DecodingConfig(**BEAM), model, phone_lexicon=words)


def test_tuning_takes_and_stores_a_dictionary(
    directory: Path, tmp_path: Path, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.recognition.recognizer.apply_gate", lambda log_probs, *_: log_probs)  # it is no speech
    text = load(directory).transcribe(sound, RATE).text
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    dev = Utterance(id="a", audio=str(tmp_path / "a.wav"), duration_s=4.0, text=text)
    write_manifest(tmp_path / "dev.jsonl", [dev])
    oracles.arpa(tmp_path, oracles.WORD_ARPA)
    words = ["lm", "tune", str(directory / "model"), str(tmp_path / "dev.jsonl"), "--lm", str(tmp_path / "model.arpa")]
    words += ["--out", str(tmp_path / "tuned"), "--pronunciations", str(directory / "words.dict")]
    assert main(words) == 0
    assert (tmp_path / "tuned" / "pronunciations.txt.gz").is_file()
    assert Recognizer.from_pretrained(tmp_path / "tuned", "cpu").decoding.pronunciations is not None
    facts = json.loads((tmp_path / "tuned" / "decoding.json").read_text())["facts"]
    digest = hashlib.sha256((directory / "words.dict").read_bytes()).hexdigest()
    assert facts["pronunciations"] == {"name": "words.dict", "words": 6, "sha256": digest}


def test_a_dictionary_is_read_however_it_is_written(tmp_path: Path) -> None:
    """Compressed, with a mark at its beginning, tabs, Windows' line ends and comments; a wrong byte is not guessed."""
    rows = "\ufeff;;; of words\r\nÜBER\tY1   B  ER0 # over\r\nüber(2)  UW1 B ER\r\nüber UW B ER\r\nAB1  AH1 B\r\n"
    rows += "Mu\u0308ll\t0.99\t0.2\t1.0\tm ʏ l\r\n"  # of MFA; ü as two characters
    (tmp_path / "a.dict.gz").write_bytes(gzip.compress(rows.encode()))
    read = read_pronunciations(tmp_path / "a.dict.gz", "key")
    assert read == {"über": ("Y1 B ER", "UW B ER"), "ab1": ("AH B",), "müll": ("m ʏ l",)}  # Y1 is no vowel of cmudict
    write_pronunciations(tmp_path / "b.dict", read)
    assert (tmp_path / "b.dict").read_text() == "ab1 AH B\nmüll m ʏ l\nüber Y1 B ER\nüber UW B ER\n"
    (tmp_path / "c.dict").write_bytes("a AH\nüber UW B ER\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"key=.*c\.dict: line 2 is not UTF-8"):
        read_pronunciations(tmp_path / "c.dict", "key")


def test_a_model_directory_keeps_the_pronunciations_of_its_words(
    directory: Path, tmp_path: Path, sound: np.ndarray
) -> None:
    model = tmp_path / "model"
    given = load(directory)
    save_pretrained(model, given.features, given.model, TOKENIZER, {})
    words = read_pronunciations(directory / "words.dict", "key")
    ngrams = oracles.arpa(tmp_path, oracles.WORD_ARPA)
    store_decoding(model, DecodingConfig(**BEAM, lm_weight=0.4), ngrams, {}, words)
    assert gzip.decompress((model / "pronunciations.txt.gz").read_bytes()) == b"a AH\nab AH B\nba B AH\n"
    stored = Recognizer.from_pretrained(model, "cpu", speech_gate=False)
    (tmp_path / "known.dict").write_text("a AH\nab AH B\nba B AH\n")  # to the language model
    by_hand = load(
        directory,
        language_model=str(tmp_path / "model.arpa"),
        lm_weight=0.4,
        pronunciations=str(tmp_path / "known.dict"),
    )
    assert stored.transcribe(sound, RATE).text == by_hand.transcribe(sound, RATE).text
    other = Recognizer.from_pretrained(model, "cpu", decoding={"language_model": str(tmp_path / "model.arpa")})
    assert other.decoding.pronunciations is None  # they belong to the stored language model
    (model / "pronunciations.txt.gz").write_bytes(gzip.compress(b"a B\n"))
    with pytest.raises(ModelError, match=r"pronunciations\.txt\.gz: absent, or not the one"):
        Recognizer.from_pretrained(model, "cpu")
