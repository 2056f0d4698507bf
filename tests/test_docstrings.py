"""Docstrings are whole sentences: a formatter that takes a colon for the end of one once left "(0." on a line."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_no_paragraph_of_a_docstring_ends_within_brackets() -> None:
    found = []
    for path in sorted((ROOT / "asr").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found += [f"{path.relative_to(ROOT)}: {part!r}" for part in _broken(ast.get_docstring(node) or "")]
    assert found == []


def test_what_a_broken_one_looks_like() -> None:
    assert _broken("Read ahead by ``workers`` (0.\n\nNone). Raises nothing.") == [
        "Read ahead by ``workers`` (0.",
        "None). Raises nothing.",
    ]
    assert _broken("In ``[0, 2)`` (half open).\n\n    a table (with an open\n    end\n\nAnd so on.") == []


def _broken(docstring: str) -> list[str]:
    """Its paragraphs of prose in which brackets stay open; code and indented tables aside."""
    prose = [part for part in docstring.split("\n\n") if not part.startswith("    ")]
    bare = [re.sub(r"`+[^`]*`+", "", part) for part in prose]
    return [part for part, text in zip(prose, bare, strict=True) if text.count("(") != text.count(")")]
