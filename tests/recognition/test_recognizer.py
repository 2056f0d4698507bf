"""From recordings to texts: alone or together, from file or waveform, the result is the same and in order."""

import dataclasses
import io
import json
import re
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import asr
from asr.audio import load_audio, resample
from asr.data.manifest import Utterance
from asr.errors import AudioError, ConfigError, ModelError
from asr.features import LogMelConfig
from asr.pretrained import from_pretrained
from asr.recognition import Hypothesis, Recognizer, Word
from asr.recognition.pool import plan_batches
from tests.random_model import RATE, save_random_model


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("recognizer") / "model")


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


@pytest.mark.parametrize("rate", [0, -8000, 1, 10**6, float("nan"), "16000", 8000.5, True, [8000], None])
def test_an_impossible_rate_is_refused(recognizer: Recognizer, rate: Any) -> None:
    with pytest.raises(ConfigError, match="sample_rate"):
        recognizer.transcribe(make_waveform(0.1, 0), sample_rate=rate)


@pytest.mark.parametrize(
    ("waveform", "part"),
    [
        (np.array([0.1, np.nan], np.float32), "finite"),
        (np.array([0.1, np.inf], np.float32), "finite"),
        (np.zeros(0, np.float32), "an array of 0 holds no samples"),
        ([], "an array of 0 holds no samples"),
        (np.zeros((100, 0), np.float32), "an array of 100 x 0 holds no samples"),
        (np.float32(0.1), "no recording"),
        (np.zeros((2, 2, 100), np.float32), "an array of 2 x 2 x 100 holds no samples of one recording"),
        (np.zeros((2, 8), np.float32), "2 x 8 it is unclear which axis is the channels"),
        (np.zeros((100, 100), np.int16), "100 x 100 it is unclear which axis is the channels"),
        (np.zeros(100, np.int64), "int64 have no certain full scale; convert them to int16 or float32"),
        ([1, 2, 3], "no certain full scale"),
        (np.zeros(100, bool), "type bool is no recording; give a path, the bytes"),
        (np.array(["a"]), "no recording"),
        ([[0.1], [0.1, 0.2]], "a value of type list is no recording"),
        (["a.wav", "b.wav"], "type list is no recording; .*; for several recordings call it for each"),
        ((np.zeros(100), RATE), r"in a tuple; give transcribe\(samples, sample_rate=rate\)"),
        ({"array": [0.1]}, """a mapping must hold "array" and "sampling_rate"; this one holds 'array'"""),
        (object(), "a value of type object is no recording"),
        (None, "None is no recording; give a path"),
        (16000, "16000 is no recording"),
    ],
)
def test_a_waveform_that_is_none_is_refused_in_one_line(recognizer: Recognizer, waveform: Any, part: str) -> None:
    with pytest.raises(AudioError, match=part) as caught:
        recognizer.transcribe(waveform, sample_rate=RATE)
    assert "\n" not in str(caught.value)


def test_samples_of_every_kind_are_the_same_recording(recognizer: Recognizer) -> None:
    samples = np.round(make_waveform(0.5, 3) * 2**7).astype(np.int8)  # exact in every type below
    waveform = samples.astype(np.float32) / 2**7
    expected = recognizer.transcribe(waveform, sample_rate=RATE)
    read_only = waveform.copy()
    read_only.flags.writeable = False
    other = np.zeros_like(waveform)
    kinds: list[Any] = [
        samples,
        samples.astype(np.int16) * 2**8,
        samples.astype(np.int32) * 2**24,
        (samples.astype(np.int16) + 128).astype(np.uint8),
        waveform.astype(np.float64),
        waveform.astype(np.float16),
        waveform.tolist(),
        torch.from_numpy(waveform).requires_grad_(),
        read_only,
        waveform[::-1].copy()[::-1],  # not contiguous
        waveform[None],  # (1, samples)
        np.stack([waveform * 0.5, waveform * 1.5]),  # (channels, samples): their mean
        np.stack([waveform * 2, other], axis=1),  # (samples, channels)
        {"array": waveform, "sampling_rate": RATE, "path": None},
    ]
    for kind in kinds:
        rate = None if isinstance(kind, dict) else RATE
        assert recognizer.transcribe(kind, sample_rate=rate) == expected
    rates: list[Any] = [float(RATE), np.int64(RATE), np.float32(RATE)]
    for number in rates:
        assert recognizer.transcribe(waveform, sample_rate=number) == expected


def test_what_was_given_is_not_changed(recognizer: Recognizer) -> None:
    waveform = make_waveform(0.5, 3)
    before = waveform.copy()
    recognizer.transcribe(waveform, sample_rate=RATE)
    assert (waveform == before).all()


def test_a_file_is_taken_as_bytes_or_open(recognizer: Recognizer, utterances: list[Utterance]) -> None:
    path = Path(utterances[0].audio)
    expected, content = recognizer.transcribe(path), path.read_bytes()
    with path.open("rb") as file:
        for given in (content, bytearray(content), memoryview(content), io.BytesIO(content), file):
            assert recognizer.transcribe(given) == expected
        with pytest.raises(
            AudioError, match=r"holds no bytes; an open file is read from where it stands \(seek\(0\)\)"
        ):
            recognizer.transcribe(file)
    for encoding in ("latin-1", "utf-8"):  # with utf-8 its bytes could not even be read
        with path.open(encoding=encoding) as text, pytest.raises(AudioError, match="open it in binary mode"):
            recognizer.transcribe(text)  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="the bytes object is empty; give a whole audio file"):
        recognizer.transcribe(b"")
    with pytest.raises(AudioError, match="the path is empty"):
        recognizer.transcribe("")
    with pytest.raises(AudioError, match=r"file cannot be read: .*closed file"):
        recognizer.transcribe(file)


