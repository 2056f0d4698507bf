"""From recordings to texts: alone or together, from file or waveform, the result is the same and in order."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import asr
from asr.audio import resample
from asr.data.manifest import Utterance
from asr.errors import AudioError, ConfigError, ModelError
from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import save_pretrained
from asr.recognition import Recognizer
from asr.recognition.pool import plan_batches
from asr.text.tokenizer import CharacterTokenizer

RATE = 8000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose weights are sharpened, so that its texts are long and full of different letters."""
    torch.manual_seed(4)
    features = LogMel(LogMelConfig(sample_rate=RATE, n_mels=16))
    features.set_normalisation(torch.full((16,), -6.0), torch.full((16,), 2.0))
    tokenizer = CharacterTokenizer.from_texts(["abcdefgh "])
    subsampling = SubsamplingConfig(factor=2, channels=4, output_size=16)
    model = AcousticModel(BiLstmConfig(num_layers=2, hidden_size=12, subsampling=subsampling), 16, tokenizer.vocab_size)
    with torch.no_grad():
        for weight in (model.head.weight, *model.encoder.parameters()):
            weight.mul_(6)
    path = tmp_path_factory.mktemp("recognizer") / "model"
    save_pretrained(path, features, model, tokenizer, {})
    return path


@pytest.fixture(scope="module")
def recognizer(directory: Path) -> Recognizer:
    # the recordings here are noise, from which the speech gate would rightly take every word
    return Recognizer.from_pretrained(str(directory), device="cpu", speech_gate=False)


def make_waveform(seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    generator = np.random.default_rng(seed)
    level = np.repeat(generator.uniform(0, 0.5, int(seconds * 20) + 1), rate // 20)[: int(seconds * rate)]
    return (level * np.cumsum(generator.standard_normal(level.size)) / 50).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("recordings")
    made = []
    for index, seconds in enumerate([0.7, 0.1, 1.3, 0.35, 0.9, 0.05, 1.1, 0.6]):
        path = folder / f"{index}.wav"
        soundfile.write(path, make_waveform(seconds, index), RATE, subtype="FLOAT")
        made.append(Utterance(id=str(index), audio=str(path), duration_s=seconds, text=""))
    return made


@pytest.mark.parametrize("batch_s", [0.01, 2.0, 1000.0])
def test_together_equals_one_by_one_in_the_order_given(
    recognizer: Recognizer, utterances: list[Utterance], batch_s: float
) -> None:
    alone = [recognizer.transcribe(utterance.audio) for utterance in utterances]
    together = recognizer.transcribe_utterances(utterances, batch_s=batch_s)
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.score for one in together] == pytest.approx([one.score for one in alone], abs=1e-3)
    assert [one.duration_s for one in together] == [utterance.duration_s for utterance in utterances]
    assert len({one.text for one in alone}) >= 7, "or else no order could be seen"
    assert max(len(one.text) for one in alone) > 10


def test_progress_counts_to_the_end(recognizer: Recognizer, utterances: list[Utterance]) -> None:
    seen: list[tuple[int, int]] = []
    recognizer.transcribe_utterances(utterances, batch_s=2.0, progress=lambda *counts: seen.append(counts))
    assert seen == sorted(seen) and seen[-1] == (8, 8) and len(seen) > 2


def test_no_utterances_give_no_texts(recognizer: Recognizer) -> None:
    assert recognizer.transcribe_utterances([]) == []


def test_a_file_equals_its_waveform_and_its_span(recognizer: Recognizer, utterances: list[Utterance]) -> None:
    path = utterances[2].audio
    waveform, rate = soundfile.read(path, dtype="float32")
    from_file = recognizer.transcribe(path)
    assert recognizer.transcribe(Path(path)) == from_file == recognizer.transcribe(waveform, sample_rate=rate)
    assert recognizer.transcribe(waveform.astype(np.float64), sample_rate=rate) == from_file
    span = dataclasses.replace(utterances[2], start_s=0.5, duration_s=0.4)
    assert recognizer.transcribe_utterances([span])[0] == recognizer.transcribe(waveform[4000:7200], sample_rate=rate)


def test_load_model_is_the_short_way(directory: Path, recognizer: Recognizer, utterances: list[Utterance]) -> None:
    path = utterances[0].audio
    assert asr.load_model(directory, device="cpu", speech_gate=False).transcribe(path) == recognizer.transcribe(path)


@pytest.mark.parametrize("rate", [4000, 16000, 44100])
def test_other_rates_are_resampled(recognizer: Recognizer, tmp_path: Path, rate: int) -> None:
    waveform = make_waveform(0.8, 3, rate)
    expected = recognizer.transcribe(resample(waveform, rate, RATE), sample_rate=RATE)
    assert recognizer.transcribe(waveform, sample_rate=rate) == expected
    soundfile.write(tmp_path / "a.wav", waveform, rate, subtype="FLOAT")
    from_file = recognizer.transcribe(tmp_path / "a.wav")
    assert from_file.text == expected.text and from_file.duration_s == pytest.approx(0.8, abs=1e-3)


def test_the_score_is_the_sum_of_the_best_log_probabilities(recognizer: Recognizer) -> None:
    waveform = make_waveform(0.8, 5)
    with torch.inference_mode():
        batch = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
        log_probs, lengths = recognizer.model(*recognizer.features(*batch))
    best = log_probs[0, : int(lengths[0])].max(dim=1).values
    assert recognizer.transcribe(waveform, sample_rate=RATE).score == pytest.approx(best.sum().item(), abs=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 79])
