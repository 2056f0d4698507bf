"""Arrays in 8 bits for a page: small, and read back to within half a step.

In: ``(rows, frames)`` of floats. Out: a JSON value: base64 of a deflate stream, and the ranges, to which
``quantised.js`` is the other end. Each row is stored as differences from frame to frame (what PNG's "Sub" filter does),
because states move slowly; deflate then finds more. It is no PNG because a page cannot read a PNG's numbers without a
canvas, and browsers that guard against fingerprinting return other numbers from a canvas than were drawn.
"""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
LEVELS = 255


def quantised(values: Floats, *, signed: bool = False, root: bool = False, every: int = 1) -> dict[str, Any]:
    """256 levels of values from 0 to 1 (their square root where ``root``: finer where they are small); or, ``signed``,
    of each row from minus to plus its own largest. With ``every`` above 1 only every so many of the levels is taken,
    and deflate finds more.

    ``data``; ``w`` frames, ``h`` rows; ``root``; ``bounds``, a row's largest, where signed: level 128 is 0.
    """
    packed: dict[str, Any] = {"h": len(values), "w": values.shape[1], "root": int(root)}
    if signed:
        bounds = np.maximum(np.abs(values).max(axis=1, initial=0.0), 1e-6)
        packed["bounds"] = [float(f"{bound:.5g}") for bound in bounds]
        scaled = 128 + 127 * values / bounds[:, None]
    else:
        scaled = LEVELS * (np.sqrt(np.maximum(values, 0)) if root else values)
    levels = np.clip(np.rint(scaled / every) * every, 0, LEVELS).astype(np.uint8)
    moved = np.diff(levels, axis=1, prepend=np.uint8(0))  # modulo 256
    return packed | {"data": base64.b64encode(zlib.compress(moved.tobytes(), 9)).decode("ascii")}