def test_bytes_that_are_no_audio_are_refused_without_the_name_of_a_temporary_file(recognizer: Recognizer) -> None:
    for given, name in ((b"hello", "the bytes"), (io.BytesIO(b"hello"), "the BytesIO")):
        with pytest.raises(AudioError, match=f"^{name}: ") as caught:
            recognizer.transcribe(given)
        assert "/" not in str(caught.value).split(".")[0] and "\n" not in str(caught.value)


def test_a_rate_that_contradicts_is_refused(recognizer: Recognizer, utterances: list[Utterance]) -> None:
    with pytest.raises(ConfigError, match="sample_rate=16000 is for samples; a file says its own, so leave it out"):
        recognizer.transcribe(utterances[0].audio, sample_rate=16000)
    with pytest.raises(ConfigError, match="sample_rate=16000, but the mapping's sampling_rate is 8000"):
        recognizer.transcribe({"array": make_waveform(0.1, 0), "sampling_rate": 8000}, sample_rate=16000)


def test_what_is_printed_is_short_and_says_what_it_is(directory: Path) -> None:
    assert re.fullmatch(
        rf"Recognizer\(bilstm of 0\.0 million parameters, \d+ tokens, {RATE} Hz, greedy decoding, on cpu\)",
        repr(Recognizer.from_pretrained(directory, device="cpu", backend="torch")),
    )
    word = Word("hello", 0.1234, 0.5, 0.987)
    assert repr(word) == "Word('hello', 0.12 to 0.50 s, confidence=0.99)"
    hypothesis = Hypothesis(text="hello", score=-1.0, duration_s=0.6, words=(word,), confidence=0.987)
    assert repr(hypothesis) == "Hypothesis('hello', 1 timed words, confidence=0.99, duration_s=0.60)"
    assert str(hypothesis) == "hello"
    assert len(repr(Hypothesis(text="a " * 5000, score=0.0, duration_s=1.0))) < 300


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


@pytest.mark.parametrize("normalization", ["global", "utterance"])
def test_neither_level_nor_offset_changes_a_word(directory: Path, normalization: str) -> None:
    """In one window, and in a recording of several windows, which is read more than once."""
    found = from_pretrained(directory)
    found.features.config = dataclasses.replace(found.features.config, normalization=normalization, level_db=-35.0)
    model = Recognizer(found, torch.device("cpu"), speech_gate=True)
    for seconds in (1.3, 70.0):
        waveform = make_waveform(seconds, 5)
        text = model.transcribe(waveform, sample_rate=RATE).text
        for changed in (0.1 * waveform, 0.005 * waveform, 32768 * waveform, waveform + 0.3, 0.1 * waveform - 0.5):
            assert model.transcribe(changed.astype(np.float32), sample_rate=RATE).text == text


def test_a_model_directory_states_its_level_and_old_ones_are_as_they_were(directory: Path, tmp_path: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    assert config["features"]["level_db"] == LogMelConfig().level_db == -35.0
    shutil.copytree(directory, tmp_path / "old")
    del config["features"]["level_db"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    assert from_pretrained(tmp_path / "old").features.config.level_db is None


def test_the_gate_lets_quiet_speech_through(corpora: Path, directory: Path) -> None:
    (path,) = sorted(corpora.glob("LibriSpeech/dev-clean/*/*/*.mp3"))[:1]
    model = Recognizer.from_pretrained(directory, device="cpu", speech_gate=True)
    waveform = load_audio(path, sample_rate=RATE)[: 12 * RATE]
    text = model.transcribe(waveform, sample_rate=RATE).text
    quiet = model.transcribe(waveform / np.abs(waveform).max() * np.float32(10 ** (-46 / 20)), sample_rate=RATE)
    assert len(text) > 10 and quiet.text == text


def test_inverted_channels_in_memory_do_not_cancel(recognizer: Recognizer) -> None:
    waveform = make_waveform(0.8, 3)
    text = recognizer.transcribe(waveform, sample_rate=RATE).text
    assert text and recognizer.transcribe(np.stack([waveform, -waveform]), sample_rate=RATE).text == text


@pytest.mark.parametrize("workers", [1, 2])
def test_the_errors_of_many_damaged_recordings_do_not_keep_their_sound(
    recognizer: Recognizer, tmp_path: Path, workers: int
) -> None:
    samples = np.zeros(10 * RATE, np.float32)
    samples[-1] = np.nan
    soundfile.write(tmp_path / "damaged.wav", samples, RATE, subtype="FLOAT")

    def transcribed(count: int) -> list[Any]:
        return [one for _, one in recognizer.transcribe_files([tmp_path / "damaged.wav"] * count, workers=workers)]

    transcribed(1)
    tracemalloc.start()
    try:
        errors = transcribed(20)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(isinstance(one, AudioError) for one in errors) and errors[0].__traceback__ is not None
    assert held < samples.nbytes
