"""What a result came from is noted in words that lead back to it."""

import re
import subprocess
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from asr import provenance
from asr.provenance import Invocation, commit, hardware, library_versions, local_time, processor_name


def test_the_commit_is_that_of_the_checkout_with_a_mark_for_changes(repository: Path) -> None:
    git = ["git", "-C", str(repository)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode == 1
    assert commit() == (head[:12] + "+" * changed if head else "unknown")


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit() == "unknown"


def test_a_command_is_noted_as_a_shell_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "commit", lambda: "0123456789ab+")
    assert Invocation.of(["train", "my runs/a"]) == Invocation("asr train 'my runs/a'", "0123456789ab+")


def test_versions_are_those_installed() -> None:
    found = library_versions()
    assert found["torch"] == version("torch") and found["jiwer"] == version("jiwer")


def test_the_machine_and_the_time_are_named() -> None:
    assert processor_name() and hardware("cpu").startswith(processor_name())
    before, told = datetime.now().astimezone(), local_time()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", told)
    assert before.replace(microsecond=0) <= datetime.fromisoformat(told) <= datetime.now().astimezone()
