"""Other recognisers beside ours: all scored alike, decodings resumed exactly, nothing drawn that was not measured."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from asr.data.manifest import Utterance, write_manifest
from asr.scoring import score_texts, write_results
from asr.text.normalize import get_normalizer
from benchmarks import minutes_against_wer, other_recognisers
from benchmarks.minutes_against_wer import RESULTS, draw, score, show, spelled_alike
from benchmarks.other_recognisers import System

TEXTS = {"a": "rubout g m e f three nine", "b": "p a t t e r s o n", "c": "go home"}


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "words"),
    [
        ("rubout g m e f three nine", "Rubout GMEF39.", 0, 7),
        ("rubout g m e f three nine", "rub out G-M-E-S 3 9", 3, 7),  # rub, out for rubout; s for f
        ("fifty two nineteen", "5219", 0, 4),
        ("fifty two nineteen", "52, 90.", 2, 4),  # 5 2 1 9 against 5 2 9 0
        ("three three one oh one eight eight", "331-0188", 0, 7),
        ("p a t t e r s o n", "Patterson.", 0, 9),
        ("p a t t e r s o n", "Peterson", 2, 9),  # e for a, one t too few
        ("we met patterson", "We met P.A.T.", 1, 3),  # the reference does not spell: one word for another
        ("a cat", "acat", 2, 2),
        ("may second nineteen sixty five", "May 2nd, 1965", 0, 6),
    ],
)
def test_spelled_letters_and_digits_count_one_by_one(reference: str, hypothesis: str, errors: int, words: int) -> None:
    utterances = [Utterance(id="u", audio="u.wav", duration_s=1.0, text=reference)]
    counts = score(utterances, {"u": hypothesis}, as_written=False).words
    assert (counts.errors, counts.reference_length) == (errors, words)


def test_the_choice_of_words_to_spell_is_the_best_of_all() -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        reference = " ".join(["x", "y", *generator.choice(["a", "b", "c", "ab", "bca"], size=5)])
        said = list(generator.choice(["a", "b", "ab", "bc", "abc", "cab"], size=4))
        all_choices = itertools.product(*[(word, " ".join(word)) for word in said])
        fewest = min(round(jiwer.wer(reference, " ".join(one)) * 7) for one in all_choices)
        assert round(jiwer.wer(reference, spelled_alike(reference, " ".join(said))) * 7) == fewest


def test_as_written_no_rule_applies() -> None:
    utterances = [Utterance(id="u", audio="u.wav", duration_s=1.0, text="g m e f")]
    assert score(utterances, {"u": "GMEF"}, as_written=True).words.errors == 4


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    utterances = []
    for key, text in TEXTS.items():
        soundfile.write(tmp_path / f"{key}.wav", np.zeros(16_000, np.float32), 16_000)
        utterances.append(
            Utterance(id=key, audio=str(tmp_path / f"{key}.wav"), duration_s=1.0, text=text, speaker=f"speaker {key}")
        )
    write_manifest(tmp_path / "test.jsonl", utterances)
    return tmp_path / "test.jsonl"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the system "fake" was given to recognise, as numbers of samples; it stops at the third."""
    calls: list[int] = []

    def load(scratch: Path) -> Callable[[NDArray[np.float32]], str]:
        def recognise(waveform: NDArray[np.float32]) -> str:
            if len(calls) == 2 and scratch.name == "stops":
                calls.append(-1)
                raise KeyboardInterrupt
            calls.append(len(waveform))
            return "GMEF39"

        return recognise

    monkeypatch.setitem(other_recognisers.SYSTEMS, "fake", System(load, ("jiwer",), "none"))
    return calls


def test_a_decoding_is_resumed_at_the_next_utterance(manifest: Path, heard: list[int], tmp_path: Path) -> None:
    words = ["fake", f"made-up={manifest}", "--out", str(tmp_path / "stops")]
    with pytest.raises(KeyboardInterrupt):
        other_recognisers.main(words)
    file = tmp_path / "stops" / "fake" / "made-up.jsonl"
    file.write_text(file.read_text() + '{"id": "c", "te')  # killed while it wrote
    assert other_recognisers.main(words) == 0
    assert heard == [16_000, 16_000, -1, 16_000]
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == list(TEXTS)


