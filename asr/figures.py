"""Figures: matplotlib is imported here only, late, and draws to files.

In: rows, columns and a size. Out: a figure to draw on, and a PNG or SVG, written atomically.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from asr.files import atomic_path


def new_figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (8.0, 5.0), **subplots: Any
) -> tuple[Any, list[Any]]:
    """A figure of a width and height in inches and its axes, row by row. ``subplots``: more for matplotlib's."""
    _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **subplots).flat)


def save_figure(figure: Any, path: Path) -> None:
    """Write ``figure`` in the format of the file name: .png or .svg."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        figure.savefig(stream, format=path.suffix.removeprefix("."), dpi=110)


def _import_matplotlib() -> None:
    """Also where MPLBACKEND names one that is not installed here: a notebook's is in all that it starts."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib

        if backend:
            with contextlib.suppress(ValueError):
                matplotlib.rcParams["backend"] = backend  # for whoever uses matplotlib in this process
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
