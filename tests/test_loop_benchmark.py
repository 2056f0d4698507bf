"""``benchmarks/loop.py``: long recordings, the person, and the whole loop at toy size."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.files import read_json_lines, read_json_object
from asr.server.options import ServeOptions
from asr.training.logs import RunLogs
from benchmarks import loop
from benchmarks.loop import PAUSES_S, RATE, said_in, write_recordings
from recipes.folder.prepare import prepare
from tests.tiny_run import SETTINGS, flat, make_utterance

pytest.importorskip("fastapi", reason="needs the extra [server]")


def made(folder: Path, count: int, name: str, speakers: str = "xy") -> list[Utterance]:
    """Utterances of 1.3 s, each a speaker's in turn, none with the text of another."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(count)
    found = []
    for number in range(count):
        text = f"{'abc'[number % 3]}{'abc'[number // 3 % 3]} {'abc'[number // 9 % 3]}"
        one = make_utterance(folder, f"{name}{number}", text, generator, duration_s=1.3)
        found.append(replace(one, speaker=speakers[number % len(speakers)]))
    return found


def test_long_recordings_hold_the_utterances_where_their_annotation_says(tmp_path: Path) -> None:
    given = made(tmp_path / "data", 5, "u")
    placed = write_recordings(tmp_path / "corpus" / "train", given, 3.0, annotated=True)
    write_recordings(tmp_path / "corpus" / "test", given[:1], 3.0, annotated=True)
    assert [Path(one.audio).name for one in placed] == ["001.wav", "001.wav", "002.wav", "001.wav", "001.wav"]
    ends_s: dict[str, float] = {}
    for one in placed:
        pause_s = one.start_s - ends_s.get(one.audio, 0.0)
        ends_s[one.audio] = one.start_s + one.duration_s
        assert PAUSES_S[0] - 1e-3 < pause_s < PAUSES_S[1] + 1e-3
        sound, _ = soundfile.read(one.audio)
        first, stop = round(one.start_s * RATE), round(ends_s[one.audio] * RATE)
        inside, outside = np.abs(sound[first:stop]), np.abs(sound[first - 100 : first])
        assert inside.mean() > 0.1 and outside.max() < 0.01
    prepare(tmp_path / "corpus", tmp_path / "prepared")
    lines = [one for part in ("train", "dev") for one in read_manifest(tmp_path / "prepared" / f"{part}.jsonl")]
    read = {(one.audio, one.text): one for one in lines}
    assert read.keys() == {(one.audio, one.text) for one in placed}
    assert all(abs(read[one.audio, one.text].start_s - max(0.0, one.start_s - 0.1)) < 0.11 for one in placed)
    assert {one.speaker for one in read.values()} == {"x", "y"}


def test_what_a_person_hears_in_a_segment() -> None:
    said = [
        Utterance(id=str(n), audio="a.wav", start_s=2.0 * n, duration_s=1.0, text="abc"[n]) for n in range(3)
    ]  # 0 to 1, 2 to 3 and 4 to 5 s
    assert said_in(said, 0.0, 3.5) == "a b"
    assert said_in(said, 0.2, 4.2) == "a b", "cut by less than a quarter"
    assert said_in(said, 0.0, 2.5) is None and said_in(said, 4.5, 6.0) is None, "an utterance is cut"
    assert said_in(said, 1.0, 2.0) is None, "nothing is said"


def test_the_whole_loop_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(RunLogs, "draw", lambda self: None)
    monkeypatch.setattr(loop, "SETTLE_S", 0.05)
    monkeypatch.setattr(loop, "ServeOptions", partial(ServeOptions, speech_gate=False))  # tones are no speech
    for name, count in (("train", 24), ("dev", 2), ("test", 3)):
        write_manifest(tmp_path / f"{name}.jsonl", made(tmp_path / "sound", count, name))
    tiny = {key: value for key, value in flat(SETTINGS).items() if key not in ("seed", "training.epochs")}
    settings = [f"{key}={'null' if value is None else value}" for key, value in tiny.items()]
    first = ["training.init_from=null", "training.epochs=2", "training.least_steps=null"]
    out = tmp_path / "out"
    given = [str(tmp_path), "--out", str(out), "--minutes", "0.2", "--corrections", "3", "--recording-s", "4"]
    given += ["--set", *settings, "--first", *first, "--then", "training.epochs=1", "training.least_steps=null"]
    assert loop.main(given) == 0
    printed = capsys.readouterr()
    found = read_json_object(out / "loop.json")
    corrected = read_manifest(out / "pile" / "corrected.jsonl")
    truth = read_manifest(out / "pile-truth.jsonl")
    assert len(corrected) == found["corrections"] == 3
    assert all(
        one.text == said_in([u for u in truth if u.audio == one.audio], one.start_s, one.start_s + one.duration_s)
        for one in corrected
    )
    trained, second, control = (
        {(one.text, one.start_s) for one in read_manifest(out / "runs" / name / "data" / "train.jsonl")}
        for name in ("first", "second", "control")
    )
    assert (
        len(trained) == 9 and trained == control and second - trained == {(one.text, one.start_s) for one in corrected}
    )
    assert found["test"]["utterances"] == 3 and 0 < found["rest"]["utterances"] < len(truth)
    assert [row["model"] for row in found["rest"]["rows"]] == ["first", "second", "control"]
    assert found["command"].startswith("python benchmarks/loop.py") and found["settings"]["seed"] == 1
    assert "| test | 3 | second |" in printed.out and (out / "next.jsonl").is_file()

    log = read_json_lines(out / "pile" / "corrections" / "log.jsonl")
    assert loop.main(given) == 0
    again = capsys.readouterr()
    table = (out / "loop.md").read_text()
    assert printed.out.endswith(table) and again.out.endswith(table)
    assert again.err.count("up to date, skipped") == 12
    assert read_json_lines(out / "pile" / "corrections" / "log.jsonl") == log
    with pytest.raises(SystemExit, match="begun with other settings"):
        loop.main([*given, "seed=2"])  # one more of --then