def test_a_test_set_that_is_not_decoded_whole_has_no_row(
    manifest: Path, heard: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, results = str(tmp_path / "decoded"), tmp_path / "results.json"
    other_recognisers.main(["fake", f"made-up={manifest}:2", "--out", out])
    words = ["--results", str(results), "score", "--decoded", out]
    minutes_against_wer.main([*words, f"made-up={manifest}"])
    assert json.loads(results.read_text())["systems"] == []
    assert "fake, made-up: 1 utterances are not decoded yet" in capsys.readouterr().err
    minutes_against_wer.main([*words, f"made-up={manifest}:2"])
    (row,) = json.loads(results.read_text())["systems"]
    assert (row["system"], row["utterances"], row["words"]) == ("fake", 2, 16)
    assert row["wer"] == 56.25  # rubout, and of nine letters all but e: (1 + 8) / 16
    assert row["versions"].keys() == {"jiwer"} and row["settings"] == "none" and row["times_real_time"] > 0


def test_a_curve_is_scored_again_as_the_others_are(manifest: Path, tmp_path: Path) -> None:
    trainings = []
    for seed, texts in ((1, TEXTS), (2, {**TEXTS, "c": "go"})):
        run = tmp_path / f"run{seed}"
        for name, own in (("evaluation", texts), ("evaluation-lm", {**TEXTS, "b": "Patterson"})):
            (run / name / "test").mkdir(parents=True)
            report = score_texts(TEXTS, own, normalizer=get_normalizer("basic"))
            write_results(run / name / "test" / "results.jsonl", report)
        row = {
            "curve": "scratch",
            "part": "5",
            "minutes": 5.0 + seed / 10,
            "seed": seed,
            "run": str(run),
            "command": "asr",
        }
        trainings += [row, {**row, "curve": "scratch + language model", "decoding": {"name": "greedy"}}]
    curve, results = tmp_path / "learning-curve.json", tmp_path / "results.json"
    curve.write_text(json.dumps({"trainings": trainings}))
    words = ["--results", str(results), "score", f"t={manifest}", "--curve", f"t={curve}"]
    assert minutes_against_wer.main(words) == 0
    plain, with_lm = json.loads(results.read_text())["curves"]
    assert (plain["minutes"], plain["seeds"]) == (5.15, [1, 2])
    assert (plain["wers"], plain["wer"]) == ([0.0, 5.56], 2.78)  # home is 1 of 18
    assert plain["interval_over"] == "3 speakers" and plain["command"] == "asr"
    assert (with_lm["wers"], with_lm["wer_as_written"]) == ([0.0, 0.0], 52.94)  # 39 is one word there: 9 of 17
    minutes_against_wer.main(words)
    assert len(json.loads(results.read_text())["curves"]) == 2  # in place of the earlier ones
    with pytest.raises(SystemExit):
        minutes_against_wer.main([*words[:4], "--curve", f"other={curve}"])


def _row(**values: object) -> dict[str, object]:
    return {"interval": [1.0, 9.0], "wer": 5.0, "wers": [4.0, 6.0], **values}


def test_only_tests_with_a_curve_are_drawn_and_only_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(minutes_against_wer, "save_figure", lambda figure, path: drawn.append(figure))
    about = {"utterances": 3, "speakers": 2}
    found = {
        "tests": {"one": about, "two": about},
        "systems": [_row(test="one", system="other", wer=30.0), _row(test="two", system="other", wer=40.0)],
        "curves": [_row(test="one", curve="ours", minutes=m) for m in (5.0, 10.0)],
    }
    draw(found, tmp_path / "picture.png")
    (axes,) = drawn[0].axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["ours", "other (30.0)"] and "one" in axes.get_title()
    ours = next(line for line in axes.lines if line.get_label() == "ours")
    assert list(ours.get_xdata()) == [5.0, 10.0] and list(ours.get_ydata()) == [5.0, 5.0]
    with pytest.raises(SystemExit, match="no curve"):
        draw({**found, "curves": []}, tmp_path / "picture.png")


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing measured yet")
def test_the_readme_has_the_table_of_the_results() -> None:
    assert (RESULTS.parent / "README.md").read_text() == show(RESULTS), "run: minutes_against_wer.py show"
