"""`asr transcribe` on the terminal, and that it says what Python says."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr import cli
from asr.commands.transcribe import build_parser, transcribe_options
from asr.recognition.hypothesis import Hypothesis
from asr.transcription import FORMATS, render_transcript
from tests.inspection.made import RATE, make_waveform, save_model
from tests.transcribe_stub import Stub, asr, recordings, tree

# --- on the terminal -------------------------------------------------------------------------------------------------


def test_one_file_prints_its_text_alone_and_several_their_names(
    stub: Stub, model: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = recordings(tmp_path / "in", a_wav="one two", b_wav="three")
    assert asr(model, folder / "a.wav") == 0
    assert capsys.readouterr().out == "one two\n"
    assert asr(model, folder / "b.wav", folder / "a.wav") == 0
    assert capsys.readouterr().out == f"{folder}/b.wav\tthree\n{folder}/a.wav\tone two\n"
    assert asr(model, recordings(tmp_path / "single", c_wav="x")) == 0
    assert capsys.readouterr().out == f"{tmp_path}/single/c.wav\tx\n", "a folder's lines look the same however many"


def test_a_bad_file_is_named_and_the_rest_goes_on(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one", b_wav="BAD", c_wav="three")
    assert asr(model, *(folder / f"{name}.wav" for name in "axbc")) == 1
    found = capsys.readouterr()
    assert found.out.splitlines() == [f"{folder}/a.wav\tone", f"{folder}/c.wav\tthree"]
    assert (
        f"asr: error[audio]: {folder}/x.wav: no such file" in found.err and f"{folder}/b.wav: is damaged" in found.err
    )


@pytest.mark.parametrize("options", [(), ("--output-dir", "out")])
def test_a_transcript_that_cannot_be_rendered_is_its_recordings_failure(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, options: tuple[str, ...]
) -> None:
    folder = recordings(tmp_path / "in", a_wav="one", b_wav="two", c_wav="three")
    render = render_transcript

    def fails(hypothesis: Hypothesis, *rest: Any) -> str:
        return str(hypothesis.text.index("t")) if hypothesis.text == "one" else render(hypothesis, *rest)

    monkeypatch.setattr("asr.transcription.job.render_transcript", fails)
    monkeypatch.chdir(tmp_path)
    assert asr(model, folder, *options) == 1
    said = capsys.readouterr()
    assert "a.wav: internal error in writing txt: ValueError: substring not found" in said.err
    written = "".join(path.read_text() for path in sorted(tmp_path.glob("out/*.txt"))) if options else said.out
    assert "two" in written and "three" in written


def test_a_file_name_of_any_bytes_is_transcribed_to_every_format(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", a_wav="one")
    os.rename(folder / "a.wav", os.fsencode(folder) + b"/b\xff.wav")
    assert asr(model, folder, "--output-dir", tmp_path / "out", "--format", ",".join(FORMATS)) == 0
    assert len(list((tmp_path / "out").glob("b*"))) == len(FORMATS)


def test_json_on_the_terminal_is_an_object_a_line(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one two", b_wav="three")
    assert asr(model, folder, "--format", "json", "--channel", "1", "--track", "2") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["text"] for one in found] == ["one two", "three"]
    assert found[0]["audio"] == {"path": f"{folder}/a.wav", "channel": 1, "duration_s": 3.0}
    assert found[0]["model"] == {"path": str(model), "sha256": "abc"}
    assert (found[0]["settings"]["decoding"]["name"], found[0]["settings"]["decoding"]["beam_width"]) == ("beam", 7)
    assert (stub.options["channel"], stub.options["track"]) == (1, 2)


def test_standard_input_is_a_recording(stub: Stub, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped text")))
    assert asr(model, "-") == 0
    assert capsys.readouterr().out == "piped text\n"
    assert not stub.asked[0].exists(), "what was kept of it is gone"


def test_a_fault_of_standard_input_is_told_by_that_name(stub: Stub, model: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"BAD")))
    assert asr(model, "-") == 1
    assert "asr: error[audio]: -: is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a b.wav", "ü'\"日本.wav", "-x.wav", "a=b(1).wav", "new\nline.wav", "*\t.wav"])
def test_no_file_name_is_special(
    stub: Stub, model: Path, tmp_path: Path, name: str, monkeypatch: Any, capsys: Any
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / name).write_text("text", encoding="utf-8")
    monkeypatch.chdir(folder)
    assert asr(model, f"./{name}") == 0
    assert asr(model, "--", name) == 0
    assert asr(model, ".", "--output-dir", tmp_path / "out") == 0
    assert tree(tmp_path / "out") == [name.removesuffix(".wav") + ".txt"]
    assert asr(model, ".", tmp_path / "nothing.wav") == 1
    assert len(capsys.readouterr().out.splitlines()) == 3, "one line a recording"


def test_words_of_the_command_line_come_in_any_order(model: Path) -> None:
    found = build_parser().parse_intermixed_args(["--format", "srt,json,SRT", str(model), "a.wav", "--beside", "b.wav"])
    options = transcribe_options(found)
    assert (options.model, found.paths, options.formats) == (model, ["a.wav", "b.wav"], ("srt", "json"))


# --- with a true model -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from asr.features import LogMel, LogMelConfig
    from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
    from asr.pretrained import save_pretrained
    from asr.text.tokenizer import CharacterTokenizer

    torch.manual_seed(4)
    tokenizer = CharacterTokenizer.from_texts(["abcdefgh "])
    subsampling = SubsamplingConfig(factor=2, channels=4, output_size=16)
    config = BiLstmConfig(num_layers=1, hidden_size=12, subsampling=subsampling)
    network = AcousticModel(config, 16, tokenizer.vocab_size)
    with torch.no_grad():
        for weight in (network.head.weight, *network.encoder.parameters()):
            weight.mul_(6)
    path = tmp_path_factory.mktemp("tiny") / "model"
    save_pretrained(path, LogMel(LogMelConfig(sample_rate=8000, n_mels=16)), network, tokenizer, {})
    return path


def test_command_line_and_python_say_the_same(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    from asr import load_model

    generator = np.random.default_rng(1)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", generator.uniform(-0.5, 0.5, (6000, 2)), 8000)
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:2000])
    assert asr(tiny, tmp_path, "--no-speech-gate", "--format", "json", "--device", "cpu") == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    recognizer = load_model(tiny, device="cpu", speech_gate=False)
    for one in found:
        hypothesis = recognizer.transcribe(one["audio"]["path"])
        said = json.loads(render_transcript(hypothesis, "json"))
        for words in (one["words"], said["words"]):  # alone or in a batch, sums are rounded in another order
            for word in words:
                word["confidence"] = round(word["confidence"], 4)
        for key in ("text", "words", "n_best", "cues"):
            assert one[key] == said[key]
        assert one["score"] == pytest.approx(said["score"], abs=1e-4) and one["text"]
    assert len(found) == 2
    assert asr(tiny, tmp_path / "a.wav", "--channel", "5", "--device", "cpu") == 1
    assert "has no channel 5; it has 2" in capsys.readouterr().err


def test_split_channels_are_lines_with_a_label(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("a", "b"):
        sound = np.random.default_rng(1).uniform(-0.5, 0.5, (6000, 2))
        soundfile.write(tmp_path / f"{name}.wav", sound, 8000)
    split = ["--channels", "split", "--no-speech-gate", "--device", "cpu"]
    assert asr(tiny, tmp_path, *split) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line[: line.index(": ")] for line in lines} == {
        f"{tmp_path}/{name}.wav\tSpeaker {number}" for name in ("a", "b") for number in (1, 2)
    }
    assert asr(tiny, tmp_path / "a.wav", *split, "--format", "json", "--max-line-width", "20") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["channel"] == found["audio"]["channel"] == "split"
    assert found["settings"]["cue_limits"] == {"max_line_width": 20}
    assert len(found["channels"]) == 2 and {word["channel"] for word in found["words"]} == {0, 1}
    assert max(len(line) for cue in found["cues"] for line in cue["lines"]) <= 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-lines", "1"], "--max-lines is for subtitles; give --format with srt or vtt or json"),
        (["--max-line-width", "3", "--format", "srt"], "--max-line-width 3 must be 16 to 1000"),
        (["--channels", "split", "--stream"], "--channels split is for whole recordings"),
        (["--channels", "both"], "'both' is neither a channel number"),
        (["--rate", "8000", "--track", "1", "--stream"], "--rate is for raw sound"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    stub: Stub, model: Path, tmp_path: Path, options: list[str], said: str, capsys: Any
) -> None:
    folder = recordings(tmp_path / "in", a_wav="one")
    assert asr(model, folder / "a.wav", *options) == 2
    assert said in capsys.readouterr().err


def test_a_weight_of_no_language_model_is_refused(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    line = {"id": "a", "audio": "a.wav", "duration_s": 1.0, "text": "a"}
    (tmp_path / "test.jsonl").write_text(json.dumps(line) + "\n")
    weight = ["--lm-weight", "2"]
    assert asr(tiny, tmp_path / "a.wav", *weight) == 2
    assert cli.main(["evaluate", str(tiny), str(tmp_path / "test.jsonl"), "--out", str(tmp_path / "out"), *weight]) == 2
    assert capsys.readouterr().err.count("--lm-weight: the model directory holds no language model") == 2


# --- start-up --------------------------------------------------------------------------------------------------------


def test_a_first_short_recording_waits_for_no_compiler_and_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    """With words, times and the speech gate, as by default; each of these takes up to seconds to import."""
    folder = save_model(tmp_path / "model", "bilstm")
    soundfile.write(tmp_path / "a.wav", make_waveform(6.0), RATE)
    code = """
import sys
from asr.cli import main
assert main(sys.argv[1:]) == 0 and main([*sys.argv[1:], "--no-speech-gate"]) == 0
slow = {"librosa", "scipy", "numba", "matplotlib", "hydra", "jiwer", "torchaudio", "torch._dynamo"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    command = [sys.executable, "-c", code, "transcribe", str(folder), str(tmp_path / "a.wav"), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["words"], "without words nothing was aligned"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--beam-width", "99999", "--beam-width 99999 must be 1 to 16384"),
        ("--lexicon", "empty.txt", "--lexicon: empty.txt holds no words"),
        ("--hotword", "zoo", "--hotword: 'zoo' cannot be spelled"),
    ],
)
def test_an_error_in_an_option_names_the_option(
    option: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    model = save_model(tmp_path / "model", "bilstm")
    soundfile.write("a.wav", make_waveform(), RATE)
    Path("empty.txt").touch()
    assert cli.main(["transcribe", str(model), "a.wav", option, value]) == 2
    assert said in (found := capsys.readouterr().err) and "decoding." not in found
