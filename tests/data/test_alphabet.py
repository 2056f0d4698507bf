"""The alphabet of transcripts: every token with its count and an example, and what is suspicious about it."""

from dataclasses import replace
from pathlib import Path

import pytest

from asr import cores
from asr.commands.check import run
from asr.data.alphabet import alphabet, alphabet_to_train, suspicious
from asr.data.manifest import Utterance, write_manifest
from asr.data.quality.texts import text_findings
from asr.errors import UsageError
from asr.text.basic import normalize_letters
from asr.text.tokenizer import TokenizerConfig

ONE = Utterance(id="x", audio="/a.wav", duration_s=4.0, text="")
ACUTE = "\u0301"


def said(*texts: tuple[str, str]) -> list[Utterance]:
    """Utterances of (speaker, text), with the ids u0, u1, ..."""
    return [replace(ONE, id=f"u{number}", speaker=who, text=text) for number, (who, text) in enumerate(texts)]


def test_each_token_has_its_count_share_speakers_and_shortest_example(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = said(("ann", "nganga"), ("bob", "na"), ("ann", "aqq aaa"), ("bob", "an"), ("eve", ""))
    uses = alphabet(texts, list)
    by_token = {use.token: use for use in uses}
    assert [use.token for use in uses] == ["a", "n", "g", "q", " "]
    assert (by_token["a"].count, by_token["a"].share, by_token["a"].example) == (8, 8 / 17, "u1")
    assert (by_token["q"].utterances, by_token["q"].speakers, by_token["q"].one_speaker) == (1, 1, "ann")
    assert not by_token["a"].remarks and by_token["q"].row()[-1] == "fewer than 5 times; speaker ann only"
    assert suspicious(uses) == "fewer than 5 times: n g q space; speaker ann only: g q space"
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)
    monkeypatch.setattr(cores, "BLOCK", 1)
    assert alphabet(texts, list) == uses, "each text by one of two processes"


def test_units_and_graphemes_are_counted_as_a_training_has_them() -> None:
    texts = said(("ann", "Ngaŋɔ\u0301 NG!"), ("bob", "ngɔ"))
    uses = alphabet_to_train(texts, normalize_letters, TokenizerConfig(units=["ng"], graphemes=True))
    assert {use.token: use.count for use in uses} == {"ng": 3, "a": 1, "ŋ": 1, "ɔ" + ACUTE: 1, "ɔ": 1, " ": 1}
    with_marks = {use.token: use for use in alphabet_to_train(said(("a", "éɔ" + ACUTE)), str, TokenizerConfig())}
    assert with_marks[ACUTE].lone_mark and with_marks[ACUTE].row()[:2] == ["\u25cc" + ACUTE, "U+0301"]


@pytest.mark.parametrize(
    ("odd", "kind", "message"),
    [
        (("bob", "คน"), "letters of another script",
         "ค (1 time, Thai among Latin; u40), น (1 time, Thai among Latin; u40)"),
        (("bob", "q" * 5), "letters of one speaker", "q (5 times, bob; u40)"),
        (("bob", f"á ɔ{ACUTE}"), "marks apart from their letters", f"\u25cc{ACUTE} (1 time; u40): a token of its own"),
        (("bob", f"aá a{ACUTE}"), "letters written in two ways",
         "as one character and as letter and mark: á (1 and 1)"),
    ],
)  # fmt: skip
def test_what_is_suspicious_is_found(odd: tuple[str, str], kind: str, message: str) -> None:
    usual = said(*[(("ann", "bob")[n % 2], f"{'ab' * (1 + n // 20)} {'ba' * (1 + n % 20)}") for n in range(40)])
    assert list(text_findings(usual)) == []
    found = {
        one.kind: one.message for one in text_findings([*usual, replace(ONE, id="u40", speaker=odd[0], text=odd[1])])
    }
    assert found[kind].startswith(message)


def test_a_spelling_with_letters_of_two_alphabets_is_one_note() -> None:
    texts = [replace(ONE, id=f"u{number}", text=f"sω{'nd' * number}ω") for number in range(30)]
    (mixed, script) = text_findings(texts)
    assert (mixed.severity, mixed.kind) == ("note", "two alphabets in a word")
    assert mixed.message == "30 transcripts, such as 'sωω'"
    assert script.message == "ω (60 times, Greek among Latin; u0)"


def test_the_command_lists_the_alphabet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"")
    write_manifest(tmp_path / "train.jsonl", [replace(ONE, audio=str(audio), text="Nga!")])
    words = [str(tmp_path / "train.jsonl"), "--decode", "none", "--alphabet"]
    assert run([*words, "--units", "ng,sh"]) == 1  # the recording cannot be read
    shown = capsys.readouterr().out
    assert "train.jsonl: 2 tokens in its texts" in shown and "token  code points" in shown
    rows = [line.split()[:4] for line in shown.splitlines() if " U+" in line]
    assert rows == [["a", "U+0061", "1", "50"], ["ng", "U+006E", "U+0067", "1"]]
    with pytest.raises(UsageError, match="add --alphabet"):
        run([*words[:-1], "--graphemes"])
