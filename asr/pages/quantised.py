"""Arrays in 8 bits for a page: small, and read back to within half a step.

In: ``(units, frames)`` of floats. Out: a JSON value: base64 of a deflate stream, and the range, to which
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


def quantised(values: Floats, low: float, high: float, *, root: bool = False) -> dict[str, Any]:
    """``values`` between ``low`` and ``high`` in 256 levels; ``root``: of the square root, finer where they are small.

    ``data``; ``low``, ``high`` (of the root where that is taken); ``w`` frames, ``h`` rows; ``root``.
    """
    scaled = np.sqrt(np.maximum(values, 0)) if root else values
    span = max(high - low, 1e-12)
    levels = np.rint(np.clip((scaled - low) / span, 0, 1) * LEVELS).astype(np.uint8)
    moved = np.diff(levels, axis=1, prepend=np.uint8(0))  # modulo 256
    height, width = levels.shape
    return {
        "w": width,
        "h": height,
        "low": round(float(low), 6),
        "high": round(float(high), 6),
        "root": int(root),
        "data": base64.b64encode(zlib.compress(moved.tobytes(), 9)).decode("ascii"),
    }


def symmetric_bound(values: Floats) -> float:
    """The range ``-bound`` to ``bound`` that holds them."""
    return max(float(np.abs(values).max(initial=0.0)), 1e-6)
