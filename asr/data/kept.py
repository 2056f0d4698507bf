"""Columns that take long to compute, kept in a file for the next process that needs them.

In: a path, a key that names all they depend on, and arrays. Out: the same arrays, where the file has that key. A file
that is absent, damaged or of another key is as good as none, and one that cannot be written is left out: then the
columns are computed again. So the file changes no result.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.files import atomic_path

FOLDER = ".index"  # beside a manifest, so that writing it changes no folder of recordings
Columns = dict[str, NDArray[Any]]


def kept_columns(path: Path, key: str) -> Columns | None:
    """The columns in ``path``, or None where it does not hold those of ``key``."""
    from safetensors import SafetensorError, safe_open

    with contextlib.suppress(OSError, SafetensorError), safe_open(path, framework="numpy") as file:
        if (file.metadata() or {}).get("key") == key:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    return None


def keep_columns(path: Path, key: str, columns: Columns) -> None:
    """Write ``columns`` to ``path``, whose folder is made; where that fails, nothing is written."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with contextlib.suppress(OSError, SafetensorError), atomic_path(path) as temporary:
        save_file(columns, temporary, metadata={"key": key})


def as_column(value: Any) -> NDArray[np.uint8]:
    """A JSON value as a column."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def from_column(column: NDArray[np.uint8]) -> Any:
    """The value of ``as_column``."""
    return json.loads(column.tobytes())
