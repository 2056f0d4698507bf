"""`asr evaluate` with a recogniser that knows its answers: what is asked of it, and what is reported."""

import json
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import asr.recognition
from asr.cli import main
from asr.data.manifest import Utterance
from asr.decoding import Alternative
from asr.decoding.config import DecodingConfig
from asr.recognition.hypothesis import Hypothesis, Word
from asr.scoring.results import describe_utterances
from asr.text.normalize import get_normalizer

ANSWERS = {"u1": "hello world", "u2": "one too", "u3": ""}


@dataclass
class StubWord:
    word: str
    start_s: float


@dataclass
class StubHypothesis:
    text: str
    score: float
    words: list[StubWord]


class StubRecognizer:
    asked: dict[str, object] = {}  # noqa: RUF012
    device = "cpu"
    backend = "torch"
    decoding = DecodingConfig()

    @classmethod
    def from_pretrained(
        cls, directory: Path, *, device: str, decoding: dict[str, Any], backend: str
    ) -> "StubRecognizer":
        cls.asked = {"directory": directory, "device": device, "backend": backend}
        cls.decoding = DecodingConfig(**decoding)
        return cls()

    def transcribe_utterances(
        self, utterances: list[Utterance], batch_s: float, progress: Callable[[int, int], None]
    ) -> list[StubHypothesis]:
        self.asked["batch_s"] = batch_s
        for done in range(len(utterances)):
            progress(done + 1, len(utterances))
        return [StubHypothesis(ANSWERS[u.id], float("-inf"), [StubWord("x", 0.5)]) for u in utterances]


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(asr.recognition, "Recognizer", StubRecognizer, raising=False)
    with wave.open(str(tmp_path / "a.wav"), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(8000)
        stream.writeframes(bytes(2 * 8000 * 2))
    texts = {"u1": "Hello, World!", "u2": "one two three", "u3": "yes"}
    rows = [
        {"id": key, "audio": "a.wav", "start_s": 0.5 * n, "duration_s": 0.5, "text": text, "speaker": "ann"}
        for n, (key, text) in enumerate(texts.items())
    ]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_test_set_is_transcribed_and_reported(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "runs/x/model", str(manifest), "--out", str(out), "--batch-s", "30"]) == 0
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["wer"] == 50.0  # two -> too, three and yes missing: 3 errors in 6 words
    assert summary["by_speaker"]["ann"]["utterances"] == 3
    assert summary["audio_hours"] == round(1.5 / 3600, 6)
    assert summary["real_time_factor"] == pytest.approx(summary["recognition_s"] / 1.5, abs=0.001)
    assert StubRecognizer.asked == {
        "directory": Path("runs/x/model"),
        "device": "auto",
        "backend": "auto",
        "batch_s": 30.0,
    }
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "- System: `runs/x/model`" in page
    assert re.search(r"- Real-time factor: 0\.\d{4} on cpu \(0 s for 2 s of audio\)", page)
    assert "basic v1 WER 50.00%" in " ".join(capsys.readouterr().out.split())


