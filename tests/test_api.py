"""``import asr`` as people use it: quick to import, complete for editors, each call does what its verb does."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jiwer
import numpy as np
import pytest

import asr
from asr.data.manifest import read_manifest
from asr.errors import AsrError
from asr.scoring.counts import ErrorCounts
from tests.tiny_run import SETTINGS, flat, make_corpus, write_recipe

REFERENCES = ["The quick brown fox", "hello", "one two three four"]
HYPOTHESES = ["the quick crown fox jumps", "", "one three four"]


def test_importing_asr_and_listing_it_imports_nothing_else() -> None:
    code = "import sys, asr; dir(asr); print(*sorted(one for one in sys.modules if one.startswith('asr.') or one in "
    code += "('torch', 'numpy', 'jiwer', 'hydra')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_an_error_class_and_scoring_need_no_torch() -> None:
    code = "import sys, asr; asr.wer('a b', 'a'); asr.AudioError; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_public_name_is_there_and_an_editor_sees_the_same() -> None:
    for name in asr.__all__:
        assert getattr(asr, name) is not None and name in dir(asr)
    tree = ast.parse(Path(str(asr.__file__)).read_text(encoding="utf-8"))
    block = next(one for one in tree.body if isinstance(one, ast.If))
    seen = {alias.asname or alias.name for one in block.body if isinstance(one, ast.ImportFrom) for alias in one.names}
    assert seen == set(asr.__all__) - {"__version__"}
    errors = {one.__name__ for one in AsrError.__subclasses__() if one.__module__ == "asr.errors"}
    assert errors - {"InternalError", "Interrupted", "TranscriptError"} <= set(asr.__all__)
    assert asr.__all__ == sorted(asr.__all__)
    with pytest.raises(AttributeError, match="module 'asr' has no attribute 'transcibe'"):
        _ = asr.transcibe  # type: ignore[attr-defined]


def test_rates_of_a_corpus_are_those_of_jiwer() -> None:
    as_written = {"normalizer": "none"}
    assert asr.wer(REFERENCES, HYPOTHESES, **as_written) == jiwer.wer(REFERENCES, HYPOTHESES)
    assert asr.cer(REFERENCES, HYPOTHESES, **as_written) == jiwer.cer(REFERENCES, HYPOTHESES)
    assert asr.wer(REFERENCES, HYPOTHESES) == 4 / 9  # crown, jumps, hello, two; The and the are the same
    assert asr.wer("Hello, world!", "hello word") == 0.5
    assert asr.wer({"a": "x y", "b": "z"}, {"b": "z", "a": "x"}) == 1 / 3
    assert asr.wer("nine one one", "911", normalizer="none") == 1.0
    assert str(asr.wer("", "x")) == "nan"


def test_a_score_of_texts_and_of_files_is_the_same(tmp_path: Path) -> None:
    report = asr.score(REFERENCES, HYPOTHESES)
    assert (report.words, report.wer) == (ErrorCounts(hits=6, substitutions=1, deletions=2, insertions=1), 4 / 9)
    shown = repr(report)
    assert shown.startswith("ScoreReport(WER 44.44%, CER ") and "4 errors in 9 words, 3 utterances" in shown
    files = [tmp_path / "refs.txt", tmp_path / "hyps.txt"]
    for file, texts in zip(files, (REFERENCES, HYPOTHESES), strict=True):
        file.write_text("".join(f"{number} {text}\n" for number, text in enumerate(texts)))
    by_file = asr.score(files[0], str(files[1]), out=tmp_path / "report", format="kaldi")
    assert by_file.words == report.words
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["words"]["errors"] == 4
    spoken = asr.score(
        dict(zip("abc", REFERENCES, strict=True)),
        dict(zip("abc", HYPOTHESES, strict=True)),
        speakers={"a": "ann", "b": "ann", "c": "bob"},
    )
    assert spoken.by_speaker["ann"].words.errors == 3


def test_texts_may_be_a_column_of_a_table_and_ids_numbers() -> None:
    columns = np.array(REFERENCES), iter(HYPOTHESES)
    assert asr.wer(*columns) == 4 / 9
    by_number = [dict(enumerate(side, 7)) for side in (REFERENCES, HYPOTHESES)]
    for report in (
        asr.score(np.array(REFERENCES), HYPOTHESES, speakers=["ann", "ann", "bob"]),
        asr.score(*cast(Any, by_number), speakers=cast(Any, {7: "ann", 8: "ann", 9: "bob"})),
    ):
        assert {name: one.words.errors for name, one in report.by_speaker.items()} == {"ann": 3, "bob": 1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: asr.score(["a"], ["a", "b"]), "1 references and 2 hypotheses do not hold the same ids"),
        (lambda: asr.score(["a"], {"x": "a"}), "one side is a mapping .* give two mappings or two lists"),
        (lambda: asr.score("refs.txt", ["a"]), "one side is a path and the other texts"),
        (lambda: asr.score("absent.txt", "absent.txt"), "absent.txt"),
        (lambda: asr.wer(["a", cast(Any, None)], ["a", "b"]), "references must hold texts; one is None"),
        (lambda: asr.wer("a", ["a"]), "one side is a text and the other list; give two texts, or two lists"),
        (lambda: asr.wer("a", cast(Any, 3)), "one side is a text and the other int"),
        (lambda: asr.wer(cast(Any, [["a"]]), ["a"]), r"references must hold texts; one is \['a'\]"),
        (lambda: asr.wer({"a"}, {"a"}), "references must be texts in a list, or by id in a mapping, not set"),
        (lambda: asr.wer(np.array([["a"]]), ["a"]), "references must be texts in a list, .*, not ndarray"),
        (lambda: asr.wer("a", "a", normalizer=cast(Any, None)), "normalizer must be a name .'none' changes nothing."),
        (lambda: asr.score("turn it on", "turn it off"), r"are no files; give texts in lists: score\(\[text"),
        (lambda: asr.score(["a"], ["a"], speakers={"x": "ann"}), r"by other ids than the texts: \['x'\], .* \['1'\]"),
        (lambda: asr.score(["a"], ["a"], speakers=["ann", "bob"]), "2 speakers for 1 texts; give one for each"),
        (lambda: asr.load_model(cast(Any, None)), "directory must be a model directory or 'english', not None"),
        (lambda: asr.transcribe(b"RIFF", cast(Any, 16000)), "model must be .*, not 16000; .* given as sample_rate="),
        (lambda: asr.train("fsdd/bilstm.yaml", "r", settings=cast(Any, ["a=b"])), "settings must be keys and values"),
        (lambda: asr.wer(["a"], []), "1 references and 0 hypotheses"),
        (lambda: asr.cer(["a"], cast(Any, 3)), "hypotheses must be texts in a list, or by id in a mapping, not int"),
        (lambda: asr.wer("a", "a", normalizer="englsh"), "normalizer 'englsh' is unknown; choose one of"),
        (lambda: asr.compare({"one": "a", "two": asr.score(["a"], ["a"])}), "some systems are paths and some reports"),
        (lambda: asr.compare({"one": asr.score(["a"], ["a"])}), "a comparison needs two systems"),
        (lambda: asr.load_model("absent"), "absent"),
        (lambda: asr.train("fsdd/bilstm.yaml", "r", corpus="c", data="d"), "both a corpus .* and data .* are given"),
        (lambda: asr.train("recipes/fsdd", "r"), "is a folder; name one of its recipes"),
        (lambda: asr.train("fsdd/bilstm.yaml", "r", settings={"training.epoch": 3}), "training.epoch"),
        (lambda: asr.train("fsdd/bilstm.yaml", "r", settings={"a=b": 3}), "'a=b' is no key"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_clear_error(
    call: Callable[[], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AsrError, match=message):
        call()
    assert list(tmp_path.iterdir()) == []


def test_systems_are_compared_from_reports_and_from_folders(tmp_path: Path) -> None:
    references = {f"u{number}": "a b c d" for number in range(40)}
    good = asr.score(references, references)
    bad = asr.score(references, dict.fromkeys(references, "a x"))
    found = asr.compare({"good": good, "bad": bad})
    assert [pair.verdict for pair in found.pairs] == ["first better"]
    assert repr(found) == "Comparison(WER good 0.00%, bad 75.00%; good and bad: first better)"
    for name, text in (("good", "a b c d"), ("bad", "a x")):
        (tmp_path / name).write_text("".join(f"{key} {text}\n" for key in references))
        asr.score(tmp_path / "good", tmp_path / name, out=tmp_path / f"{name}-report", format="kaldi")
    folders = {name: tmp_path / f"{name}-report" for name in ("good", "bad")}
    again = asr.compare(folders, out=tmp_path / "comparison")
    assert again.pairs[0].verdict == "first better" and (tmp_path / "comparison" / "compare.md").is_file()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus of tones and the model that ``asr.train`` made of it."""
    folder = tmp_path_factory.mktemp("it's, a run")  # a name that Hydra's grammar would break
    data = make_corpus(folder / "data")
    settings = {key: value for key, value in flat(SETTINGS).items() if key != "data.dir"}
    return data, asr.train(write_recipe(folder), folder / "run", data=data, settings=settings)


