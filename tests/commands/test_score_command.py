"""`asr score` from the command line: what a person types, sees and finds in the folder."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asr.cli import main


@pytest.fixture
def texts(tmp_path: Path) -> tuple[str, str]:
    references, hypotheses = tmp_path / "refs.txt", tmp_path / "hyps.txt"
    references.write_text("utt-1 Hello, World!\nutt-2 one two three\n", encoding="utf-8")
    hypotheses.write_text("utt-1 hello world\nutt-2 one too\n", encoding="utf-8")
    return str(references), str(hypotheses)


def test_a_short_table_goes_to_stdout(texts: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *texts]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 utterances (kaldi, matched by id)"
    assert lines[1].split() == ["text", "measure", "rate", "S", "D", "I", "errors", "N"]
    assert lines[2].split() == ["basic", "v1", "WER", "40.00%", "[0.0,", "66.7]", "1", "1", "0", "2", "5"]
    assert lines[4].split() == ["raw", "WER", "80.00%", "[66.7,", "100.0]", "3", "1", "0", "4", "5"]


def test_out_writes_the_report(texts: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert main(["score", *texts, "--out", str(out), "--normalizer", "none", "--worst", "1"]) == 0
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["wer"] == 80.0
    assert len((out / "results.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "- Normaliser: none v1" in page
    assert re.findall(r"^### \d+\.", page, re.MULTILINE) == ["### 1."]


def test_results_can_be_scored_again_with_another_normaliser(
    texts: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["score", *texts, "--out", str(tmp_path / "one")])
    results = str(tmp_path / "one" / "results.jsonl")
    capsys.readouterr()
    assert main(["score", results, results, "--normalizer", "none"]) == 0
    assert "none v1 WER 80.00%" in " ".join(capsys.readouterr().out.split())


def test_ids_that_do_not_match_are_one_message_and_exit_code_1(
    texts: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(texts[1]).write_text("utt-1 hello\nutt-9 x\n", encoding="utf-8")
    assert main(["score", *texts]) == 1
    error = capsys.readouterr().err
    assert "2 references and 2 hypotheses do not hold the same ids" in error
    assert "'utt-2'" in error and "'utt-9'" in error
    assert "(read as kaldi and kaldi; if that is wrong, give --format)" in error
    assert main(["score", *texts, "--format", "kaldi", "--hypothesis-format", "kaldi"]) == 1
    assert "read as" not in capsys.readouterr().err


def test_lines_without_ids_are_said_to_be_matched_by_number(
    texts: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(texts[0]).write_text("the cat\nthe dog\n", encoding="utf-8")
    Path(texts[1]).write_text("the cat\na dog\n", encoding="utf-8")
    assert main(["score", *texts]) == 0
    assert "plain text without ids: line n compared with line n" in capsys.readouterr().out


def test_scoring_imports_neither_torch_nor_librosa(texts: tuple[str, str]) -> None:
    code = (
        "import sys; from asr.cli import main; assert main(sys.argv[1:]) == 0; "
        "assert not {'torch', 'librosa', 'hydra', 'numba', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, "score", *texts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_gate_is_exit_code_1_and_says_by_how_much(
    texts: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *texts, "--fail-above", "40"]) == 0
    capsys.readouterr()
    assert main(["score", *texts, "--fail-above", "39.5"]) == 1
    assert "the WER of 40.00% is 0.50 points above the 39.5% that --fail-above allows" in capsys.readouterr().err
    Path(texts[0]).write_text("utt-1\nutt-2\n", encoding="utf-8")
    assert main(["score", *texts, "--fail-above", "100"]) == 1
    assert "there is no WER to be at most 100%" in capsys.readouterr().err


def test_forms_for_scripts_have_stdout_to_themselves(
    texts: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(texts[0]).write_text("utt-1 Hello, World!\nutt-2 one two three\nutt-3\n", encoding="utf-8")
    skip = ["--missing", "as-deletions", "--out", str(tmp_path / "out")]
    assert main(["score", *texts, *skip, "--print", "line"]) == 0
    shown = capsys.readouterr()
    formats = "reference_format=kaldi hypothesis_format=kaldi\n"
    assert shown.out == "wer=40.00 low=0.00 high=66.67 cer=29.17 s=1 d=1 i=0 n=5 utterances=3 " + formats
    assert "no hypothesis for 1 of 3 references" in shown.err and "report.md" in shown.err
    assert main(["score", *texts, *skip, "--print", "csv"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["raw_wer"] == "80.00"
    assert main(["score", *texts, *skip, "--print", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["wer"], found["missing_hypotheses"]["count"]) == (40.0, 1)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["missing_hypotheses"] == {"count": 1, "treatment": "as-deletions", "ids": ["utt-3"]}
    assert summary["normalization_changes"]["words"][0]["outcome"] == "corrected"
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "no hypothesis for 1 of 3 references" in page
    assert "## Words changed by normalisation" in page and "| Hello, | hello | corrected |" in page


def test_a_persons_own_replacements_are_named_in_every_report(
    texts: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.glm").write_text("too => two three\n", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["score", *texts, "--glm", str(tmp_path / "my.glm"), "--out", str(out)]) == 0
    assert "basic v1 + my.glm " in capsys.readouterr().out
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["normalizer"].startswith("basic v1 + my.glm ")
    assert main(["score", *texts, "--glm", str(tmp_path / "absent.glm")]) == 1


def test_letters_are_respelled_in_both_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref.txt").write_text("wa s\u03c9nd\u03c9\n", encoding="utf-8")
    (tmp_path / "hyp.txt").write_text("wa S\u0254nd\u0254!\n", encoding="utf-8")
    (tmp_path / "table.txt").write_text("\u03c9 => \u0254\n", encoding="utf-8")
    words = ["score", str(tmp_path / "ref.txt"), str(tmp_path / "hyp.txt"), "--format", "plain", "--print", "line"]
    assert main(words) == 0 and "wer=50.00 " in capsys.readouterr().out
    assert main([*words, "--replacements", str(tmp_path / "table.txt")]) == 0
    assert "wer=0.00 " in capsys.readouterr().out


def test_the_formats_that_the_command_offers_are_those_of_the_table() -> None:
    from asr.commands import score
    from asr.scoring.export import WRITERS
    from asr.scoring.read import FORMATS

    assert sorted(score._NAMES) == sorted(FORMATS)
    assert list(score._EXPORTS) == list(WRITERS)


@pytest.mark.parametrize(("kind", "name"), [("trn", "hyp.trn"), ("kaldi", "ref.txt"), ("csv", "texts.csv")])
def test_an_export_never_replaces_what_is_read(
    tmp_path: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / name
    content = {"csv": "id,text\nu_1,Where!\n", "kaldi": "u_1 Where!\n", "trn": "Where! (u_1)\n"}[kind]
    texts.write_text(content, encoding="utf-8")
    folder = str(tmp_path)
    assert main(["score", str(texts), str(texts), "--export", folder, "--export-format", kind]) == 2
    assert f"--export {folder} would overwrite {texts}, which is being read" in capsys.readouterr().err
    assert texts.read_text(encoding="utf-8") == content


@pytest.mark.parametrize("place", [".", "further/report"])
def test_a_folder_that_is_read_is_never_written_into(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "ref.txt").write_text("hello\n", encoding="utf-8")
    for option in (["--out"], ["--export-format", "plain", "--export"]):
        assert main(["score", str(texts), str(texts), *option, str(texts / place)]) == 2
        assert f"is in {texts}, which is being read" in capsys.readouterr().err
    assert [(path.name, path.read_text(encoding="utf-8")) for path in texts.iterdir()] == [("ref.txt", "hello\n")]


def test_an_export_never_replaces_the_keywords(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts, keywords = tmp_path / "t.trn", tmp_path / "hyp.trn"
    texts.write_text("hello (u1)\n", encoding="utf-8")
    keywords.write_text("hello\n", encoding="utf-8")
    command = ["score", str(texts), str(texts), "--keywords", str(keywords), "--export", str(tmp_path)]
    assert main(command) == 2
    assert f"would overwrite {keywords}" in capsys.readouterr().err
    assert keywords.read_text(encoding="utf-8") == "hello\n"


def test_a_ctm_never_holds_two_recordings_under_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stm, ctm = tmp_path / "ref.stm", tmp_path / "hyp.ctm"
    stm.write_text("a/x 1 ann 0 2 hello\nb/x 1 bob 0 2 good day\n")
    ctm.write_text("a/x 1 0.1 0.2 hello\nb/x 1 0.1 0.2 good\nb/x 1 0.5 0.2 day\n")
    command = ["score", str(stm), str(ctm), "--export", str(tmp_path / "out"), "--export-format"]
    assert main([*command, "ctm"]) == 1
    assert "names recordings without their folders, and two would be 'x'" in capsys.readouterr().err
    assert main([*command, "trn"]) == 0


def test_an_export_says_whether_ids_or_texts_stand_in_its_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "t.jsonl"
    texts.write_text('{"id": "u 1", "text": "a (b)"}\n', encoding="utf-8")
    command = ["score", str(texts), str(texts), "--export", str(tmp_path / "out")]
    assert main([*command, "--export-format", "kaldi"]) == 1
    assert "for their ids: it has its own meaning for spaces. Take --export-format nemo" in capsys.readouterr().err
    texts.write_text('{"id": "u1", "text": "a (b)"}\n', encoding="utf-8")
    assert main([*command, "--normalizer", "none"]) == 1
    assert "('u1') for their texts" in capsys.readouterr().err


def test_an_empty_ctm_is_all_deletions_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stm, ctm = tmp_path / "ref.stm", tmp_path / "hyp.ctm"
    stm.write_text("r1 1 s1 0 5 hello world\nr2 1 s1 0 5 yes\n", encoding="utf-8")
    for content in ("", "\n", ";; nothing was recognised\n"):
        ctm.write_text(content, encoding="utf-8")
        assert main(["score", str(stm), str(ctm), "--missing", "as-deletions", "--print", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["wer"], found["words"]["deletions"]) == (100.0, 3)
        assert found["formats"] == {"reference": "stm", "hypothesis": "ctm"}
        assert main(["score", str(stm), str(ctm)]) == 1
        assert "hyp.ctm: is empty" in (error := capsys.readouterr().err) and "--missing as-deletions" in error
    empty = tmp_path / "hyps"
    empty.write_text("", encoding="utf-8")
    assert main(["score", str(stm), str(empty), "--missing", "as-deletions"]) == 0
    stm.with_suffix("").write_text("the cat\nit sat\n", encoding="utf-8")  # ids, or words?
    assert main(["score", str(stm.with_suffix("")), str(empty), "--missing", "as-deletions"]) == 2
    (plain := tmp_path / "plain").write_text("a b\nc\n")
    assert main(["score", str(plain), str(empty), "--missing", "as-deletions"]) == 2
    assert f"the lines of {plain} begin with an id: the hypotheses are empty" in capsys.readouterr().err
    as_plain = ["--missing", "as-deletions", "--format", "plain", "--print", "line"]
    assert main(["score", str(plain), str(empty), *as_plain]) == 0
    assert "wer=100.00" in (out := capsys.readouterr().out) and "d=3 i=0 n=3" in out
    assert main(["score", str(empty), str(empty), "--missing", "as-deletions"]) == 1


def test_the_formats_are_said_in_every_form(texts: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for form, expected in {
        "table": "(kaldi, matched by id)",
        "line": "reference_format=kaldi hypothesis_format=kaldi",
        "csv": "normalizer,reference_format,hypothesis_format",
        "json": '"reference": "kaldi"',
    }.items():
        assert main(["score", *texts, "--print", form]) == 0
        assert expected in capsys.readouterr().out


def test_keywords_have_recall_and_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references, hypotheses, keywords = tmp_path / "r.jsonl", tmp_path / "h.jsonl", tmp_path / "keywords.txt"
    said = ["new york and paris", "paris in spring", "new york", "a new way"]
    heard = ["new york and paris", "harris in spring", "new big york", "a new york way"]
    for path, lines in ((references, said), (hypotheses, heard)):
        rows = [json.dumps({"id": f"u{place}", "text": text}) for place, text in enumerate(lines)]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    keywords.write_text("\ufeffParis\nNew York\nRome\nnew york\n", encoding="utf-8")
    command = ["score", str(references), str(hypotheses), "--keywords", str(keywords)]
    assert main([*command, "--print", "json", "--out", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)["keywords"]
    by_word = {row["keyword"]: (row["said"], row["recognised"], row["right"]) for row in found["words"]}
    assert by_word == {"paris": (2, 1, 1), "new york": (2, 2, 1), "rome": (0, 0, 0)}
    assert (found["recall"], found["precision"]) == pytest.approx((50.0, 200 / 3), abs=1e-3)
    assert found["words"][-1]["recall"] is None
    assert "| new york | 2 | 2 | 1 | 50.0% | 50.0% |" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert main(command) == 0
    assert "all       " in capsys.readouterr().out
    keywords.write_text("ok\n...\n", encoding="utf-8")
    assert main(command) == 1
    assert "keywords.txt:2: nothing is left of this keyword" in capsys.readouterr().err
