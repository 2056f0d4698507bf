"""`asr align`: times in every format, a corpus of segments, and what is left out of it."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.cli import main
from asr.data.manifest import Utterance, read_manifest
from asr.recognition import Hypothesis, Recognizer
from asr.recognition.alignment import AlignedText, AlignedWord
from asr.transcription.segments import SegmentOptions, add_to_corpus, cut_segments
from tests.random_model import RATE
from tests.recognition.test_alignment import save_model
from tests.recognition.test_recognizer import make_waveform


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Hypothesis]:
    """A model, a recording of 20 s, and what the model recognises in it."""
    folder = tmp_path_factory.mktemp("align")
    model = save_model(folder / "model")
    soundfile.write(folder / "talk.wav", make_waveform(20.0, 0), RATE, subtype="FLOAT")
    recognizer = Recognizer.from_pretrained(model, device="cpu", speech_gate=False)
    return model, folder / "talk.wav", recognizer.transcribe(folder / "talk.wav")


def align(*arguments: object) -> int:
    return main(["align", *map(str, arguments)])


def test_words_are_printed_and_written_in_several_formats(
    case: tuple[Path, Path, Hypothesis], tmp_path: Path, capsys: Any
) -> None:
    model, audio, heard = case
    words = heard.text.split()
    text = tmp_path / "text.txt"
    text.write_text(" ".join(words[:9]) + "\n" + " ".join(words[9:]) + "\n", encoding="utf-16")
    assert align(model, audio, text) == 0
    printed = capsys.readouterr()
    rows = [line.split("\t") for line in printed.out.splitlines()[1:]]
    assert [row[3] for row in rows] == words
    assert [float(row[0]) for row in rows] == pytest.approx([word.start_s for word in heard.words], abs=6e-4)
    assert f"note: {len(words)} of {len(words)} words found" in printed.err
    assert align(model, audio, text, "--format", "json,srt", "--output-dir", tmp_path / "out") == 0
    value = json.loads((tmp_path / "out" / "talk.json").read_text())
    assert [line["line"] for line in value["lines"]] == [1, 2] and value["passages"] == []
    assert value["lines"][1]["start_s"] == value["words"][9]["start_s"] and (tmp_path / "out" / "talk.srt").is_file()
    (tmp_path / "out" / "talk.srt").write_text("corrected")
    assert align(model, audio, text, "--format", "srt", "--output-dir", tmp_path / "out") == 2
    assert "--overwrite replaces it" in capsys.readouterr().err


def test_segments_are_utterances_that_training_can_read(
    case: tuple[Path, Path, Hypothesis], tmp_path: Path, capsys: Any
) -> None:
    model, audio, heard = case
    words = heard.text.split()
    text, corpus = tmp_path / "text.txt", tmp_path / "corpus"
    text.write_text(" ".join(words[:12]) + "\n" + "dada gabe ceca faha " * 5 + "\n" + " ".join(words[12:]))
    options = ("--segments", corpus, "--max-s", 5, "--speaker", "ann")
    assert align(model, audio, text, *options) == 0
    assert "utterances" in capsys.readouterr().out
    kept = read_manifest(corpus / "segments.jsonl")
    left_out = json.loads((corpus / "left-out.json").read_text())["left_out"]
    assert {one["reason"].split(" without")[0] for one in left_out} <= {"missing from the sound", "longer than 5 s"}
    missing = next(one for one in left_out if one["reason"] == "missing from the sound")
    assert missing["first_line"] == missing["last_line"] == 2 and "gabe" in missing["text"]
    assert kept and all(one.duration_s <= 5.4 and one.speaker == "ann" for one in kept)
    told = " ".join(one.text for one in kept) + " ".join(one["text"] for one in left_out)
    assert len(told.split()) >= len(words) and "gabe" not in " ".join(one.text for one in kept)
    for before, after in itertools.pairwise(kept):
        assert before.start_s + before.duration_s <= after.start_s + 1e-3
    assert align(model, audio, text, *options) == 0
    assert read_manifest(corpus / "segments.jsonl") == kept, "the same recording replaces its own lines"
    assert align(model, audio, text, *options, "--min-confidence", 1) == 0
    left_out = json.loads((corpus / "left-out.json").read_text())["left_out"]
    assert any(one["reason"] == "confidence below 1" for one in left_out)


def test_recordings_of_one_name_and_channels_of_one_recording_are_each_kept(
    case: tuple[Path, Path, Hypothesis], tmp_path: Path
) -> None:
    model, audio, heard = case
    text, corpus = tmp_path / "text.txt", tmp_path / "corpus"
    text.write_text(heard.text, encoding="utf-8")
    waveform = soundfile.read(audio, dtype="float32")[0]
    recordings = [tmp_path / folder / "CD1" / "talk.wav" for folder in "ABC"]
    for recording in recordings:
        recording.parent.mkdir(parents=True)
        soundfile.write(recording, np.stack([waveform, waveform], axis=1), RATE, subtype="FLOAT")
        assert align(model, recording, text, "--segments", corpus) == 0
    for channel in (0, 1):
        assert align(model, recordings[0], text, "--segments", corpus, "--channel", channel) == 0
    kept = read_manifest(corpus / "segments.jsonl")
    places = [(one.audio, one.channel) for one in kept]
    expected = {(str(one), None) for one in recordings} | {(str(recordings[0]), 0), (str(recordings[0]), 1)}
    assert set(places) == expected and len(kept) % 5 == 0
    left_out = json.loads((corpus / "left-out.json").read_text())["left_out"]
    assert {(one["audio"], one["channel"]) for one in left_out} <= expected


def test_a_recording_of_which_nothing_is_kept_does_not_end_the_corpus(
    case: tuple[Path, Path, Hypothesis], tmp_path: Path, capsys: Any
) -> None:
    model, audio, heard = case
    text, corpus = tmp_path / "text.txt", tmp_path / "corpus"
    text.write_text(heard.text, encoding="utf-8")
    soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE, np.float32), RATE)
    assert align(model, tmp_path / "silence.wav", text, "--segments", corpus, "--min-confidence", 1) == 0
    assert (corpus / "segments.jsonl").read_text() == ""
    assert align(model, audio, text, "--segments", corpus) == 0
    assert {one.audio for one in read_manifest(corpus / "segments.jsonl")} == {str(audio)}
    (corpus / "segments.jsonl").write_text("{}\n")
    assert align(model, tmp_path / "absent.wav", text, "--segments", corpus) == 1
    assert "error[data]" in capsys.readouterr().err, "before the recording is looked at"


def test_recordings_that_are_aligned_at_a_time_are_all_kept(tmp_path: Path) -> None:
    recordings = [tmp_path / f"{number}.wav" for number in range(16)]
    for recording in recordings:
        recording.touch()

    def add(recording: Path) -> None:
        own = Utterance(id=recording.stem, audio=str(recording), duration_s=1.0, text="a")
        add_to_corpus(tmp_path / "corpus", str(recording), None, [own], [])

    with ThreadPoolExecutor(len(recordings)) as threads:
        list(threads.map(add, recordings))
    kept = read_manifest(tmp_path / "corpus" / "segments.jsonl")
    assert {one.audio for one in kept} == set(map(str, recordings))


def test_segments_do_not_overlap_beside_a_word_that_is_missing() -> None:
    words = (AlignedWord("a", 1, 0.5, 1.0, 1.0), AlignedWord("b", 1), AlignedWord("c", 1, 1.05, 1.6, 1.0))
    aligned = AlignedText(
        words=words, lines=(), passages=(), duration_s=3.0, score=0.0, confidence=1.0, unspelled=(),
        confidence_of=lambda low, high: 1.0,
    )  # fmt: skip
    kept, _ = cut_segments(aligned, "talk.wav", SegmentOptions())
    # of the pause of 0.05 s half each; 0.2 s at the outer ends
    assert [(one.start_s, round(one.start_s + one.duration_s, 3)) for one in kept] == [(0.3, 1.025), (1.025, 1.8)]
