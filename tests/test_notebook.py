"""docs/python.ipynb runs as it stands, and what needs no training gives the output that it shows.

``python -m tests.test_notebook`` runs it in an empty folder and writes its output into it. A cell tagged ``trains``
trains a model or uses one: its output depends on the machine, and it is run by the slow test alone.
"""

import ast
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "python.ipynb"
Cell = dict[str, Any]


def code_cells(notebook: dict[str, Any]) -> Iterator[Cell]:
    """The cells to run, in order."""
    yield from (cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def trains(cell: Cell) -> bool:
    return "trains" in cell["metadata"].get("tags", ())


def run_cell(cell: Cell, names: dict[str, Any]) -> list[dict[str, Any]]:
    """The cell's output as a notebook stores it: what was printed, and the value of a last expression."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if text := printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        outputs.append({"data": data, "execution_count": None, "metadata": {}, "output_type": "execute_result"})
    return outputs


def test_what_needs_no_training_gives_the_output_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in code_cells(json.loads(NOTEBOOK.read_text(encoding="utf-8"))) if not trains(cell)]
    assert len(cells) >= 5
    for cell in cells:
        assert run_cell(cell, names) == cell["outputs"], "".join(cell["source"])


@pytest.mark.slow
def test_the_whole_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in code_cells(json.loads(NOTEBOOK.read_text(encoding="utf-8"))):
        kinds = [one["output_type"] for one in run_cell(cell, names)]
        assert kinds == [one["output_type"] for one in cell["outputs"]], "".join(cell["source"])


def write_outputs() -> None:
    """Run every cell in an empty folder and store its output."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for cell in code_cells(notebook):
            cell["outputs"] = run_cell(cell, names)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write_outputs())