def test_what_the_recogniser_knows_beyond_the_text_is_kept(manifest: Path, tmp_path: Path) -> None:
    main(["evaluate", "m", str(manifest), "--out", str(tmp_path / "out")])
    first = json.loads((tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["words"] == [{"word": "x", "start_s": 0.5}]
    assert first["score"] is None  # -inf is no JSON number


def test_the_folder_is_checked_before_the_model_is_loaded(manifest: Path, tmp_path: Path) -> None:
    StubRecognizer.asked = {}
    assert main(["evaluate", "m", str(manifest), "--out", str(manifest)]) == 2
    assert StubRecognizer.asked == {}


@pytest.mark.parametrize("bad", [["--batch-s", "0"], ["--batch-s", "nan"], ["--worst", "x"], ["--normalizer", "?"]])
def test_mistyped_options_are_exit_code_2(manifest: Path, tmp_path: Path, bad: list[str]) -> None:
    assert main(["evaluate", "m", str(manifest), "--out", str(tmp_path / "out"), *bad]) == 2


def test_each_line_says_where_the_utterance_lies_and_what_the_manifest_tells(manifest: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    rows[1] |= {"room": "hall", "age": 40, "channel": 0}
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    main(["evaluate", "m", str(manifest), "--out", str(tmp_path / "out")])
    first, second, _ = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines())
    assert (second["audio"], second["start_s"], second["channel"]) == (str(tmp_path / "a.wav"), 0.5, 0)
    assert (first["fields"], second["fields"]) == ({}, {"room": "hall", "age": 40})
    assert "snr_db" not in first  # digital silence has none


def test_words_and_n_best_are_judged_while_the_normaliser_is_at_hand(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = {"u1": "Hello -- word", "u2": "one", "u3": ""}

    def transcribe(self: StubRecognizer, utterances: list[Utterance], **_: Any) -> list[Hypothesis]:
        return [
            Hypothesis(
                text=heard[one.id],
                score=-1.0,
                duration_s=0.5,
                words=tuple(Word(text, 0.0, 0.1, 0.9) for text in heard[one.id].split()),
                n_best=tuple(
                    Alternative(text=text, score=0.0, ctc_score=0.0, lm_score=0.0) for text in (heard[one.id], one.text)
                ),
            )
            for one in utterances
        ]

    monkeypatch.setattr(StubRecognizer, "transcribe_utterances", transcribe)
    (tmp_path / "train.txt").write_text("Hello, one\nONE\n", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["evaluate", "m", str(manifest), "--out", str(out), "--train-text", str(tmp_path / "train.txt")]) == 0
    first = json.loads((out / "results.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert [word["right"] for word in first["words"]] == [True, None, False]  # hello, nothing, word for world
    assert [one["word_errors"]["substitutions"] for one in first["n_best"]] == [1, 0]
    found = json.loads((out / "breakdown.json").read_text(encoding="utf-8"))
    # hello world, one two three, yes: wrong are world, two, three and yes; the second text is always right
    assert [step["words"]["hits"] for step in found["oracle"]["by_depth"]] == [2, 6]
    assert (found["confidence"]["words"], found["confidence"]["right"], found["confidence"]["without_outcome"]) == (
        3,
        2,
        1,
    )
    assert [(one["label"], one["said"], one["hits"]) for one in found["training"][:2]] == [
        ("0", 4, 0),
        ("1 to 4", 2, 2),
    ]


def test_a_training_text_that_is_not_there_is_said_before_the_model_is_loaded(manifest: Path, tmp_path: Path) -> None:
    StubRecognizer.asked = {}
    assert main(["evaluate", "m", str(manifest), "--out", str(tmp_path / "o"), "--train-text", "nowhere.txt"]) != 0
    assert StubRecognizer.asked == {}


def test_of_a_long_utterance_the_middle_minute_is_measured_and_its_spoken_part_is_not_told(tmp_path: Path) -> None:
    rate, noise = 8000, np.random.default_rng(0).standard_normal(120 * 8000)
    time = np.arange(len(noise)) / rate
    tones = np.sin(2 * np.pi * 440 * time) * (time % 0.5 < 0.3)  # mean power 0.3
    middle = (time >= 30) & (time < 90)
    waveform = 0.1 * (tones * middle + noise * np.where(middle, np.sqrt(0.03), 1.0))  # 10 dB, nothing but noise around
    soundfile.write(tmp_path / "long.wav", waveform, rate, subtype="FLOAT")
    whole = Utterance(id="u", audio=str(tmp_path / "long.wav"), duration_s=120.0, text="x")
    part = replace(whole, start_s=30.0, duration_s=60.0)
    found = [describe_utterances([one], {"u": {}}, get_normalizer("none"))["u"] for one in (whole, part)]
    assert [one["snr_db"] for one in found] == pytest.approx([10, 10], abs=1)
    assert ["speech_s" in one for one in found] == [False, True]
