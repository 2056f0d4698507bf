"""A model directory (asr/stored.py) from torch's modules, and as such: ``save_pretrained`` and ``from_pretrained``."""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.features import AnyFeaturesConfig, Features, build_features
from asr.files import atomic_path, begin_writing, naming, sha256_file, temporary_path, write_json
from asr.models import AcousticModel, ModelConfig, build_model_config
from asr.provenance import library_versions
from asr.shipped import MODEL_CONFIG as CONFIG
from asr.stored import FORMAT, NOT_UNDERSTOOD, WEIGHTS, Stored, not_understood, one_line, read_stored, with_prefix
from asr.text.tokenizer import Tokenizer


@dataclass(slots=True)
class Pretrained:
    """A model with its features and tokens, ready to run, and the facts of its training."""

    features: Features
    model: AcousticModel
    tokenizer: Tokenizer
    facts: Mapping[str, Any]

    @property
    def factor(self) -> int:
        """Log-mel frames per output frame."""
        return self.model.subsampling.factor

    @property
    def phones(self) -> tuple[str, ...]:
        """The phones that the model tells apart beside its tokens, the blank first."""
        return self.model.phone_tokens

    @property
    def architecture(self) -> str:
        """The encoder's name."""
        return self.model.config.name

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(weights.numel() for weights in self.model.parameters())

    @torch.inference_mode()
    def log_probs(self, log_mel: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """``(batch, frames, n_mels)`` normalised, ``(batch,)`` -> ``(batch, frames', vocab + phones)``."""
        device = self.features.mean.device
        inputs = torch.from_numpy(log_mel).to(device), torch.from_numpy(frames).to(device)
        found, _ = self.model(*inputs, phones=True)
        log_probs: NDArray[np.float32] = found.cpu().numpy()
        return log_probs

    def in_torch(self) -> "Pretrained":
        """This; see ``asr.onnx.backend.OnnxPretrained``."""
        return self


def save_pretrained(
    directory: Path,
    features: Features,
    model: AcousticModel,
    tokenizer: Tokenizer,
    facts: Mapping[str, Any],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model directory; an earlier one of the same name is replaced as a whole.

    ``dtype``: of the model's weights in the file, which are float32 again when read; the features are never rounded.
    """
    tensors = {f"model.{name}": value.to(dtype) for name, value in model.state_dict().items()}
    tensors |= {f"features.{name}": value for name, value in features.state_dict().items()}
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with _whole_directory(directory) as fresh:
        with atomic_path(fresh / WEIGHTS) as temporary:  # not by save_file, whose errors are no OSError
            temporary.write_bytes(safetensors.torch.save(plain))
        write_json(fresh / CONFIG, _describe(fresh / WEIGHTS, features, model, tokenizer, facts))


@contextlib.contextmanager
def copy_of_model(source: Path, directory: Path) -> Iterator[Path]:
    """A copy of a model's weights and config.json in a folder to add files to; ``directory`` once all is well.

    Calibration and decoding are not copied: they are what is to be replaced.
    """
    with _whole_directory(directory) as fresh:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(source / name, fresh / name)
        yield fresh


@contextlib.contextmanager
def _whole_directory(directory: Path) -> Iterator[Path]:
    """A new folder beside ``directory``, which it replaces as a whole unless something is raised."""
    with naming(directory):
        begin_writing(directory.parent)
        fresh = temporary_path(directory)
        fresh.mkdir()
        try:
            yield fresh
            _replace_directory(fresh, directory)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def from_pretrained(directory: str | Path, device: torch.device | str = "cpu") -> Pretrained:
    """Read a model directory, or the shipped model by its name, onto ``device``, in evaluation mode.

    Raises ModelError when it is absent, damaged, of a newer format, or names what this version does not know.
    """
    stored = read_stored(directory)
    weights = stored.directory / WEIGHTS
    stored.check_weights()
    model_config = _model_config(stored)
    try:
        features = build_features(stored.features)
        described = model_config, features.config.n_mels, stored.tokenizer.vocab_size, stored.phones
        with torch.device("meta"):  # shapes alone: a wrong size must not take the machine's memory
            shapes = {name: tuple(value.shape) for name, value in AcousticModel(*described).state_dict().items()}
    except NOT_UNDERSTOOD as error:
        raise not_understood(stored.directory, error) from None
    _check_shapes(weights, shapes)
    model = AcousticModel(*described)
    try:
        tensors = {name: torch.from_numpy(value.copy()) for name, value in stored.weights().items()}
        model.load_state_dict(with_prefix(tensors, "model."))
        features.load_state_dict(with_prefix(tensors, "features."))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{weights}: does not fit {CONFIG}: {one_line(error)}") from None
    return Pretrained(features.to(device).eval(), model.to(device).eval(), stored.tokenizer, stored.facts)


def describe_pretrained(directory: str | Path) -> tuple[AnyFeaturesConfig, ModelConfig]:
    """The features and architecture of a model directory or shipped model, without its weights.

    Raises ModelError as ``from_pretrained``.
    """
    stored = read_stored(directory)
    return stored.features, _model_config(stored)


def _model_config(stored: Stored) -> ModelConfig:
    try:
        return build_model_config(stored.model)
    except NOT_UNDERSTOOD as error:
        raise not_understood(stored.directory, error) from None


def _describe(
    weights: Path, features: Features, model: AcousticModel, tokenizer: Tokenizer, facts: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "features": asdict(features.config),
        "tokenizer": tokenizer.to_dict(),
        "model": asdict(model.config),
        **({"phones": list(model.phone_tokens)} if model.phone_tokens else {}),
        "facts": dict(facts),
        "versions": library_versions(),
        "sha256": {WEIGHTS: sha256_file(weights)},
    }


def _check_shapes(weights: Path, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError unless the header of ``weights`` has the shapes that the model's config describes."""
    try:
        with safetensors.safe_open(weights, "pt") as stored:
            found = {
                name.removeprefix("model."): tuple(stored.get_slice(name).get_shape())
                for name in stored.keys()  # noqa: SIM118 - not a mapping
                if name.startswith("model.")
            }
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(f"{weights}: does not fit {CONFIG}: {one_line(error)}") from None
    wrong = [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    if wrong:
        name = max(wrong, key=lambda one: math.prod(wanted.get(one, ())))
        raise ModelError(
            f"{weights}: does not fit {CONFIG}: {name} is {found.get(name, 'absent')},"
            f" and {wanted.get(name, 'absent')} by {CONFIG}"
        )


def _replace_directory(fresh: Path, directory: Path) -> None:
    """Move ``fresh`` to ``directory``. Between the two renames there is no directory, but never half of one."""
    if directory.exists():
        old = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.old."))
        try:
            os.rename(directory, old / "old")
            try:
                os.rename(fresh, directory)
            except OSError:
                os.rename(old / "old", directory)
                raise
        except OSError:
            with contextlib.suppress(OSError):  # where it holds what could not be moved back
                os.rmdir(old)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(fresh, directory)
