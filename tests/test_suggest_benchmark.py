"""``benchmarks/suggest.py``: equal starts and budgets for every method, and the difference that it reports."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.probes.processes import Key
from asr.recognition.suggestions import Candidate
from asr.scoring.markdown import ReportHeader
from asr.scoring.output import write_report
from asr.scoring.report import score_texts
from asr.text.normalize import get_normalizer
from benchmarks import suggest
from benchmarks.suggest import choose


def test_each_method_chooses_within_the_budget() -> None:
    pool = [
        Candidate(id=name, duration_s=seconds, text=text, confidence=sure)
        for name, seconds, text, sure in (
            ("noise", 3.0, "a", 0.1),
            ("speech", 4.0, "ba be bi", 0.3),
            ("sure", 3.0, "do", 1.0),
        )
    ]
    assert choose("confidence", pool, [], 7.0, 1) == ["noise", "speech"]
    assert choose("suggest", pool, [], 4.0, 1) == ["speech"]
    assert choose("random", pool, [], 7.0, 1) == choose("random", pool[::-1], [], 7.0, 1)
    assert {tuple(choose("random", pool, [], 4.0, seed)) for seed in range(20)} == {("noise",), ("speech",), ("sure",)}


def test_the_trainings_and_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "a.wav").touch()
    utterances = [
        Utterance(id=f"u{n}", audio=str(tmp_path / "a.wav"), start_s=float(n), duration_s=1.0, text="ba", speaker="x")
        for n in range(12)
    ]
    for split in ("train", "dev", "test"):
        write_manifest(tmp_path / f"{split}.jsonl", utterances)
    commands: dict[Key, list[str]] = {}

    def finish(some: Mapping[Key, list[str]], runs: Mapping[Key, Path], *_: object) -> None:
        commands.update(some)
        for (name, seed), run in runs.items():
            wrong = {"start": 9, "random": 6 + seed, "suggest": 5 + seed}[name.partition("-")[0]]
            texts = ["ab"] * wrong + ["ba"] * (12 - wrong)
            speakers = {str(n): "xy"[n % 2] for n in range(12)}
            report = score_texts(
                {str(n): "ba" for n in range(12)},
                {str(n): text for n, text in enumerate(texts)},
                speakers=speakers,
                normalizer=get_normalizer("basic"),
            )
            write_report(run / "evaluation" / "test", report, ReportHeader(title="", system="", data="", date=""))

    def drafts(self: Any, seed: int, start: Any, pool: Any) -> Any:
        assert len(start) == 3 and not {one.id for one in start} & {one.id for one in pool}
        return [Candidate(id=one.id, duration_s=1.0, text=one.text, confidence=0.5) for one in pool], []

    monkeypatch.setattr(suggest, "train_all", finish)
    monkeypatch.setattr(suggest.Simulation, "_drafts", drafts)
    out = tmp_path / "out"
    given = ["tiny.yaml", str(tmp_path), "--out", str(out), "--start", "0.05", "--minutes", "0.1", "--seeds", "2"]
    assert suggest.main([*given, "--set", "a=1", "--first", "b=2", "--then", "c=3"]) == 0

    assert sorted(commands) == sorted(
        (name, seed) for name in ("start", "random-0.1", "suggest-0.1") for seed in (1, 2)
    )
    assert commands["start", 1][-2:] == ["a=1", "b=2"]
    assert commands["suggest-0.1", 2][-3:] == ["a=1", f"training.init_from={out / 'runs/start-2/model'}", "c=3"]
    start = {one.id for one in read_manifest(out / "parts" / "start-1" / "train.jsonl")}
    for name in ("random", "suggest"):
        part = {one.id for one in read_manifest(out / "parts" / f"{name}-0.1-1" / "train.jsonl")}
        assert start < part and len(part) == 9
    found = json.loads((out / "suggest.json").read_text())
    (difference,) = found["differences"]
    assert difference["second"] == "suggest" and difference["points"] == pytest.approx(-100 / 12, abs=1e-3)
    assert "| 0.1 | random | 2 | 62.5" in capsys.readouterr().out  # 7 and 8 of 12 words
    with pytest.raises(SystemExit, match="begun with other settings"):
        suggest.main([*given, "--set", "a=2"])
