"""The counts of `make torture`: a pytest plugin that adds them up, and the tables of docs/reliability.md made of them.

In: reports of tests, each of which counts as one try, or as its property ``count``. Out: docs/torture.json, the tables.
TORTURE is the size: 1 tries every change of a file, kills 200 times and changes files of each format for a minute.
A run of some of the rows keeps what earlier ones found of the others.
"""

import os
from collections import Counter, defaultdict
from typing import Any

import pytest

from asr.files import read_json_object, write_json, write_text
from asr.provenance import commit, local_time, processor_name
from tests.faults.ids import PAGE

SIZE = float(os.environ.get("TORTURE", "0"))
RESULTS = PAGE.with_name("torture.json")
PLACES = {name: (f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n") for name in ("make torture", "guided fuzz")}
ROWS = {  # what is tried, and the files whose tests do
    "commands with bad input": ("tests/faults/test_matrix.py",),
    "requests to the server with bad input, at its limits": ("tests/server/test_limits.py",),
    "hostile files": ("tests/faults/test_hostile.py", "tests/test_no_foreign_code.py"),
    "files changed at random": ("tests/faults/test_fuzz.py",),
    "changes of a file that fail, on a full or failing disk": ("tests/faults/test_writes.py",),
    "kills in mid-training": ("tests/training/test_killed.py",),
    "signals, locks, settings, damaged checkpoints; losses that are not finite, memory, clocks, readers": (
        "tests/training/test_training_faults.py", "tests/training/test_before_step_one.py",
        "tests/training/test_run_folder.py",
        "tests/commands/test_train_command.py", "tests/data/test_dataset.py",
    ),
}  # fmt: skip


def files(row: str = "") -> list[str]:
    """The tests of a row, from 1, or of all."""
    chosen = [list(ROWS.values())[int(row) - 1]] if row else list(ROWS.values())
    return [one for row_files in chosen for one in row_files]


class Counts:
    """Adds up reports."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.seconds: dict[str, float] = defaultdict(float)
        self.notes: dict[str, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test."""
        file = report.nodeid.partition("::")[0]
        row = next((name for name, files in ROWS.items() if file in files), None)
        if row is None:
            return
        self.seconds[row] += report.duration
        if report.when != "call" and report.outcome == "passed":
            return
        found = dict(report.user_properties)
        self.counts[row][report.outcome] += 1
        self.counts[row]["tried"] += int(str(found.get("count", 1))) if report.outcome != "skipped" else 0
        self.notes[row] += [str(found["note"])] if "note" in found else []

    def rows(self) -> list[dict[str, Any]]:
        """A row for each of ``ROWS``."""
        now, machine = commit(), processor_name()
        return [
            {
                "what": name,
                "tried": self.counts[name]["tried"],
                "tests": sum(self.counts[name][one] for one in ("passed", "failed", "skipped")),
                "failed": self.counts[name]["failed"],
                "skipped": self.counts[name]["skipped"],
                "seconds": round(self.seconds[name]),
                "size": SIZE,
                "commit": now,
                "machine": machine,
                "note": "; ".join(self.notes[name]),
            }
            for name in ROWS
        ]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the counts of a run that has come to its end, and show them on the page."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        found = {**results(), "date": local_time()[:10], "rows": with_earlier(self.rows(), results())}
        show(found)
        print(f"\n\n{table(found)}")


def show(found: dict[str, Any]) -> None:
    """Write the results, and the page's tables made of them."""
    write_json(RESULTS, found)
    page = PAGE.read_text(encoding="utf-8")
    for (begin, end), lines in zip(PLACES.values(), tables(found), strict=True):
        before, _, rest = page.partition(begin)
        page = before + begin + lines + end + rest.partition(end)[2]
    write_text(PAGE, page)


def add_guided(target: str, runs: int, seconds: int, now: str) -> None:
    """Take up the count of a target of guided_fuzz.py at commit ``now``, in the place of an earlier one."""
    found = results()
    others = [row for row in found.get("guided", []) if row["target"] != target]
    row = {"target": target, "runs": runs, "seconds": seconds, "commit": now, "machine": processor_name()}
    show({**found, "guided": [*others, row]})


def with_earlier(rows: list[dict[str, Any]], earlier: dict[str, Any]) -> list[dict[str, Any]]:
    """``rows`` of which something was run, and of the others what an earlier run found."""
    kept = {row["what"]: row for row in earlier.get("rows", [])}
    both = [row if row["tests"] else kept.get(row["what"], row) for row in rows]
    return [row for row in both if row["tests"]]


def table(found: dict[str, Any]) -> str:
    """The counts as Markdown; empty before the first run."""
    if not found:
        return ""
    rows = {row["what"]: row for row in found["rows"]}
    lines = ["| tried | what | size | tests | failed | skipped |", "|---:|---|---:|---:|---:|---:|"]
    for name in ROWS:
        if row := rows.get(name):
            what = name + (f" ({row['note']})" if row["note"] else "")
            figures = f"{row['size']:g} | {row['tests']} | {row['failed']} | {row['skipped']}"
            lines.append(f"| {row['tried']:,} | {what} | {figures} |")
        else:
            lines.append(f"| not run | {name} | | | | |")
    minutes = sum(row["seconds"] for row in found["rows"]) / 60
    commits, machines = (", ".join(dict.fromkeys(row[key] for row in found["rows"])) for key in ("commit", "machine"))
    about = f"`make torture SIZE=...`, {found['date']}, commit {commits}, {machines}:"
    return "\n".join([f"{about} {minutes:.0f} minutes of tests.", "", *lines]) + "\n"


def guided_table(found: dict[str, Any]) -> str:
    """The counts of guided_fuzz.py as Markdown; empty before its first run."""
    rows = sorted(found.get("guided", []), key=lambda row: str(row["target"]))
    if not rows:
        return ""
    commits, machines = (", ".join(dict.fromkeys(row[key] for row in rows)) for key in ("commit", "machine"))
    lines = [f"| {row['target']} | {row['runs']:,} | {row['seconds'] / 60:.1f} |" for row in rows]
    total = f"| all | {sum(row['runs'] for row in rows):,} | {sum(row['seconds'] for row in rows) / 60:.1f} |"
    about = f"Commit {commits}, {machines}:"
    return "\n".join([about, "", "| format | files | minutes |", "|---|---:|---:|", *lines, total]) + "\n"


def tables(found: dict[str, Any]) -> tuple[str, str]:
    """What stands in the two ``PLACES`` of the page."""
    return table(found), guided_table(found)


def pytest_configure(config: pytest.Config) -> None:
    """Count in the process that hears of all tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Counts())


def results() -> dict[str, Any]:
    """What docs/torture.json holds; empty before the first run."""
    return read_json_object(RESULTS)


def page_tables() -> tuple[str, ...]:
    """What docs/reliability.md shows in ``PLACES``."""
    page = PAGE.read_text(encoding="utf-8")
    return tuple(page.partition(begin)[2].partition(end)[0] for begin, end in PLACES.values())