def test_a_waveform_of_a_few_samples_has_some_text(recognizer: Recognizer, samples: int) -> None:
    assert np.isfinite(recognizer.transcribe(np.full(samples, 0.1, np.float32), sample_rate=RATE).score)


def test_one_sample_that_resampling_rounds_away_is_no_crash(recognizer: Recognizer) -> None:
    hypothesis = recognizer.transcribe(np.full(1, 0.1, np.float32), sample_rate=48000)
    assert (hypothesis.text, hypothesis.score, hypothesis.duration_s) == ("", 0.0, 0.0)


def test_a_waveform_needs_its_rate(recognizer: Recognizer) -> None:
    with pytest.raises(ConfigError, match="sample_rate"):
        recognizer.transcribe(make_waveform(0.1, 0))


@pytest.mark.parametrize("rate", [0, -8000, 1, 10**6, float("nan")])
def test_an_impossible_rate_is_refused(recognizer: Recognizer, rate: Any) -> None:
    with pytest.raises(ConfigError, match="sample_rate"):
        recognizer.transcribe(make_waveform(0.1, 0), sample_rate=rate)


@pytest.mark.parametrize(
    ("waveform", "part"),
    [
        (np.array([0.1, np.nan], np.float32), "finite"),
        (np.array([0.1, np.inf], np.float32), "finite"),
        (np.zeros(0, np.float32), "not empty"),
        (np.zeros((2, 100), np.float32), r"\(2, 100\)"),
        (np.full(100, 3000, np.int16), "int16; divide 16-bit samples by 32768"),
        (np.array(["a"]), "floating point"),
        (None, "floating point"),
    ],
)
def test_a_waveform_that_is_none_is_refused_in_one_line(recognizer: Recognizer, waveform: Any, part: str) -> None:
    with pytest.raises(AudioError, match=part) as caught:
        recognizer.transcribe(waveform, sample_rate=RATE)
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_refused_by_name(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("hello")
    for name in ("notes.wav", "absent.wav"):
        with pytest.raises(AudioError, match=name):
            recognizer.transcribe(tmp_path / name)
    with pytest.raises(ModelError, match="not a model directory"):
        Recognizer.from_pretrained(tmp_path)


def test_batches_hold_every_index_once_longest_first_and_keep_the_bound() -> None:
    durations_s = [3.0, 1.0, 10.0, 2.5, 40.0, 1.0, 0.5]
    batches = list(plan_batches(durations_s, 10.0))
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    assert batches == [[4], [2], [0, 3, 1], [5, 6]]
    assert [len(batch) for batch in plan_batches([0.1] * 130, 1000.0)] == [64, 64, 2]
