"""`asr suggest`: the ranking of recordings whose drafts are handmade, the manifest, and what is refused."""

import json
import math
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from asr.cli import main
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.errors import AsrError, AudioError
from asr.recognition import Recognizer
from asr.recognition.windows import Emissions
from tests.random_model import RATE, random_model
from tests.recognition.test_recognizer import make_waveform
from tests.recognition.test_suspects import said


@pytest.fixture
def hears(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, float] | None]:
    """By the name of a recording: the draft and how sure the model is of each token; None: it cannot be read. The draft
    of a second model is under "second NAME".
    """
    drafts: dict[str, tuple[str, float] | None] = {}

    def load(model: Path, **_: Any) -> Recognizer:
        recognizer = Recognizer(random_model(letters="abcd "), "cpu")
        prefix = "second " * (model.name == "second")

        def emissions(recordings: Iterable[Path | Utterance]) -> Iterator[Emissions | AsrError]:
            for one in recordings:
                heard = drafts[prefix + Path(one.audio if isinstance(one, Utterance) else one).stem]
                yield AudioError(f"{one}: is damaged") if heard is None else said(*heard)

        monkeypatch.setattr(recognizer, "emissions", emissions)
        return recognizer

    monkeypatch.setattr(Recognizer, "from_pretrained", load)
    return drafts


def record(folder: Path, *names: str, seconds: float = 1.0) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, make_waveform(seconds, sum(map(ord, name))), RATE)
    return folder


def suggest(*arguments: object) -> int:
    return main(["suggest", "model", *map(str, arguments)])


