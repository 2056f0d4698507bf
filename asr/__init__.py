"""A speech recogniser to train on your own recordings, with an error report that can be trusted.

In: a model directory. Out: ``asr.load_model(directory).transcribe(path)``. Importing this package imports nothing else,
so that ``asr --help`` stays fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.recognition import Recognizer

__version__ = "0.1.0"

__all__ = ["__version__", "load_model"]


def load_model(directory: Any, **options: Any) -> "Recognizer":
    """Load a model directory; see :meth:`asr.recognition.Recognizer.from_pretrained`, which takes the same options."""
    from asr.recognition import Recognizer

    return Recognizer.from_pretrained(directory, **options)
