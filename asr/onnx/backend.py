"""What recognition runs with beside torch: an exported model in onnxruntime on the CPU, and features in NumPy.

In: the name of a backend, and a model directory. Out: an ``OnnxPretrained``, in the place of torch's ``Pretrained``;
torch is not imported. One thread a call: recognition runs a worker a core, so the number of workers changes no result.
"""

import functools
import logging
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError, ConfigError, ModelError
from asr.features import ArrayLogMel, LogMelConfig, RecordingFeatures
from asr.onnx import BACKENDS, FILES
from asr.onnx.export import exported, subsampling_factor
from asr.onnx.graph import has_onnx_form
from asr.schema import check_choice
from asr.shipped import MODEL_CONFIG as CONFIG
from asr.stored import WEIGHTS, Stored, one_line, read_stored
from asr.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from asr.pretrained import Pretrained

Array = NDArray[np.float32]
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, Windows' for Linux
log = logging.getLogger("asr.onnx")


def choose_backend(backend: str, directory: Path, device: str) -> str:
    """The backend that is used on ``device``, as the user names it.

    "auto" is onnx where it is installed, the device is the CPU, and the directory holds an export or one can be made
    in memory (torch is not imported to find out, unless there may be a GPU); else torch. Raises ConfigError for another
    name, a GPU, or a package that is absent; ModelError where the directory is none.
    """
    check_choice("backend", backend, BACKENDS)
    if backend == "auto":
        return "onnx" if _has_onnx_form(directory) and _is_cpu(device) else "torch"
    if backend != "torch":
        if device not in ("auto", "cpu"):
            raise ConfigError(
                f"backend {backend} runs on the CPU, and the device is {device}; use device cpu, or torch"
            )
        require_onnxruntime()
    return backend


def load_with_backend(backend: str, directory: Path, device: str) -> "tuple[str, Pretrained | OnnxPretrained, Any]":
    """The backend that is used (``choose_backend``), the model, and the device that it is on.

    Torch is imported only where it is the backend. With "auto" it also takes over, with the same results, where a
    model cannot be turned into ONNX after all; of a damaged directory it says what is wrong. Raises as
    ``choose_backend`` and the loading.
    """
    chosen = choose_backend(backend, directory, device)
    if chosen != "torch":
        try:
            return chosen, OnnxPretrained(directory, chosen), "cpu"
        except AsrError as error:
            if backend != "auto" or (directory / FILES[chosen]).is_file() or find_spec("torch") is None:
                raise
            log.debug("%s: backend torch, because onnx failed: %s", directory, error)
    from asr.devices import choose_device
    from asr.pretrained import from_pretrained

    on = choose_device(device)
    return "torch", from_pretrained(directory, on), on


def _has_onnx_form(directory: Path) -> bool:
    """Whether the model runs in onnxruntime here: from its export, or from one made in memory."""
    if find_spec("onnxruntime") is None:
        return False
    if (directory / FILES["onnx"]).is_file():
        return True
    if find_spec("onnx") is None:
        return False
    stored = read_stored(directory)
    return isinstance(stored.features, LogMelConfig) and has_onnx_form(stored.model)


def _is_cpu(device: str) -> bool:
    """Whether ``device`` is the CPU; torch, which takes seconds to import, is asked only where a GPU is likely."""
    if device == "cpu":
        return True
    if device == "auto" and os.name == "posix" and not any(map(os.path.exists, GPU_DRIVERS)):
        return True
    if device == "auto" and find_spec("torch") is None:
        return True
    from asr.devices import choose_device

    return choose_device(device).type == "cpu"


