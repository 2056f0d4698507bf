"""docs/reliability.md explains every id that there is, and counts the cases as they are."""

import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest

from asr.errors import AsrError, Interrupted
from tests.faults import audio, configs, hostile, manifests, models, requests, texts, torture
from tests.faults.ids import EXIT_CODES, PAGE

PROSE = PAGE.read_text(encoding="utf-8")
BY_THE_COMMAND_LINE = {"disk-full": 1, "memory": 1, "package": 1}  # asr/cli.py, of Python's own exceptions
CODE = re.compile(r'code="([a-z_]+)"|code or \("([a-z_]+)"|else "([a-z_]+)"\)|404: "([a-z_]+)"')
TABLES = {module.__name__.rpartition(".")[2]: module.CASES for module in (audio, configs, manifests, models, texts)}


def kinds(kind: type[AsrError]) -> list[type[AsrError]]:
    return [kind, *(one for below in kind.__subclasses__() for one in kinds(below))]


def test_every_id_is_explained_with_its_exit_code() -> None:
    ours = [one for one in kinds(AsrError) if one.__module__ == "asr.errors" and one is not Interrupted]
    assert BY_THE_COMMAND_LINE | {one.id: one.exit_code for one in ours} == EXIT_CODES
    assert len({one.id for one in ours}) == len(ours)
    assert f"| `{Interrupted.id}` | 130, 143 |" in PROSE


def test_every_code_of_the_server_is_explained() -> None:
    sources = (PAGE.parents[1] / "asr" / "server").glob("*.py")
    given = {next(filter(None, one)) for path in sources for one in CODE.findall(path.read_text(encoding="utf-8"))}
    (table,) = re.findall(r"^\| code \|.*?\n\n", PROSE, re.DOTALL | re.MULTILINE)
    assert given == set(re.findall(r"`([a-z_]+)`", re.sub(r"; `param`.*", "", table)))


def test_the_tables_of_make_torture_are_those_of_its_results() -> None:
    found = torture.results()
    assert torture.page_tables() == torture.tables(found)
    rows = found["rows"]
    assert [row["what"] for row in rows] == list(torture.ROWS)
    assert all(row["tried"] >= row["tests"] - row["skipped"] > 0 == row["failed"] for row in rows)


def test_the_counts_of_make_torture_are_those_of_its_tests() -> None:
    counts = torture.Counts()
    reports: list[tuple[str, Literal["passed", "failed", "skipped"], list[tuple[str, object]]]] = [
        ("test_writes.py::a", "passed", [("count", 40)]),
        ("test_writes.py::b", "failed", []),
        ("test_matrix.py::a", "skipped", [("count", 3)]),
    ]
    for test, outcome, properties in reports:
        name = f"tests/faults/{test}"
        counts.pytest_runtest_logreport(
            pytest.TestReport(name, ("", 0, ""), {}, outcome, None, "call", duration=2.0, user_properties=properties)
        )
    rows = {row["what"]: row for row in counts.rows()}
    writes, matrix = rows["changes of a file that fail, on a full or failing disk"], rows["commands with bad input"]
    assert (writes["tried"], writes["tests"], writes["failed"], writes["seconds"]) == (41, 2, 1, 4)
    assert (matrix["tried"], matrix["tests"], matrix["skipped"]) == (0, 1, 1)
    earlier: dict[str, Any] = {"rows": [row | {"tests": 7} for row in counts.rows()]}
    one_row = {row["what"]: row["tests"] for row in torture.with_earlier(counts.rows(), earlier)}
    assert sorted(one_row.values()) == [1, 2, 7, 7, 7, 7, 7]  # rows of which nothing was run are those of before
    assert torture.with_earlier(counts.rows(), {}) == [row for row in counts.rows() if row["tests"]]
    assert len(torture.files()) == sum(len(torture.files(str(row))) for row in range(1, 8))


def test_the_counts_are_those_of_the_tables() -> None:
    others = {"requests": len(requests.REQUESTS), "hostile": len(hostile.PAYLOADS)}
    counted = {name: len(cases) for name, cases in TABLES.items()} | others
    stated = re.findall(r"^\| \[.*?\]\(\.\./tests/faults/(\w+)\.py\).*? \| (\d+) \|", PROSE, re.MULTILINE)
    assert {name: int(count) for name, count in stated} == counted
    assert sum(counted.values()) - others["hostile"] >= 250 and others["hostile"] >= 60
    ids = Counter(case.id for cases in TABLES.values() for case in cases)
    assert EXIT_CODES.keys() - ids.keys() == {  # of the machine, of the network, and of this program's own faults
        "audio", "audio-unreachable", "disk-full", "download", "internal", "memory", "package", "training", "transcript"
    }  # fmt: skip


def test_make_hands_its_settings_to_pytest(repository: Path) -> None:
    """``$(PYTEST)`` is two commands: a variable before it would be the first one's alone."""
    assert not re.search(r"^\t@\w+=.*\$\(PYTEST\)", (repository / "Makefile").read_text(), re.MULTILINE)
