"""docs/python.ipynb runs as it stands and gives the output that it shows.

``python -m tests.test_notebook`` runs it and writes its output into it. A cell tagged ``english`` uses the model that
comes with the package; an installation without it skips these cells.
"""

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "python.ipynb"
Cell = dict[str, Any]


def runnable(notebook: dict[str, Any]) -> list[Cell]:
    """The code cells that this installation can run."""
    with_model = (ROOT / "pretrained" / "english" / "config.json").is_file()
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [cell for cell in cells if with_model or "english" not in cell["metadata"].get("tags", ())]


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


def test_every_cell_gives_the_output_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = runnable(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
    assert len(cells) >= 6
    for cell in cells:
        assert run_cell(cell, names) == cell["outputs"], "".join(cell["source"])


def write_outputs() -> None:
    """Run every cell that can be run and store its output."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in runnable(notebook):
        cell["outputs"] = run_cell(cell, names)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_outputs()