def require_onnxruntime() -> Any:
    """The package ``onnxruntime``, its telemetry off. Raises ConfigError where it is not installed."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it is on by default in the wheels for Linux
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"the ONNX backends need the package onnxruntime ({error}); install it with:"
            " pip install 'asr-bilstm[onnx]'; or use backend torch"
        ) from None
    return onnxruntime


class OnnxPretrained:
    """A model directory that runs in onnxruntime: what recognition uses of torch's ``Pretrained``."""

    def __init__(self, directory: Path, backend: str) -> None:
        """Takes the directory's export, or makes one in memory where there is none.

        Raises ModelError where the directory is damaged, for an export that is damaged or of other weights, or for an
        encoder that has no ONNX form; ConfigError where a package is absent.
        """
        stored = read_stored(directory)
        stored.check_weights()
        weights = stored.weights()
        self.directory = stored.directory
        self.features = _features(stored, weights)
        self.tokenizer: Tokenizer = stored.tokenizer
        self.phones, self.facts = stored.phones, stored.facts
        self.factor = subsampling_factor(stored)
        self.architecture = str(stored.model.get("name"))
        self.parameters = sum(one.size for name, one in weights.items() if name.startswith("model."))
        path = stored.directory / FILES[backend]
        if path.is_file():
            self.model = OnnxModel(path.read_bytes(), str(path))
            if self.model.metadata.get("weights_sha256") != stored.sha256:
                raise ModelError(
                    f"{path}: belongs to other weights than the directory's; export it again, or delete it"
                )
        else:
            self.model = OnnxModel(exported(stored, weights, int8=backend == "onnx-int8"), str(stored.directory))
        self._check_fit()

    def _check_fit(self) -> None:
        """Raise ModelError where features, model and tokens are not of one another's sizes."""
        n_mels, vocab_size = self.features.config.n_mels, self.tokenizer.vocab_size
        try:
            found = self.log_probs(np.zeros((1, 2 * self.factor, n_mels), np.float32), np.array([2 * self.factor]))
        except Exception as error:  # as in OnnxModel
            raise ModelError(f"{self.directory}: its weights do not fit {CONFIG}: {one_line(error)}") from None
        if found.shape != (1, 2, vocab_size + len(self.phones)):
            raise ModelError(f"{self.directory}: its weights do not fit {CONFIG}: {vocab_size} tokens by {CONFIG}")

    def log_probs(self, log_mel: Array, frames: NDArray[np.int64]) -> Array:
        """``(batch, frames, n_mels)`` normalised, ``(batch,)`` -> ``(batch, frames', vocab + phones)``."""
        tokens, _, *phones = self.model(log_mel, frames)
        return np.concatenate((tokens, *phones), axis=2) if phones else tokens

    @functools.cached_property
    def _pretrained(self) -> "Pretrained":
        from asr.pretrained import from_pretrained

        return from_pretrained(self.directory)

    def in_torch(self) -> "Pretrained":
        """The same in torch, for what looks into the model or runs parts of it: inspection, live sound."""
        return self._pretrained


def _features(stored: Stored, weights: Mapping[str, NDArray[Any]]) -> RecordingFeatures:
    """In NumPy, or of a kind that only torch computes. Raises ModelError where the weights are not of its size."""
    mean, std = weights.get("features.mean"), weights.get("features.std")
    if mean is None or std is None or not mean.shape == std.shape == (stored.features.n_mels,):
        raise ModelError(
            f"{stored.directory / WEIGHTS}: does not fit {CONFIG}: features.mean and features.std of"
            f" {stored.features.n_mels} mels by {CONFIG}"
        )
    if isinstance(stored.features, LogMelConfig):
        return ArrayLogMel(stored.features, mean, std)
    import torch

    from asr.features import build_features

    features = build_features(stored.features)
    features.set_normalisation(torch.from_numpy(mean.copy()), torch.from_numpy(std.copy()))
    return features


class OnnxModel:
    """``metadata``: what the file says of itself (asr/onnx/export.py)."""

    def __init__(self, model: bytes, name: str) -> None:
        """Raises ModelError, with ``name`` in it, where onnxruntime cannot read the bytes."""
        runtime = require_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # of errors; they are raised, too
        try:
            self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes, one for each kind of failure, share no base
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"{name}: onnxruntime cannot read it ({reason}); export it again") from None
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, log_mel: Array, lengths: NDArray[np.int64]) -> list[Any]:
        """``(batch, frames, mels)`` float32, ``(batch,)`` int64 -> log_probs ``(batch, frames', vocab)``, ``(batch,)``,
        as ``AcousticModel.forward``; of a model with phones then theirs, ``(batch, frames', phones)``.
        """
        found: list[Any] = self._session.run(None, {"x": log_mel, "x_lens": lengths})
        return found
