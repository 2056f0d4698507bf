"""The model directory: what a trained model is when it is shared. Data only, never code.

``model.safetensors`` holds weights and feature normalisation; ``config.json`` everything else: features, tokens,
architecture out of a closed list, training facts, library versions, and the SHA-256 of the weights. Nothing in it is
pickled, imported by name, or interpolated.
"""

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from asr.errors import ConfigError, ModelError
from asr.features import AnyFeaturesConfig, Features, build_features, build_features_config
from asr.files import atomic_path, sha256_file, umask, write_json
from asr.models import AcousticModel, ModelConfig, build_model_config
from asr.provenance import library_versions
from asr.shipped import MODEL_CONFIG as CONFIG
from asr.shipped import check_not_shipped, model_directory
from asr.text.tokenizer import Tokenizer, tokenizer_from_dict

FORMAT = 1
WEIGHTS = "model.safetensors"
NOT_UNDERSTOOD = (ModelError, ConfigError, TypeError, ValueError, RuntimeError, MemoryError, OverflowError)
MESSAGE_LENGTH = 300


@dataclass(slots=True)
class Pretrained:
    """A model with its features and tokens, ready to run, and the facts of its training."""

    features: Features
    model: AcousticModel
    tokenizer: Tokenizer
    facts: Mapping[str, Any]


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
        with atomic_path(fresh / WEIGHTS) as temporary:  # synced to disk, and readable by other users
            safetensors.torch.save_file(plain, temporary)
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
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
    try:
        yield fresh
        os.chmod(fresh, 0o777 & ~umask())
        _replace_directory(fresh, directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def from_pretrained(directory: str | Path, device: torch.device | str = "cpu") -> Pretrained:
    """Read a model directory, or the shipped model by its name, onto ``device``, in evaluation mode.

    Raises ModelError when it is absent, damaged, of a newer format, or names what this version does not know.
    """
    directory = model_directory(directory)
    config = _read_config(directory)
    weights = directory / WEIGHTS
    _check_weights(weights, config)
    features_config, model_config, tokenizer = _understand(directory, config)
    try:
        features = build_features(features_config)
        described = model_config, features.config.n_mels, tokenizer.vocab_size
        with torch.device("meta"):  # shapes alone: a wrong size must not take the machine's memory
            shapes = {name: tuple(value.shape) for name, value in AcousticModel(*described).state_dict().items()}
    except NOT_UNDERSTOOD as error:
        raise _not_understood(directory, error) from None
    _check_shapes(weights, shapes)
    model = AcousticModel(*described)
    try:
        tensors = safetensors.torch.load_file(weights)
        model.load_state_dict(_with_prefix(tensors, "model."))
        features.load_state_dict(_with_prefix(tensors, "features."))
    except (safetensors.SafetensorError, RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"{weights}: does not fit {CONFIG}: {_one_line(error)}") from None
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{weights}: {name} holds NaN or infinity; its training diverged, use an earlier model")
    return Pretrained(features.to(device).eval(), model.to(device).eval(), tokenizer, config.get("facts", {}))


def stored_model(directory: str | Path) -> dict[str, Any]:
    """The architecture that a model directory states, unchecked, as plain values; empty where it states none.

    Raises ModelError where the directory is none or of a newer format.
    """
    values = _read_config(model_directory(directory)).get("model")
    return values if isinstance(values, dict) else {}


def describe_pretrained(directory: str | Path) -> tuple[AnyFeaturesConfig, ModelConfig, Tokenizer]:
    """The features, architecture and tokens of a model directory or shipped model, without its weights.

    Raises ModelError as ``from_pretrained``.
    """
    directory = model_directory(directory)
    return _understand(directory, _read_config(directory))


def write_extra(directory: Path, name: str, values: Mapping[str, Any]) -> None:
    """Write a JSON file (calibration, decoding, ...) with the hash of the weights: it is valid for them only.

    Raises ModelError for the shipped model, which is never changed.
    """
    check_not_shipped(directory)
    write_json(directory / name, {**values, "weights_sha256": _read_config(directory)["sha256"][WEIGHTS]})


def read_extra(directory: Path, name: str) -> dict[str, Any] | None:
    """The values that ``write_extra`` wrote, or None where there is no such file.

    Raises ModelError when it is damaged or belongs to other weights.
    """
    path = directory / name
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({_one_line(error)}); create it again, or delete it") from None
    if not isinstance(values, dict) or "weights_sha256" not in values:
        raise ModelError(f"{path}: damaged, it does not name the weights it belongs to; create it again, or delete it")
    if values.pop("weights_sha256") != _read_config(directory).get("sha256", {}).get(WEIGHTS):
        raise ModelError(f"{path}: belongs to other weights than {WEIGHTS}; create it again, or delete it")
    return values


def _describe(
    weights: Path, features: Features, model: AcousticModel, tokenizer: Tokenizer, facts: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "features": asdict(features.config),
        "tokenizer": tokenizer.to_dict(),
        "model": asdict(model.config),
        "facts": dict(facts),
        "versions": library_versions(),
        "sha256": {WEIGHTS: sha256_file(weights)},
    }


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG
    if not path.is_file():
        if not directory.exists():
            raise ModelError(f"{directory}: not a model directory (no such folder); check the path")
        known = f"did you mean {directory / 'model'}?" if (directory / "model" / CONFIG).is_file() else None
        hint = known or "give the folder `model` of a training run"
        raise ModelError(f"{directory}: not a model directory (it has no {CONFIG}); {hint}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read ({_one_line(error)})") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else None
        raise ModelError(
            f"{path}: format {found!r} is unknown to this version, which reads format {FORMAT}; update, or export again"
        )
    return config


def _understand(directory: Path, config: Mapping[str, Any]) -> tuple[AnyFeaturesConfig, ModelConfig, Tokenizer]:
    try:
        tokenizer = tokenizer_from_dict(config["tokenizer"])
        features = build_features_config({"level_db": None, **config["features"]})  # None: before 0.2
        return features, build_model_config(config["model"]), tokenizer
    except (KeyError, *NOT_UNDERSTOOD) as error:
        raise _not_understood(directory, error) from None


def _not_understood(directory: Path, error: Exception) -> ModelError:
    why = f"no key {error}" if isinstance(error, KeyError) else _one_line(error)
    return ModelError(f"{directory / CONFIG}: cannot be understood ({why}); was it written by another version?")


def _check_weights(weights: Path, config: Mapping[str, Any]) -> None:
    if not weights.is_file():
        raise ModelError(f"{weights}: absent; the model directory is incomplete, copy it again")
    expected = config.get("sha256", {})
    expected = expected.get(WEIGHTS) if isinstance(expected, dict) else None
    try:
        found = sha256_file(weights)
    except OSError as error:
        raise ModelError(f"{weights}: cannot be read ({error.strerror})") from None
    if found != expected:
        raise ModelError(f"{weights}: damaged, its SHA-256 is not the one in {CONFIG}; copy the model directory again")


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
        raise ModelError(f"{weights}: does not fit {CONFIG}: {_one_line(error)}") from None
    wrong = [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    if wrong:
        name = max(wrong, key=lambda one: math.prod(wanted.get(one, ())))
        raise ModelError(
            f"{weights}: does not fit {CONFIG}: {name} is {found.get(name, 'absent')},"
            f" and {wanted.get(name, 'absent')} by {CONFIG}"
        )


def _one_line(error: Exception) -> str:
    """The message of ``error`` on one line of limited length: torch lists every tensor that does not fit."""
    text = " ".join(str(error).split())
    return text if len(text) <= MESSAGE_LENGTH else f"{text[:MESSAGE_LENGTH]} ..."


def _with_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _replace_directory(fresh: Path, directory: Path) -> None:
    """Move ``fresh`` to ``directory``. Between the two renames there is no directory, but never half of one."""
    if directory.exists():
        old = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.old."))
        os.rename(directory, old / "old")
        try:
            os.rename(fresh, directory)
        except OSError:
            os.rename(old / "old", directory)
            os.rmdir(old)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(fresh, directory)