def test_the_ranking_by_hand_on_the_terminal_and_in_the_manifest(
    hears: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    folder = record(tmp_path / "new", "doubtful.wav", "sure.wav", "rare.wav", "empty.wav", "deep/other.wav")
    spoken = record(tmp_path / "old", "spoken.wav")
    write_manifest(
        tmp_path / "old.jsonl",
        [Utterance(id="spoken", audio=str(spoken / "spoken.wav"), duration_s=1.0, text="A.", speaker="ann")],
    )
    hears |= {"doubtful": ("a", 0.5), "sure": ("a", 0.9), "rare": ("b", 0.5), "empty": ("", 0.9), "other": ("c", 0.5)}
    out = tmp_path / "next.jsonl"
    arguments = [folder, "--transcribed", tmp_path / "old.jsonl", "--out", out]
    assert suggest(*arguments) == 0
    printed = capsys.readouterr().out.splitlines()

    # as in tests/recognition/test_suggestions.py: the drafts have "a" twice and "b" once, the old text "a" once
    values = [2 * math.log(1.25) / 2, math.log(1.5) / 2, 2 * math.log(1.04) / 2, 0.0]
    assert [line.split()[:4] for line in printed[1:-2]] == [
        [str(rank), name, "1.0", f"{value:.3g}"]
        for rank, (name, value) in enumerate(zip(("doubtful", "rare", "sure", "empty"), values, strict=True), start=1)
    ]
    assert printed[-2:] == ["4 of 4 recordings, 0.1 of 0.1 minutes", f"manifest: {out}"]
    chosen = read_manifest(out)
    assert [one.id for one in chosen] == ["doubtful", "rare", "sure", "empty"] and {one.text for one in chosen} == {""}
    first = chosen[0].extra
    assert (first["rank"], first["draft"], first["confidence"]) == (1, "a", 0.5)
    assert first["score"] == pytest.approx(values[0], abs=1e-4) and first["why"] == "confidence 0.50; rare: #a#"
    assert suggest(*arguments, "-r", "--minutes", 2.5 / 60, "--show", 1) == 0
    assert capsys.readouterr().out.splitlines()[-2].startswith("2 of 5 recordings, 0.0 of 0.1 minutes (the first 1 are")


def test_lines_with_a_text_are_transcribed_and_their_sound_is_left_out(
    hears: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    record(tmp_path, "one.wav", "two.wav", "three.wav")
    rows = [
        {"id": "one", "audio": "one.wav", "duration_s": 1.0, "text": "ab", "speaker": "ann"},
        {"id": "two", "audio": "two.wav", "duration_s": 1.0, "text": "", "speaker": "ann", "room": "hall"},
        {"id": "three", "audio": "three.wav", "duration_s": 1.0, "text": " ", "speaker": "bob"},
    ]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hears |= dict.fromkeys(("one", "two", "three", "second one", "second two", "second three"), ("ab", 0.5))
    hears["second two"] = ("ab cd", 0.5)
    given = [tmp_path / "mixed.jsonl", tmp_path / "one.wav", tmp_path / "three.wav", "--second", "second"]
    assert suggest(*given, "--out", tmp_path / "next.jsonl") == 0
    captured = capsys.readouterr()

    assert "2 recordings or segments are transcribed already, or given twice" in captured.err
    chosen = {one.id: one for one in read_manifest(tmp_path / "next.jsonl")}
    # each has two trigrams, as the old text, and two for its speaker; doubts of 0.5 and then 0.25
    two, three = 4 * math.log(1.25) + 2 * math.log(1 + 1 / 3), 4 * math.log(1 + 0.25 / 2.5) + 2 * math.log(1.5)
    assert list(chosen) == ["two", "three"]
    scores = [chosen[name].extra["score"] for name in ("two", "three")]
    assert scores == pytest.approx([two / 2, three / 2], abs=1e-4)
    assert chosen["two"].speaker == "ann" and chosen["two"].extra["room"] == "hall"
    assert chosen["two"].extra["disagreement"] == 0.5 and chosen["two"].extra["second_draft"] == "ab cd"
    assert "new speaker bob; confidence 0.50; models differ in 0%" in captured.out


def test_what_is_left_out_is_not_recognised_and_transcribed_recordings_may_be_gone(
    hears: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    record(tmp_path, "one.wav", "two.wav", "three.wav")
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "one.wav", tmp_path / "copy" / "renamed.wav")
    old = [
        Utterance(id="one", audio=str(tmp_path / "one.wav"), duration_s=1.0, text="ab"),
        Utterance(id="gone", audio=str(tmp_path / "gone.wav"), duration_s=1.0, text="cd", speaker="ann"),
    ]
    write_manifest(tmp_path / "old.jsonl", old)
    hears |= {"two": ("cd", 0.5), "three": ("ab", 0.5)}  # whatever else is recognised is an error
    given = [tmp_path / "copy", tmp_path / "two.wav", tmp_path / "two.wav", tmp_path / "three.wav"]
    assert suggest(*given, "--transcribed", tmp_path / "old.jsonl", "--out", tmp_path / "next.jsonl") == 0
    captured = capsys.readouterr()
    assert "the recordings of 1 transcribed texts are gone; only the texts count" in captured.err
    chosen = {one.id: one.extra["score"] for one in read_manifest(tmp_path / "next.jsonl")}
    # two trigrams each, which the texts have once, that of the recording that is gone as well
    assert chosen == {name: pytest.approx(2 * math.log(1.25) / 2, abs=1e-4) for name in ("two", "three")}
    assert suggest(tmp_path / "copy", "--transcribed", tmp_path / "old.jsonl") == 0
    captured = capsys.readouterr()
    assert "nothing to transcribe" in captured.out and "1 recordings or segments are transcribed" in captured.err


def test_recordings_with_ids_in_common_are_all_ranked(hears: dict[str, Any], tmp_path: Path) -> None:
    record(tmp_path, "u.wav", "v.wav", "w.wav")
    rows = [
        {"id": name, "audio": f"{file}.wav", "duration_s": 1.0, "text": ""}
        for name, file in (("a", "u"), ("a", "v"), ("a-2", "w"))
    ]
    for number, row in enumerate(rows):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(row) + "\n")
    hears |= {"u": ("a", 0.5), "v": ("b", 0.5), "w": ("c", 0.5)}
    assert suggest(*(tmp_path / f"{n}.jsonl" for n in range(3)), "--out", tmp_path / "next.jsonl") == 0
    chosen = {one.id: Path(one.audio).stem for one in read_manifest(tmp_path / "next.jsonl")}
    assert chosen == {"a": "u", "a-3": "v", "a-2": "w"}


def test_a_long_recording_is_ranked_by_segments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    recognizer = Recognizer(random_model(), "cpu", speech_gate=False)
    monkeypatch.setattr(Recognizer, "from_pretrained", lambda *_, **__: recognizer)
    record(tmp_path / "long", "talk.wav", seconds=24.0)
    assert suggest(tmp_path / "long", "--out", tmp_path / "next.jsonl") == 0
    chosen = sorted(read_manifest(tmp_path / "next.jsonl"), key=lambda one: one.start_s)

    assert len(chosen) > 1 and all(one.duration_s <= 15.5 and one.id == f"talk-{one.start_s:.2f}" for one in chosen)
    assert all(one.start_s + one.duration_s <= 24.0 + 1e-3 for one in chosen)
    (tmp_path / "done.jsonl").write_text(
        json.dumps({"id": "x", "audio": "long/talk.wav", "duration_s": 9.0, "start_s": chosen[0].start_s, "text": "a"})
    )
    assert suggest(tmp_path / "long", "--transcribed", tmp_path / "done.jsonl") == 0
    assert "transcribed already" in capsys.readouterr().err


def test_what_cannot_be_read_is_named_and_the_rest_is_ranked(
    hears: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    folder = record(tmp_path / "new", "good.wav", "bad.wav")
    (folder / "text.wav").write_text("no sound")
    hears |= {"good": ("a", 0.5), "bad": None}
    assert suggest(folder, tmp_path / "absent.wav") == 1
    captured = capsys.readouterr()
    assert "1 of 1 recordings" in captured.out
    assert all(f"{name}.wav" in captured.err for name in ("bad", "text", "absent"))


def test_wrong_input_is_one_message(hears: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    folder = record(tmp_path / "new", "a.wav")
    hears["a"] = ("a", 0.5)
    (tmp_path / "empty").mkdir()
    done = tmp_path / "done.jsonl"
    done.write_text(json.dumps({"id": "a", "audio": "new/a.wav", "duration_s": 1.0, "text": "a"}))

    def error(*arguments: object) -> str:
        assert suggest(*arguments) in (1, 2)
        return str(capsys.readouterr().err).splitlines()[-1]

    assert "every line has a text" in error(done)
    assert "no such manifest" in error(tmp_path / "none.jsonl")
    assert "no such manifest" in error(folder, "--transcribed", tmp_path / "none.jsonl")
    assert "from a pipe" in error("-")
    assert "must be more than 0 minutes" in error(folder, "--minutes", 0)
    assert "the shortest recording or segment has 1.0 s" in error(folder, "--minutes", 0.01)
    assert "ends in .jsonl" in error(folder, "--out", tmp_path / "next.csv")
    assert "one of the manifests that are read" in error(folder, "--transcribed", done, "--out", done)
    assert "no recordings" in error(tmp_path / "empty")
