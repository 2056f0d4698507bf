"""The options of ``asr serve`` as typed values: which models, where to listen, who may ask, and how much.

In: values from the command line. Out: ``ServeOptions``. Imports nothing of the extra [server].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.errors import UsageError
from asr.shipped import STARTER, model_directory
from asr.transcription.options import DecoderOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """``models``: directories by the name that clients give; the first is the default."""

    models: Mapping[str, Path]
    host: str = "127.0.0.1"
    port: int = 8000  # 0: a free one
    api_key: str | None = None  # None: whoever reaches the port may ask
    origins: tuple[str, ...] = ()  # of pages of other sites that may ask (CORS)
    max_upload_mb: float = 500.0
    max_audio_s: float = 4 * 3600.0
    max_uploads: int = 64  # requests whose body is being received
    max_queue: int = 64  # recordings that wait or are computed
    max_live: int = 16  # sessions of live sound that are open
    stall_s: float = 30.0  # a client that sends nothing, or reads nothing, for so long is given up
    timeout_s: float = 600.0  # from the end of the upload to the answer
    grace_s: float = 30.0  # for running requests once the server is told to stop
    device: str = "auto"
    backend: str = "auto"  # auto, torch, onnx or onnx-int8
    workers: int | None = None  # threads that compute, for each model, and for live sound; None: one a core
    corpus: Path | None = None  # recordings to be corrected at /corpus, drafted by the first model
    speech_gate: bool = True
    decoder: DecoderOptions = field(default_factory=DecoderOptions)


def named_models(words: Sequence[str]) -> dict[str, Path]:
    """``NAME=DIR`` or ``DIR`` -> directories by name; none: the model that comes with the package.

    A directory without a name is called after itself, or after its folder where it is called "model". Raises
    UsageError for two of a name, ModelError where the shipped model is meant and there is none.
    """
    models: dict[str, Path] = {}
    for word in words or [STARTER]:
        name, equals, directory = word.partition("=")
        if not equals:
            directory, name = word, _name_of(word)
        if not name or not directory:
            raise UsageError(f"{word!r}: give a model directory, or NAME=DIRECTORY")
        if name in models:
            raise UsageError(f"two models are called {name!r} ({models[name]}, {directory}); name them: NAME=DIRECTORY")
        models[name] = model_directory(directory)
    return models


def _name_of(directory: str) -> str:
    path = Path(directory).absolute()
    return path.parent.name if path.name == "model" and path.parent.name else path.name
