"""What `check_utterances` and `check_splits` find, one law each, and what they leave alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import cores
from asr.data import recordings
from asr.data.manifest import Utterance, write_manifest
from asr.data.quality import CheckOptions, Finding, check, check_manifests
from asr.data.quality.check import check_utterances
from asr.data.quality.splits import check_splits
from asr.data.recordings import probe_all


@pytest.fixture
def good(tmp_path: Path) -> Utterance:
    """Two seconds of stereo that an utterance covers whole."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((16_000, 2)), 8_000)
    return Utterance(id="u1", audio=str(path), duration_s=2.0, text="hello there", speaker="s1")


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.severity, finding.kind) for finding in findings]


def test_nothing_is_found_in_sound_data(good: Utterance) -> None:
    assert check_utterances([good]) == []


@pytest.mark.parametrize(
    ("changes", "severity", "kind"),
    [
        ({"duration_s": 2.5}, "error", "span outside the recording"),
        ({"start_s": 1.0}, "error", "span outside the recording"),
        ({"channel": 2}, "error", "no such channel"),
        ({"duration_s": 1.0}, "warning", "rest of the recording unused"),
        ({"duration_s": 0.05, "start_s": 1.96, "text": "a"}, "warning", "very short"),
        ({"text": " "}, "warning", "empty text"),
        ({"text": "..."}, "warning", "no words"),
        ({"text": "a\tb"}, "warning", "odd characters"),
        ({"text": "caf\ufffd"}, "warning", "odd characters"),
        ({"text": "cafe\u0301"}, "warning", "text not in NFC"),
        ({"id": "u 1"}, "warning", "id with spaces"),
    ],
)
def test_one_error_gives_one_finding(good: Utterance, changes: dict[str, object], severity: str, kind: str) -> None:
    findings = check_utterances([replace(good, **changes)])  # type: ignore[arg-type]

    assert kinds(findings) == [(severity, kind)]


def test_durations_rounded_to_hundredths_are_no_error(good: Utterance) -> None:
    assert check_utterances([replace(good, duration_s=2.01)]) == []


def test_a_recording_that_cannot_be_read_is_reported_once_and_first(
    good: Utterance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio at all")
    bad = [replace(good, id=f"b{n}", audio=str(tmp_path / "bad.wav"), start_s=float(n)) for n in range(3)]

    findings = check_utterances([replace(good, text=""), *bad])

    assert kinds(findings) == [("error", "unreadable audio"), ("warning", "empty text")]
    assert "bad.wav: is not audio" in findings[0].message
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)
    monkeypatch.setattr(cores, "BLOCK", 2)
    monkeypatch.setattr(check, "BLOCK", 2)
    monkeypatch.setattr(recordings, "_OPENED", 1)
    assert check_utterances([replace(good, text=""), *bad]) == findings, "each check in a process, as of many"


def test_each_recording_is_opened_once(good: Utterance) -> None:
    opened: list[None] = []

    probe_all([good.audio] * 100, on_file=lambda: opened.append(None))

    assert len(opened) == 1


def test_a_minute_and_more_in_one_piece_is_long(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(4_000 * 61), 4_000)
    long = Utterance(id="u", audio=str(tmp_path / "a.flac"), duration_s=61.0, text="x" * 600)

    assert kinds(check_utterances([long])) == [("warning", "very long")]


def test_the_same_stretch_in_two_lines_is_found(good: Utterance) -> None:
    same, other_text = replace(good, id="u2"), replace(good, id="u3", text="good day to")
    other_channel = replace(good, id="u4", channel=0)

    findings = check_utterances([good, same, other_text, other_channel])

    assert [(finding.kind, finding.where) for finding in findings] == [
        ("same sound twice", "u2"),
        ("same sound with two texts", "u3"),
    ]


def test_a_transcript_that_belongs_elsewhere_shows_in_its_speech_rate(good: Utterance) -> None:
    normal = [
        replace(good, id=f"u{n}", text="xyxyxyxyx"[: 7 + n % 3], start_s=n / 1_000, duration_s=1.0) for n in range(50)
    ]
    wrong = replace(good, id="wrong", text="xy" * 13, start_s=0.9, duration_s=1.0)

    findings = check_utterances([*normal, wrong])

    assert [(f.kind, f.where) for f in findings if f.severity != "note"] == [("strange speech rate", "wrong")]
    assert "26.0 characters a second; the median is 8.0" in findings[0].message


