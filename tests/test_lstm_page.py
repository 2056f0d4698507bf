"""docs/lstm.md shows pictures that are there, commands that exist, and figures that their JSON files hold."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from asr.commands.probe import EXPERIMENTS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "lstm.md").read_text(encoding="utf-8")


def figures(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DOCS / "lstm" / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return rows


def test_every_picture_and_file_that_the_page_links_is_there():
    linked = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert len(linked) >= 5 and [link for link in linked if not (DOCS / link).exists()] == []


def test_every_experiment_is_on_the_page_and_none_that_is_not_there():
    assert set(re.findall(r"asr probe ([a-z]+)", PAGE)) == set(EXPERIMENTS)


def test_the_gates_table_is_what_was_measured():
    for row in figures("gates"):
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row['label']}"))
        assert line.endswith(f"| {row['wer']:.2f} | [{row['low']:.2f}, {row['high']:.2f}] |")


def test_the_gradients_table_is_what_was_measured():
    for row in figures("gradients"):
        reach = row["reach_0.001"]
        shown = f"| {row['label']} | {reach['mean']:.1f} [{reach['low']:.1f}, {reach['high']:.1f}] |"
        assert shown in PAGE


def test_the_context_table_is_what_was_measured():
    for row in figures("context"):
        name = "whole recordings" if row["frames"] is None else f"{row['seconds']:.2f} s"
        wer = f"{row['wer']:.2f} | [{row['low']:.2f}, {row['high']:.2f}]"
        assert f"| {name} | {wer} | {row['substitutions']} | {row['deletions']} | {row['insertions']} |" in PAGE


@pytest.mark.parametrize("row", figures("recall"), ids=lambda row: f"{row['member']} {row['distance']}")
def test_the_recall_table_is_what_was_measured(row: dict[str, Any]):
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row['label']} |") and "%" in line)
    shown = line.split("|")[2:-1]
    seeds = ", ".join(f"{100 * one:.0f}" for one in row["accuracies"])
    assert shown[[10, 30, 100].index(int(row["distance"]))].strip() == f"{100 * row['accuracy']:.0f} % ({seeds})"