def test_a_model_is_trained_transcribes_and_is_evaluated(trained: tuple[Path, Path], tmp_path: Path) -> None:
    data, directory = trained
    utterances = read_manifest(data / "test.jsonl")
    model = asr.load_model(directory, "cpu")
    assert isinstance(model, asr.Recognizer) and asr.load_model == asr.Recognizer.from_pretrained
    report = asr.evaluate(directory, data / "test.jsonl", out=tmp_path / "report")
    assert report == asr.evaluate(directory, data / "test.jsonl")
    by_hand = [model.transcribe(one.audio).text for one in utterances]
    assert [one.hypothesis for one in report.utterances] == by_hand
    assert report.wer == asr.wer([one.text for one in utterances], by_hand, normalizer="basic")
    assert (tmp_path / "report" / "report.md").is_file()


def test_the_model_of_transcribe_is_kept_until_it_changes(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, directory = trained
    loads: list[Any] = []
    real = asr.Recognizer.from_pretrained

    def load(*given: Any, **options: Any) -> asr.Recognizer:
        loads.append(given)
        return real(*given, **options)

    monkeypatch.setattr(asr.Recognizer, "from_pretrained", load)
    audio = read_manifest(data / "test.jsonl")[0].audio
    first = asr.transcribe(audio, directory)
    assert asr.transcribe(audio, str(directory)) == first
    assert asr.transcribe(audio, asr.Recognizer.from_pretrained(directory)) == first
    assert len(loads) == 2  # the first call and the one in the line above
    config = directory / "config.json"
    os.utime(config, ns=(1, 1))
    assert asr.transcribe(audio, directory) == first and len(loads) == 3


def test_training_is_resumed_by_the_same_call(trained: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    data, directory = trained
    settings = {key: value for key, value in flat(SETTINGS).items() if key != "data.dir"}
    recipe = directory.parents[1] / "tiny.yaml"
    assert asr.train(recipe, directory.parent, data=data, settings=settings) == directory
    assert "train: up to date, skipped" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["123", "1e3", "null", "True"])
def test_text_among_the_settings_stays_text(text: str, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=f"device '{text}' is unknown"):
        asr.train("fsdd/bilstm.yaml", tmp_path / "r", data=tmp_path, settings={"training.device": text})


def test_settings_reach_the_run_as_they_are(tmp_path: Path) -> None:
    data = make_corpus(tmp_path / "data")
    settings = {
        **{key: value for key, value in flat(SETTINGS).items() if key != "data.dir"},
        "training.epochs": 1, "training.init_from": None, "augment.speeds": [0.9, 1.0],
        "features": "logmel",
    }  # fmt: skip
    recipe = write_recipe(tmp_path)
    asr.train(recipe, tmp_path / "run", data=data, settings=settings)
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "epochs: 1\n" in config and "init_from: null" in config and "- 0.9" in config
