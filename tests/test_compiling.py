"""What numba compiles: kept on disk where there is a folder, said once by the commands, never by the library."""

import importlib.util
from pathlib import Path
from typing import Any

import numba
import pytest

import asr.commands.doctor
from asr.cli import main

SOURCE = """
from asr.compiling import cached_njit

@cached_njit(slow="a sum (a moment)")
def total(one, other):
    return one + other
"""


def loaded(folder: Path) -> Any:
    """The module as a new process has it, with nothing compiled."""
    file = folder / "sums.py"
    if not file.exists():  # numba looks at its time
        file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("sums", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command that adds two numbers; what it says on stderr."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(asr.commands.doctor, "run", lambda arguments: loaded(tmp_path).total(1, 2) - 3)

    def run() -> str:
        assert main(["doctor"]) == 0
        return capsys.readouterr().err

    return run


def test_a_command_says_what_it_compiles_and_the_next_one_reads_it(command: Any, tmp_path: Path) -> None:
    assert command() == f"asr: compiling a sum (a moment), once: it is kept in {tmp_path / '__pycache__'}\n"
    assert command() == ""


def test_where_nothing_can_be_written_it_is_compiled_all_the_same(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__pycache__").write_text("")  # no folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "__pycache__"))
    assert command() == "asr: compiling a sum (a moment), kept nowhere: set NUMBA_CACHE_DIR to a folder\n"


def test_the_library_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert loaded(tmp_path).total(1.5, 2.0) == 3.5
    assert capfd.readouterr() == ("", "")
