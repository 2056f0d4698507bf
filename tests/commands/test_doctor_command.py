"""``asr doctor``: what it finds here, and that what is missing, does not fit or fails is said with what to do."""

import importlib.metadata
from pathlib import Path

import pytest

from asr import torchaudio_door
from asr.cli import main

Capsys = pytest.CaptureFixture[str]
Versions = dict[str, str | None]


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Versions:
    """Versions that packages claim to have; None: not installed."""
    claimed: Versions = {}
    actual = importlib.metadata.version

    def version(name: str) -> str:
        found = claimed.get(name, "") or ""
        if name in claimed and not found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found or actual(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    return claimed


def line_of(output: str, name: str) -> str:
    return next(line for line in reversed(output.splitlines()) if name in line.split())  # the last table tells most


def test_a_machine_where_all_is_well(capsys: Capsys) -> None:
    code = main(["doctor"])
    output = capsys.readouterr().out
    assert (code, output.splitlines()[-1]) == (0, "all well")
    assert line_of(output, "jiwer").split() == ["jiwer", importlib.metadata.version("jiwer")]
    assert "a quiet street" in line_of(output, "english")
    assert "cores usable" in line_of(output, "processor")


def test_a_package_that_is_missing_or_does_not_fit_is_named_with_the_command(
    versions: Versions, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.commands.doctor._CHECKS", {})
    versions |= {"jiwer": None, "soxr": "9.0", "av": None, "sentencepiece": "7.1"}
    code = main(["doctor"])
    output = capsys.readouterr().out
    assert code == 1
    assert line_of(output, "jiwer").split(maxsplit=2)[2] == "not installed: pip install 'jiwer<5,>=4'"
    assert line_of(output, "soxr").endswith("9.0: needs <2,>=0.5; pip install 'soxr<2,>=0.5'")
    assert line_of(output, "av").split()[0] == "media:"  # optional: no fault
    assert line_of(output, "av").endswith("not installed (pip install 'asr-bilstm[media]')")
    assert "7.1: needs <0.3,>=0.2" in line_of(output, "sentencepiece")
    assert output.splitlines()[-1] == "2 to mend, see above"


def test_what_fails_at_work_is_said_in_its_own_words(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    monkeypatch.setattr(torchaudio_door, "load_torchaudio", lambda: None)
    code = main(["doctor"])  # ``package`` comes without the starter
    output = capsys.readouterr().out
    assert code == 1
    assert "fails: asr doctor needs torchaudio, which is not installed" in line_of(output, "torchaudio")
    assert "fails: this installation comes without the model 'english'" in line_of(output, "english")
