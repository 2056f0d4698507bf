"""A speech recogniser to train on your own recordings, with an error report that can be trusted.

    import asr

    asr.transcribe("recording.wav").text                       # with "english", the model that comes with the package
    model = asr.load_model("runs/mine/model")                  # or with your own
    asr.score(["hello world"], ["hello word"])                 # WER with intervals
    asr.train("recipes/folder/bilstm.yaml", "runs/mine", corpus="my_recordings")

Importing this package imports nothing else; each name below is imported when it is first used, so that ``asr --help``
stays fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see
    from asr import errors as errors
    from asr.api import align, cer, compare, evaluate, score, train, transcribe, wer
    from asr.errors import (
        AsrError,
        AudioError,
        ConfigError,
        DataError,
        ModelError,
        ScoringError,
        TextError,
        TrainingError,
    )
    from asr.errors import UsageError as UsageError
    from asr.recognition import Hypothesis, Recognizer, Word, load_model

__version__ = "0.2.0"

__all__ = [
    "AsrError",
    "AudioError",
    "ConfigError",
    "DataError",
    "Hypothesis",
    "ModelError",
    "Recognizer",
    "ScoringError",
    "TextError",
    "TrainingError",
    "UsageError",
    "Word",
    "__version__",
    "align",
    "cer",
    "compare",
    "errors",
    "evaluate",
    "load_model",
    "score",
    "train",
    "transcribe",
    "wer",
]
_OF_RECOGNITION = ("Hypothesis", "Recognizer", "Word", "load_model")


if not TYPE_CHECKING:  # a type checker would take every misspelt name for one of these

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used."""
        if name not in __all__:
            raise AttributeError(f"module 'asr' has no attribute {name!r}")
        from importlib import import_module

        if name == "errors":
            return import_module("asr.errors")
        home = "asr.errors" if name.endswith("Error") else "asr.recognition" if name in _OF_RECOGNITION else "asr.api"
        value = globals()[name] = getattr(import_module(home), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
