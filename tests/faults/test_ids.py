"""docs/reliability.md explains every id that there is, and counts the cases as they are."""

import re
from collections import Counter

from asr.errors import AsrError, Interrupted
from tests.faults import audio, configs, hostile, manifests, models, requests, texts
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