def test_characters_of_one_utterance_in_hundreds_are_rare(good: Utterance) -> None:
    many = [replace(good, id=f"u{n}", text="same words", start_s=n / 1_000, duration_s=1.0) for n in range(300)]

    findings = check_utterances([replace(many[0], text="same wordß"), *many[1:]])

    assert [f.message for f in findings if f.severity != "note"] == ["in fewer than 3 utterances each: ß"]


def test_splits_that_share_nothing_are_clean(good: Utterance, tmp_path: Path) -> None:
    halves = {"train": [replace(good, duration_s=1.0)], "test": [replace(good, id="u2", speaker="s2", start_s=1.0)]}

    assert check_splits(halves) == []


def test_sound_in_two_splits_is_an_error_even_under_another_name(good: Utterance, tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    other = replace(good, id="u2", speaker="s2", audio=str(tmp_path / "link.wav"), start_s=1.5, duration_s=0.5)

    findings = check_splits({"train": [good], "test": [other]})

    assert kinds(findings) == [("error", "same sound in two splits")]
    assert "u1 and u2 share 0.50 s" in findings[0].message
    assert check_splits({"train": [replace(good, channel=0)], "test": [replace(other, channel=1)]}) == []


def test_copies_of_a_recording_are_found_where_both_splits_have_the_same_ids(good: Utterance, tmp_path: Path) -> None:
    soundfile.write(good.audio, np.random.default_rng(0).uniform(-0.1, 0.1, 16_000), 8_000)
    manifests = []
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        copy = shutil.copy(good.audio, tmp_path / name / "001.wav")
        manifests.append(tmp_path / f"{name}.jsonl")
        write_manifest(manifests[-1], [replace(good, id="001", audio=str(copy), speaker=name)])

    findings = check_manifests(CheckOptions(manifests=manifests)).across

    assert [(one.kind, one.ids) for one in findings if one.severity == "error"] == [
        ("same sound in two splits", ("001",))
    ]


def test_every_utterance_that_another_split_shares_is_named(good: Utterance) -> None:
    def span(key: str, start_s: float, duration_s: float) -> Utterance:
        return replace(good, id=key, speaker=key, start_s=start_s, duration_s=duration_s)

    splits = {"train": [span("a", 0.0, 1.5), span("b", 0.2, 1.5)], "dev": [span("c", 0.5, 1.0)]}
    splits["test"] = [span("d", 1.0, 0.5)]

    assert [(one.splits, one.ids) for one in check_splits(splits)] == [
        (("train", "dev"), ("a", "b")),
        (("train", "test"), ("a", "b")),
        (("dev", "test"), ("c",)),
    ]


def test_speakers_and_ids_in_two_splits_are_warnings(good: Utterance) -> None:
    other = replace(good, audio="/elsewhere.wav")

    findings = check_splits({"train": [good], "dev": [], "test": [other]})

    assert [(finding.kind, finding.where, finding.message) for finding in findings] == [
        ("speakers in two splits", "train, test", "1: s1"),
        ("ids in two splits", "train, test", "1: u1"),
    ]


def test_overlaps_equal_those_of_brute_force() -> None:
    random = np.random.default_rng(0)
    splits: dict[str, list[Utterance]] = {"train": [], "test": []}
    for number in range(80):
        start_s, duration_s = random.uniform(0, 100), random.uniform(0.1, 3)
        utterance = Utterance(id=str(number), audio="/a.wav", start_s=start_s, duration_s=duration_s, text="")
        splits["train" if random.random() < 0.5 else "test"].append(utterance)

    def leaks(later: Utterance, earlier: Utterance) -> bool:
        return earlier.start_s <= later.start_s < earlier.start_s + earlier.duration_s - 0.02

    expected = {
        one.id
        for mine, theirs in (("train", "test"), ("test", "train"))
        for one in splits[mine]
        if any(leaks(one, other) for other in splits[theirs])
    }
    found = {finding.message.split()[2] for finding in check_splits(splits)}

    assert found == expected and len(expected) > 10
