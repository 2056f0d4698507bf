"""Figures are drawn to files, whatever a notebook has set for its own."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_backend_that_is_not_installed_here_does_not_matter(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from asr.figures import new_figure, save_figure\n"
        "figure, (axes, _) = new_figure(1, 2); axes.plot([1, 2]); save_figure(figure, Path('a.png'))"
    )
    known = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    for backend in ("module://absent_package.of_a_notebook", "nonsense"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=known | {"MPLBACKEND": backend},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
        (tmp_path / "a.png").unlink()
