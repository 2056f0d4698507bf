"""`asr report`: which files are read and written, which sound is found, and the gate for scripts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio.encode import encode_clip
from asr.cli import main
from asr.data.manifest import Utterance
from asr.pages.clips import make_clips, picture_of, posteriors_of
from asr.pages.report_input import choose_clips
from asr.scoring import write_results
from tests.pages.made import results_of

PAIRS = {"u1": ("one two", "one too"), "u2": ("three", "three"), "u3": ("four", "four five six")}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "scored"
    found = results_of(PAIRS)
    write_results(folder / "results.jsonl", found.report, {"u1": {"confidence": 0.5}})
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """u2 starts 1 s into a file of 2 s, the others fill one."""
    sound = 0.1 * np.sin(np.arange(16000) / 10).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", np.concatenate([np.zeros(8000, np.float32), sound[:8000]]), 8000)
    soundfile.write(tmp_path / "sound.wav", sound, 16000)
    rows = [
        {"id": "u1", "audio": "sound.wav", "duration_s": 1.0, "text": "one two"},
        {"id": "u2", "audio": "long.wav", "start_s": 1.0, "duration_s": 1.0, "text": "three"},
        {"id": "u3", "audio": "sound.wav", "duration_s": 1.0, "text": "four"},
    ]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def element(page: Path, name: str) -> dict[str, object]:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None, f"no {name} in {page}"
    value: dict[str, object] = json.loads(found[1])
    return value


def test_one_line_a_system_tells_the_rate_and_its_interval(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(results)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("wer=75.00 low=") and "n=4 utterances=3 normalizer=none-v1" in out


@pytest.mark.parametrize(("limit", "code"), [("75", 0), ("74.9", 1)])
def test_the_gate_fails_above_its_limit_only(
    results: Path, limit: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(results), "--fail-above", limit]) == code
    expected = "the WER of 75.00% is 0.10 points above the 74.9% that --fail-above allows"
    assert (expected in capsys.readouterr().err) == bool(code)


def test_the_gate_names_each_system_that_fails(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = results_of({key: (text, text) for key, (text, _) in PAIRS.items()})
    write_results(tmp_path / "right" / "results.jsonl", right.report, {})
    assert main(["report", str(results), str(tmp_path / "right"), "--fail-above", "10"]) == 1
    output = capsys.readouterr()
    assert (
        "scored: the WER of 75.00% is" in output.err and "right: " not in output.err and output.out.count("wer=") == 2
    )


def test_every_kind_of_file_is_written(results: Path, tmp_path: Path) -> None:
    outputs = {kind: tmp_path / f"out.{kind}" for kind in ("html", "markdown", "json", "csv")}
    words = [word for kind, path in outputs.items() for word in (f"--{kind}", str(path))]
    assert main(["report", str(results / "results.jsonl"), *words]) == 0
    assert all(path.stat().st_size > 100 for path in outputs.values())
    assert json.loads(outputs["json"].read_text())["systems"][0]["wer"] == 75.0


def test_a_page_without_a_name_lies_beside_its_results(results: Path) -> None:
    assert main(["report", str(results), "--html"]) == 0
    assert (results / "report.html").is_file()


def test_recordings_are_found_by_the_manifest_and_only_their_own_span_is_carried(
    results: Path, manifest: Path, tmp_path: Path
) -> None:
    page = tmp_path / "p.html"
    assert main(["report", str(results), "--html", str(page), "--manifest", str(manifest)]) == 0
    clip = element(page, "clip-1")
    mel = clip["mel"]
    assert isinstance(mel, dict) and mel["w"] * mel["step"] == pytest.approx(1.0, abs=0.03)
    assert str(clip["audio"]).startswith("T2dnUw")  # OggS


def test_the_manifest_is_never_overwritten(results: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = manifest.read_bytes()
    assert main(["report", str(results), "--json", str(manifest), "--manifest", str(manifest)]) == 2
    assert "is an input and cannot be written" in capsys.readouterr().err
    assert manifest.read_bytes() == before


def test_links_are_relative_to_the_page_and_start_where_the_utterance_does(
    results: Path, manifest: Path, tmp_path: Path
) -> None:
    page = tmp_path / "pages" / "p.html"
    words = ["--manifest", str(manifest), "--audio", "link", "--clips", "0"]
    assert main(["report", str(results), "--html", str(page), *words]) == 0
    rows = element(page, "utterances")["rows"]
    assert isinstance(rows, list) and [row["src"] for row in rows] == ["../sound.wav", "../long.wav", "../sound.wav"]
    assert [row["at"] for row in rows] == [0.0, 1.0, 0.0]


def test_where_results_name_their_audio_no_manifest_is_needed(results: Path, manifest: Path, tmp_path: Path) -> None:
    extras = {"u1": {"audio": str(tmp_path / "sound.wav"), "start_s": 0.0}}
    write_results(results / "results.jsonl", results_of(PAIRS).report, extras)
    assert main(["report", str(results), "--html", str(tmp_path / "p.html")]) == 0
    assert "audio" in element(tmp_path / "p.html", "clip-0")


def test_the_same_command_writes_the_same_page(results: Path, manifest: Path, tmp_path: Path) -> None:
    words = ["--manifest", str(manifest), "--html"]
    for name in ("one.html", "two.html"):
        main(["report", str(results), *words, str(tmp_path / name)])
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_worst_are_chosen_then_others_at_random() -> None:
    pairs = {f"u{n:02d}": ("a b c", "a b c" if n > 3 else " ".join("abc"[: 2 - n % 2])) for n in range(20)}
    chosen = choose_clips([results_of(pairs)], dict.fromkeys(pairs), 4)
    assert chosen[:4] == ["u01", "u03", "u00", "u02"] and len(set(chosen)) == 5


def test_a_recording_that_cannot_be_read_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "good.wav", np.zeros(8000), 8000)
    (tmp_path / "bad.wav").write_bytes(b"RIFFnothing")
    given = [
        Utterance(id=name, audio=str(tmp_path / f"{name}.wav"), duration_s=1.0, text="") for name in ("bad", "good")
    ]
    clips, notes = make_clips(given, audio=True, model=None)
    assert list(clips) == ["good"] and "1 recordings could not be read" in notes[0]


def test_a_tone_lies_in_the_picture_where_the_ticks_say() -> None:
    from asr.features import LogMel, LogMelConfig

    waveform = (0.3 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)).astype(np.float32)
    picture = picture_of(waveform, LogMel(LogMelConfig(n_mels=64, edge_padding_s=0.1)))
    row = dict(picture.ticks)[1000]
    loudest = picture.levels.mean(axis=1).argmax()
    assert abs(loudest - row) <= 1.0
    assert picture.levels.shape[1] * picture.column_s == pytest.approx(1.0, abs=0.03)  # the edges are not in it


def test_the_likeliest_tokens_of_each_frame_are_kept_in_8_bits() -> None:
    probabilities = np.array([[0.8, 0.2, 0.0, 0.0], [0.2, 0.01, 0.19, 0.6], [1.0, 0.0, 0.0, 0.0]])
    found = posteriors_of(np.log(probabilities + 1e-12).astype(np.float32), ["<blank>", "a", "b", "c"], -0.1, 0.04)
    names = [[found.tokens[rank - 1] for rank in row if rank] for row in found.ranks]
    assert names == [["a"], ["c", "b"], []]  # a at 0.01 is too little
    assert found.levels.tolist() == [[51, 0, 0], [153, 48, 0], [0, 0, 0]]
    assert found.blank.tolist() == [204, 51, 255]


def test_speech_takes_less_than_4_kilobytes_a_second() -> None:
    generator = np.random.default_rng(0)
    noise = (0.1 * generator.standard_normal(10 * 16000)).astype(np.float32)
    assert len(encode_clip(noise, 16000)) < 40_000
