"""`asr compare` from the command line: what a person types, sees and finds in the folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asr.cli import main
from asr.errors import UsageError
from asr.scoring.compare_files import named_results


@pytest.fixture
def results(tmp_path: Path) -> tuple[str, str]:
    """Folders one/ and two/ with results of the same 12 utterances."""
    references = tmp_path / "refs.txt"
    references.write_text("".join(f"utt-{i} one two three\n" for i in range(12)), encoding="utf-8")
    for name, every in (("one", 6), ("two", 4)):
        heard = "".join(f"utt-{i} One two{'' if i % every == 0 else ' three'}\n" for i in range(12))
        (tmp_path / f"{name}.txt").write_text(heard, encoding="utf-8")
        assert main(["score", str(references), str(tmp_path / f"{name}.txt"), "--out", str(tmp_path / name)]) == 0
    return str(tmp_path / "one"), str(tmp_path / "two")


def test_rates_verdict_and_tests_go_to_stdout(results: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compare", *results]) == 0
    output = capsys.readouterr().out
    assert output.startswith("12 utterances, compared as basic v1\nsystem ")
    assert "one and two are not distinguishable (WER 5.56 against 8.33 %, difference 2.78 [" in output
    for name in ("paired bootstrap over utterances", "MAPSSWE", "McNemar", "Wilcoxon over utterances"):
        assert name in output
    assert "not every speaker is known" in output


def test_out_writes_page_and_data_and_names_can_be_given(results: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "cmp"
    assert main(["compare", f"A={results[0]}", f"B={results[1]}/results.jsonl", "--out", str(out), "--most", "1"]) == 0
    page = (out / "compare.md").read_text(encoding="utf-8")
    assert page.startswith("# A against B\n") and page.count("#### ") == 1
    data = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert data["pairs"][0]["tests"][1]["detail"] == "2 utterances right only in the first, 1 only in the second"


def test_another_normaliser_scores_all_anew(results: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compare", *results, "--normalizer", "none"]) == 0
    assert "compared as none v1" in capsys.readouterr().out  # One against one: an error in each utterance


def test_results_of_two_normalisers_are_an_error_that_names_the_remedy(
    results: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [str(tmp_path / "refs.txt"), str(tmp_path / "two.txt")]
    main(["score", *texts, "--out", results[1], "--normalizer", "none"])
    assert main(["compare", *results]) == 1
    assert "one with basic v1, two with none v1); --normalizer NAME scores them all alike" in capsys.readouterr().err


def test_a_field_is_found_in_a_manifest(
    results: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "test.jsonl"
    lines = [
        {
            "id": f"utt-{i}",
            "audio": "a.wav",
            "duration_s": 1.0,
            "text": "one two three",
            "room": "hall" if i % 2 else "den",
        }
        for i in range(12)
    ]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    capsys.readouterr()
    assert main(["compare", *results, "--by", "room", "--manifest", str(manifest)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(("den", "hall"))]
    assert [row[:5] for row in rows] == [["den", "6", "18", "11.11%", "16.67%"], ["hall", "6", "18", "0.00%", "0.00%"]]
    assert main(["compare", *results, "--by", "room"]) == 2
    assert "--manifest FILE looks them up" in capsys.readouterr().err
    manifest.write_text('{"id": "utt-1"}\n[1]\n', encoding="utf-8")
    assert main(["compare", *results, "--by", "room", "--manifest", str(manifest)]) == 1
    assert 'test.jsonl:2: is not a JSON object such as {"id": ...}' in capsys.readouterr().err


def test_what_cannot_be_compared_is_one_message(
    results: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", results[0]]) == 2
    assert main(["compare", results[0], str(tmp_path / "absent")]) == 1
    assert main(["compare", results[0], results[0]]) == 2
    assert main(["compare", f"x={results[0]}", f"x={results[1]}"]) == 2
    errors = capsys.readouterr().err
    assert "needs the results of two systems" in errors and "absent: cannot be read" in errors
    assert "given twice" in errors and "called 'x'" in errors and "Traceback" not in errors


def test_names_are_as_short_as_tells_them_apart(tmp_path: Path) -> None:
    for name in ("a/report", "b/report", "c"):
        (tmp_path / name).mkdir(parents=True)
    names = list(named_results([str(tmp_path / "a/report"), str(tmp_path / "b/report")]))
    assert names == ["a/report", "b/report"]
    assert list(named_results([str(tmp_path / "a/report"), f"base={tmp_path / 'c'}"])) == ["report", "base"]
    odd = tmp_path / "k=v"  # a name of a folder, not a name and a path
    odd.mkdir()
    assert list(named_results([str(odd), str(tmp_path / "c")])) == ["k=v", "c"]
    with pytest.raises(UsageError, match="given twice"):
        named_results([str(tmp_path / "c"), str(tmp_path / "c")])


def test_comparing_imports_neither_torch_nor_librosa(results: tuple[str, str]) -> None:
    code = (
        "import sys; from asr.cli import main; assert main(sys.argv[1:]) == 0; "
        "assert not {'torch', 'librosa', 'hydra', 'numba', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, "compare", *results], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_results_aligned_differently_are_not_compared(
    results: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(tmp_path / "other")
    texts = [str(tmp_path / name) for name in ("refs.txt", "two.txt")]
    assert main(["score", *texts, "--alignment", "sclite", "--out", other]) == 0
    assert main(["compare", results[0], other]) == 2
    assert "one by fewest-errors, other by sclite); score all with the same --alignment" in capsys.readouterr().err
    assert main(["compare", results[0], other, "--normalizer", "none"]) == 0


def test_only_fields_that_are_there_are_offered(
    results: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"id": "utt-0", "room": 1' + "0" * 400 + "}\n", encoding="utf-8")
    assert main(["compare", *results, "--by", "duration_s", "--manifest", str(manifest)]) == 2
    assert "Fields: id, room\n" in capsys.readouterr().err
    assert main(["compare", *results, "--by", "room", "--manifest", str(manifest)]) == 0


def test_words_that_were_left_out_stay_in_n_when_all_is_scored_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ref.trn").write_text("a (uh) b (s1-1)\nc d (s2-1)\n", encoding="utf-8")
    for name, heard in (("one", "a b (s1-1)\nc d (s2-1)\n"), ("two", "a x (s1-1)\nc d (s2-1)\n")):
        (tmp_path / f"{name}.trn").write_text(heard, encoding="utf-8")
        texts = [str(tmp_path / "ref.trn"), str(tmp_path / f"{name}.trn")]
        assert main(["score", *texts, "--out", str(tmp_path / name)]) == 0
    for options in ([], ["--normalizer", "none"]):
        capsys.readouterr()
        assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), *options]) == 0
        assert "WER 0.00 against 20.00 %" in capsys.readouterr().out


def test_systems_that_came_nearest_to_other_alternatives_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ref.trn").write_text("a (uh) b { c / d e } f (s1-1)\nx y (s2-1)\n", encoding="utf-8")
    for name, heard in (("one", "a b c f (s1-1)\nx y (s2-1)\n"), ("two", "a uh b d e (s1-1)\nx z (s2-1)\n")):
        (tmp_path / f"{name}.trn").write_text(heard, encoding="utf-8")
        texts = [str(tmp_path / "ref.trn"), str(tmp_path / f"{name}.trn")]
        assert main(["score", *texts, "--out", str(tmp_path / name)]) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(tmp_path / "cmp")]) == 0
    shown = capsys.readouterr().out
    assert "WER 0.00 against 25.00 %, difference 26.67 [" in shown  # f and y: 2 of 8 words, and of 7.5 on average
    assert "1 utterance" in shown and "alternatives" in shown
