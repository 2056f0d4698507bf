"""`asr check`: the summary, the findings and the exit code of the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.commands.check import run
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.errors import ModelError, UsageError


@pytest.fixture
def train(tmp_path: Path) -> list[Utterance]:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.05, 36_000), 8_000)
    one = Utterance(id="u1", audio=str(tmp_path / "a.wav"), duration_s=1.5, text="a b", speaker="s1")
    return [one, replace(one, id="u2", start_s=1.5, duration_s=3.0, speaker="s2")]


def test_sound_data_gets_a_summary_and_0(
    tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "train.jsonl", train)

    assert run([str(tmp_path / "train.jsonl")]) == 0

    shown = capsys.readouterr().out
    for words in (
        "2 in 1 recordings",
        "0.00 h; 1.50 to 3.00 s",
        "speakers:    2",
        "words:       4",
        "characters:  3: space a b",
        "WAV PCM_16 8000 Hz 1 ch",
        "no errors or warnings",
    ):
        assert words in shown


def test_warnings_alone_leave_0(tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(tmp_path / "train.jsonl", [replace(utterance, text="") for utterance in train])

    assert run([str(tmp_path / "train.jsonl"), "--show", "1"]) == 0

    shown = capsys.readouterr().out
    assert "warning: empty text (2)" in shown and "u1: the transcript is empty" in shown
    assert "u2" not in shown and "... and 1 more (--show 0 shows all)" in shown


def test_errors_and_leaks_between_splits_give_1(
    tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "train.jsonl", train)
    write_manifest(tmp_path / "test-far.jsonl", train[1:])
    (tmp_path / "suspects.jsonl").write_text("{}\n")  # what else is in the folder of a run

    assert run([str(tmp_path)]) == 1

    shown = capsys.readouterr().out
    assert "train, test-far compared" in shown
    assert "error: same sound in two splits (1)" in shown and "warning: speakers in two splits (1)" in shown


def test_a_manifest_with_errors_does_not_keep_the_others_from_being_checked(
    tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    write_manifest(tmp_path / "train.jsonl", train)

    assert run([str(tmp_path / "bad.jsonl"), str(tmp_path / "train.jsonl")]) == 1

    shown = capsys.readouterr().out
    assert "bad.jsonl:1: id is missing" in shown and "2 in 1 recordings" in shown


def test_no_manifest_is_a_mistyped_command() -> None:
    with pytest.raises(UsageError, match="required: MANIFEST"):
        run([])


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Four recordings: two good, one silent, one that is a copy; the manifest's path."""
    utterances = []
    for number, samples in enumerate((1, 2, None, 1)):
        level = 0.0 if samples is None else 0.05
        waveform = level * np.random.default_rng(samples or 0).normal(size=16_000)
        soundfile.write(tmp_path / f"{number}.wav", waveform, 8_000)
        utterances.append(Utterance(id=f"u{number}", audio=str(tmp_path / f"{number}.wav"), duration_s=2.0, text="hi"))
    write_manifest(tmp_path / "train.jsonl", utterances)
    return tmp_path / "train.jsonl"


def test_fix_writes_what_is_left_and_says_what_went_and_why(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, cleaned = several.read_bytes(), several.parent / "clean" / "train.jsonl"

    assert run([str(several), "--fix", str(cleaned)]) == 0

    assert [utterance.id for utterance in read_manifest(cleaned)] == ["u0", "u1"]
    assert several.read_bytes() == before
    shown = capsys.readouterr().out
    assert "2 utterances" in shown and "silent (1): u2" in shown and "same sound twice (1): u3" in shown
    removed = cleaned.with_suffix(".removed.tsv").read_text(encoding="utf-8")
    assert set(removed.splitlines()) == {"u2\tsilent", "u3\tsame sound twice"}


def test_fix_never_writes_over_what_it_checks(several: Path) -> None:
    for given in (several, several.parent):
        with pytest.raises(UsageError, match="never changed"):
            run([str(given), "--fix", str(several)])


def test_fix_takes_from_train_what_test_holds_too(several: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "test.jsonl", [replace(read_manifest(several)[1], id="t1")])

    assert run([str(several), str(tmp_path / "test.jsonl"), "--fix", str(tmp_path / "clean.jsonl")]) == 1

    assert [utterance.id for utterance in read_manifest(tmp_path / "clean.jsonl")] == ["u0"]


def test_json_is_one_object_and_nothing_else_on_stdout(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(several.parent), "--json"]) == 0

    value = json.loads(capsys.readouterr().out)
    assert value["errors"] == 0 and value["manifests"][0]["path"] == str(several)
    assert {finding["slug"] for finding in value["manifests"][0]["findings"]} == {"silent", "same-sound-twice"}


