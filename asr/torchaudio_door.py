"""The only import of torchaudio.

In: nothing. Out: the torchaudio module, or None where it is absent or cannot be used at all. torchaudio's x86 wheels
are linked to CUDA, so on a CPU-only torch its compiled extension cannot load and the whole import fails (OSError;
RuntimeError where CUDA versions differ). Its pure-Python part (transforms, functional, compliance) needs no extension
and is imported with a substitute for ``torchaudio._extension``. ``forced_align`` and ``rnnt_loss`` then do not work
(see ``has_extension``), and callers have paths of their own in torch.

Used by asr/features/kaldi.py (features=kaldi), asr/features/augment.py (noise_folder, reverb_probability) and
asr/ctc/align.py (alignment on a GPU).
"""

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from asr.errors import ConfigError

_EXTENSION = "torchaudio._extension"


@functools.cache
def load_torchaudio() -> ModuleType | None:
    """Import torchaudio, without its compiled extension if need be.

    Returns:
        The module, or None where it is not installed or not even its Python part can be imported.
    """
    try:
        return importlib.import_module("torchaudio")
    except ModuleNotFoundError:
        return None
    except (ImportError, OSError, RuntimeError):
        return _load_without_extension()


def require_torchaudio(choice: str) -> ModuleType:
    """The module, for what the user asked for with ``choice``. Raises ConfigError naming it where there is none."""
    torchaudio = load_torchaudio()
    if torchaudio is None:
        raise ConfigError(
            f"{choice} needs torchaudio, which is not installed or does not fit this torch; install the torchaudio"
            " that belongs to it (https://pytorch.org/get-started), or choose another setting"
        )
    return torchaudio


def has_extension(torchaudio: ModuleType) -> bool:
    """Whether torchaudio's compiled part is loaded: ``forced_align``, ``rnnt_loss`` and fast ``lfilter`` need it."""
    extension = getattr(torchaudio, "_extension", None)
    return bool(getattr(extension, "_IS_TORCHAUDIO_EXT_AVAILABLE", False))


def load_aligner() -> Callable[..., Any] | None:
    """``torchaudio.functional.forced_align``, or None where it cannot be used."""
    torchaudio = load_torchaudio()
    if torchaudio is None or not has_extension(torchaudio):
        return None
    aligner: Callable[..., Any] = torchaudio.functional.forced_align
    return aligner


def _load_without_extension() -> ModuleType | None:
    _unload()
    substitute = _substitute_extension()
    sys.modules[_EXTENSION] = substitute
    try:
        torchaudio = importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError, AttributeError):
        _unload()
        return None
    torchaudio._extension = substitute  # type: ignore[attr-defined]  # the import system binds only what it loaded itself
    return torchaudio


def _substitute_extension() -> ModuleType:
    module: Any = ModuleType(_EXTENSION, "Substitute for the compiled extension, which does not fit this torch.")
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._IS_ALIGN_AVAILABLE = False
    module._check_cuda_version = lambda: None
    module._load_lib = lambda name: False
    module.fail_if_no_align = _refuse
    return module  # type: ignore[no-any-return]


def _refuse(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def refused(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"torchaudio's {function.__name__} needs its compiled extension, which does not load with this torch; "
            "ask torchaudio_door.has_extension first"
        )

    return refused


def _unload() -> None:
    for name in [name for name in sys.modules if name == "torchaudio" or name.startswith("torchaudio.")]:
        del sys.modules[name]
