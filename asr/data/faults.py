"""Every fault of a corpus in one message.

In: what is wrong, one sentence each. Out: one ``DataError``, so that a person mends a corpus in one go and not in as
many runs as it has faults.
"""

from collections.abc import Sequence

from asr.errors import DataError

_MOST_SHOWN = 50


def raise_faults(where: str, faults: Sequence[str]) -> None:
    """Raise one ``DataError`` that lists ``faults`` (the first 50, and how many more); do nothing without any."""
    if not faults:
        return
    shown = "\n  ".join(faults[:_MOST_SHOWN])
    more = f"\n  ... and {len(faults) - _MOST_SHOWN} more" if len(faults) > _MOST_SHOWN else ""
    raise DataError(f"{where}: {len(faults)} fault(s), nothing was written:\n  {shown}{more}")
