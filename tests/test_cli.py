"""The ``asr`` command: instant help, one line for every error, an exit code that says whose fault it was (law 8)."""

import errno
import importlib
import os
import resource
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr import __version__, cli
from asr.errors import DataError, Interrupted, UsageError

HEAVY = {"torch", "torchaudio", "hydra", "omegaconf", "librosa", "numpy", "numba", "scipy", "soundfile", "jiwer"}


def asr(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asr", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, **options)


Verb = Callable[[list[str]], int]
Install = Callable[[Verb], None]
Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def verb_that(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make the verb ``check`` do whatever the test likes."""

    def install(function: Verb) -> None:
        module = types.ModuleType("asr.commands.check")
        monkeypatch.setattr(module, "run", function, raising=False)
        monkeypatch.setitem(sys.modules, "asr.commands.check", module)

    return install


def raises(error: BaseException) -> Verb:
    def run(arguments: list[str]) -> int:
        raise error

    return run


def test_help_takes_at_most_half_a_second_of_the_processor() -> None:
    asr("--help")  # the first start compiles and reads from disk
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = asr("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.returncode == 0
    assert min(times) <= 0.5  # not by the clock: other tests and trainings may run beside this one


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "asr", "--help"], capture_output=True, text=True, timeout=240
    )
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "asr" in imported
    assert not imported & HEAVY


def test_help_lists_every_verb_on_one_line_each() -> None:
    lines = asr("--help").stdout.splitlines()
    for verb, text in cli.VERBS.items():
        assert [line.split() for line in lines].count([verb, *text.split()]) == 1


def test_version_is_the_packages() -> None:
    assert asr("--version").stdout == f"asr {__version__}\n"


def test_no_verb_shows_the_help_and_fails_as_misuse() -> None:
    done = asr()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: asr VERB")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("trian", "did you mean `asr train`?"), ("xyzzy", "run, prepare, train"), ("--foo", "option")],
)
def test_an_unknown_verb_is_misuse_and_is_answered_with_the_verbs(word: str, expected: str) -> None:
    done = asr(word)
    assert done.returncode == 2
    assert done.stderr.startswith("asr: error[usage]: unknown ")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_wrong_arguments_are_one_line_with_the_way_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--all"]) == 2
    said = capsys.readouterr()
    assert said.err == "asr: error[usage]: unrecognized arguments: --all; see asr doctor --help\n" and not said.out


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_explains_itself_without_torch(verb: str, repository: Path) -> None:
    if not (repository / "asr" / "commands" / f"{verb}.py").exists():
        pytest.skip("this verb is not built yet")
    done = asr(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: asr {verb}" in done.stdout


@pytest.mark.parametrize(
    ("error", "code", "kind", "message"),
    [
        (UsageError("give a model directory"), 2, "usage", "give a model directory"),
        (DataError("train.jsonl:3: no text"), 1, "data", "train.jsonl:3: no text"),
        (MemoryError(), 1, "memory", "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 1, "disk-full", "'runs/a': the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", b"a.wav"), 1, "system", "'a.wav': permission denied"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
            1,
            "system",
            "'x': No such file or directory",
        ),
        (TimeoutError(), 1, "system", "TimeoutError"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 1, "memory", "out of memory"),
        (ModuleNotFoundError("No module named 'jiwer'", name="jiwer"), 1, "package", "'jiwer' is not installed"),
        (ValueError("two\nlines"), 70, "internal", "internal error: ValueError: two lines; please report it"),
        (RecursionError(), 70, "internal", "internal error: RecursionError"),
    ],
)
def test_every_error_is_one_line_with_its_exit_code(
    error: BaseException, code: int, kind: str, message: str, verb_that: Install, capsys: Capsys
) -> None:
    verb_that(raises(error))
    assert cli.main(["check"]) == code
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"asr: error[{kind}]: ")
    assert message in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize("fault", ["raise ValueError('PACKAGE_LEVEL must be above 0')", "import os\nos.nothing"])
def test_a_package_that_does_not_load_is_no_internal_error(
    fault: str, verb_that: Install, capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unusable").mkdir()
    (tmp_path / "unusable" / "__init__.py").write_text("import unusable.inner\n")
    (tmp_path / "unusable" / "inner.py").write_text(fault)
    monkeypatch.syspath_prepend(str(tmp_path))
    verb_that(lambda _: importlib.import_module("unusable").value)
    assert cli.main(["check"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("asr: error[package]: the Python package 'unusable' does not load: ")
    assert ("PACKAGE_LEVEL must be above 0" in said) == ("PACKAGE_LEVEL" in fault) and len(said.splitlines()) == 1


def test_a_working_folder_that_is_gone_is_named(
    verb_that: Install, capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    verb_that(lambda _: len(os.getcwd()))
    assert cli.main(["check"]) == 1
    assert "error[system]: the folder in which the command runs was removed; change to" in capsys.readouterr().err


def test_a_signal_after_saving_ends_with_128_plus_its_number(verb_that: Install, capsys: Capsys) -> None:
    verb_that(raises(Interrupted("saved step 12; rerun to resume", 15)))
    assert cli.main(["check"]) == 143
    assert "saved step 12" in capsys.readouterr().err


def test_ctrl_c_ends_quietly_with_130(verb_that: Install, capsys: Capsys) -> None:
    verb_that(raises(KeyboardInterrupt()))
    assert cli.main(["check"]) == 130
    assert capsys.readouterr().err == ""


def test_the_traceback_appears_under_asr_debug_only(
    verb_that: Install, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    verb_that(raises(ValueError("inner")))
    cli.main(["check"])
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("ASR_DEBUG", "1")
    cli.main(["check"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("end", "code"), [(None, 0), (0, 0), (2, 2), ("no such key", 1)])
def test_a_verb_that_exits_gives_its_code(end: int | str | None, code: int, verb_that: Install, capsys: Capsys) -> None:
    verb_that(raises(SystemExit(end)))
    assert cli.main(["check"]) == code
    assert ("no such key" in capsys.readouterr().err) == (end == "no such key")


def test_arguments_arrive_unchanged(verb_that: Install) -> None:
    seen: list[str] = []

    def keep(arguments: list[str]) -> int:
        seen.extend(arguments)
        return 0

    verb_that(keep)
    assert cli.main(["check", "a=b (1).wav", "--out", ""]) == 0
    assert seen == ["a=b (1).wav", "--out", ""]


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "asr", "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=240
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_told_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "asr", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=240
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "asr: error[disk-full]: the disk is full; free some space and run the same command again"
    ]


def test_text_that_the_terminal_cannot_show_is_escaped_not_fatal() -> None:
    code = "from asr import cli\nwith cli._safe_streams(): print('caf\\xe9 \\udcff')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, timeout=240
    )
    assert done.stdout == b"caf\\xe9 \\udcff\n"


def test_nothing_is_said_of_our_streams_where_python_warns_of_all() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "asr", "--version"], capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"asr {__version__}\n", "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_leads_nowhere_and_its_number_is_no_files(closed: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from asr import cli\n"
        "with cli._safe_streams():\n"
        "    print('a result'); print('a message', file=sys.stderr); sys.stderr.isatty(), sys.stdin.read()\n"
        "    with open('file', 'w') as file: os.write(1, b''); os.write(2, b'of a library'); print(file.fileno())\n"
    )
    command = f'{sys.executable} -c "$0" {closed}; echo $? > code'
    done = subprocess.run(
        ["sh", "-c", command, code], cwd=tmp_path, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )
    assert (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "file").read_text() == ""
    assert "message" not in done.stdout and ("a result" in done.stdout) == (closed == "2>&-")
    help_of = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m asr --help {closed}; echo $? > code"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (tmp_path / "code").read_text() == "0\n" and help_of.stderr == ""