def test_without_decoding_nothing_is_said_of_sound(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(several), "--decode", "none"]) == 0

    shown = capsys.readouterr().out
    assert "nothing (--decode none)" in shown and "silent" not in shown


def test_suspects_are_about_a_model(several: Path) -> None:
    with pytest.raises(UsageError, match="add --model MODEL"):
        run([str(several), "--html", "page.html"])


def test_a_model_ranks_every_transcript_of_all_manifests(
    several: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from asr.features import LogMel, LogMelConfig
    from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
    from asr.pretrained import save_pretrained
    from asr.text.tokenizer import CharacterTokenizer

    torch.manual_seed(0)
    tokenizer = CharacterTokenizer.from_texts(["hi"])
    subsampling = SubsamplingConfig(factor=2, channels=4, output_size=16)
    model = AcousticModel(BiLstmConfig(num_layers=1, hidden_size=8, subsampling=subsampling), 16, tokenizer.vocab_size)
    save_pretrained(tmp_path / "model", LogMel(LogMelConfig(sample_rate=8_000, n_mels=16)), model, tokenizer, {})
    odd = [replace(one, id=f"t{n}", text="h7") for n, one in enumerate(read_manifest(several)[:1])]
    write_manifest(tmp_path / "test.jsonl", odd)
    words = [str(several), str(tmp_path / "test.jsonl"), "--model", str(tmp_path / "model"), "--device", "cpu"]
    files = ["--suspects", str(tmp_path / "s.jsonl"), "--html", str(tmp_path / "p.html")]
    fix = ["--fix", str(tmp_path / "clean.jsonl"), "--fix-kinds", "likely-wrong-transcript", "--fix-suspects", "50%"]

    run([*words, *files, *fix])

    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert {row["id"] for row in rows} == {"u0", "u1", "u2", "u3", "t0"}
    assert rows[0]["id"] == "t0" and rows[0]["score"] is None and "'7'" in rows[0]["note"]
    taken = [row["id"] for row in rows if row["id"] != "t0"][:2]  # half of the first manifest's four
    assert {one.id for one in read_manifest(tmp_path / "clean.jsonl")} == {"u0", "u1", "u2", "u3"} - set(taken)
    assert (tmp_path / "p.html").read_text(encoding="utf-8").count("<audio") == 5
    assert "likely wrong transcript (2)" in capsys.readouterr().out


def test_the_page_escapes_all_text_and_loads_nothing(several: Path, tmp_path: Path) -> None:
    from asr.pages.suspects import write_page
    from asr.recognition.suspects import Suspect

    utterance = replace(read_manifest(several)[0], id='<i>"', text="<script>alert(1)</script>", speaker="<b>")
    suspect = Suspect(utterance=utterance, hypothesis="<u>", score=1.0, edits=1.0, nats=0.0)

    write_page(tmp_path / "page.html", [suspect], 1, "<model>")

    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page and 'src="data:audio/ogg;base64,' in page
    for markup in ("<script", "<i>", "<b>", "<u>", "<model>", "http:", "https:"):
        assert markup not in page
    assert "default-src 'none'" in page


def test_clips_beyond_the_size_are_linked_relative_to_the_page(
    several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asr.pages import suspects as suspects_page
    from asr.recognition.suspects import Suspect

    monkeypatch.setattr(suspects_page, "EMBED_BYTES", 0)
    utterance = replace(read_manifest(several)[0], start_s=0.5, duration_s=1.0)
    suspect = Suspect(utterance=utterance, hypothesis="", score=1.0, edits=1.0, nats=0.0)

    suspects_page.write_page(tmp_path / "pages" / "page.html", [suspect], 1, "model")

    page = (tmp_path / "pages" / "page.html").read_text(encoding="utf-8")
    assert 'src="../0.wav#t=0.500,1.500"' in page


def test_fix_replaces_only_what_fix_wrote(tmp_path: Path, train: list[Utterance]) -> None:
    write_manifest(tmp_path / "test.jsonl", train)
    write_manifest(tmp_path / "train.jsonl", train[:1])
    before = (tmp_path / "train.jsonl").read_bytes()
    command = [str(tmp_path / "test.jsonl"), "--fix"]
    with pytest.raises(UsageError, match=r"train\.jsonl exists and was not written by an earlier --fix"):
        run([*command, str(tmp_path / "train.jsonl")])
    assert (tmp_path / "train.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match="is a folder; give a file"):
        run([*command, str(tmp_path)])
    for _ in range(2):
        assert run([*command, str(tmp_path / "clean.jsonl")]) == 0


def test_a_model_that_is_none_is_reported_before_anything_is_decoded(
    tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "train.jsonl", train)
    with pytest.raises(ModelError, match="not a model directory"):
        run([str(tmp_path / "train.jsonl"), "--model", str(tmp_path)])
    assert capsys.readouterr().out == ""
