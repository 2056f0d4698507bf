"""What computes log-probabilities in recognition beside torch: an exported model, run by onnxruntime on the CPU.

In: the name of a backend, and a model directory. Out: the ``OnnxModel`` that recognition calls in the place of its
``AcousticModel``, or None where that is torch. One thread a call: recognition runs a worker a core, so the number of
workers changes no result.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr.errors import ConfigError, ModelError
from asr.onnx import BACKENDS, FILES
from asr.onnx.export import exported
from asr.pretrained import Pretrained
from asr.schema import check_choice
from asr.shipped import weights_sha256


def open_backend(
    backend: str, directory: Path, pretrained: Pretrained, device: torch.device
) -> tuple[str, "OnnxModel | None"]:
    """The backend that is used, and its model; None for torch.

    "auto" is onnx where the directory holds an export, onnxruntime is installed and ``device`` is the CPU; else torch.
    "onnx" and "onnx-int8" take the directory's export, or make one in memory where there is none. Raises ConfigError
    for another name, a GPU, or a package that is absent; ModelError for an export that is damaged or of other weights,
    or an encoder that has no ONNX form.
    """
    check_choice("backend", backend, BACKENDS)
    if backend == "auto":
        ready = (directory / FILES["onnx"]).is_file() and find_spec("onnxruntime") and device.type == "cpu"
        backend = "onnx" if ready else "torch"
    if backend == "torch":
        return backend, None
    if device.type != "cpu":
        raise ConfigError(f"backend {backend} runs on the CPU, and the device is {device}; use device cpu, or torch")
    require_onnxruntime()
    path, digest = directory / FILES[backend], weights_sha256(directory)
    if not path.is_file():
        return backend, OnnxModel(exported(pretrained, digest, int8=backend == "onnx-int8"), str(directory))
    model = OnnxModel(path.read_bytes(), str(path))
    if model.metadata.get("weights_sha256") != digest:
        raise ModelError(f"{path}: belongs to other weights than the directory's; export it again, or delete it")
    return backend, model


def require_onnxruntime() -> Any:
    """The package ``onnxruntime``. Raises ConfigError where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"the ONNX backends need the package onnxruntime ({error}); install it with:"
            " pip install 'asr-bilstm[onnx]'; or use backend torch"
        ) from None
    return onnxruntime


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

    def __call__(self, log_mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, frames, mels)`` float32, ``(batch,)`` int64 -> log_probs ``(batch, frames', vocab)``, ``(batch,)``,
        as ``AcousticModel.forward``.
        """
        inputs = {"x": np.ascontiguousarray(log_mel.numpy()), "x_lens": lengths.numpy()}
        log_probs, found = self._session.run(["log_probs", "log_probs_len"], inputs)
        return torch.from_numpy(log_probs), torch.from_numpy(found)
