"""The ids of errors as docs/reliability.md explains them, and their exit codes."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_ROW = re.compile(r"^\| `([a-z-]+)` \| (\d+) \| ", re.MULTILINE)

EXIT_CODES = {name: int(code) for name, code in _ROW.findall(PAGE.read_text(encoding="utf-8"))}
