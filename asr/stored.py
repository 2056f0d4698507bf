"""The model directory: what a trained model is when it is shared, read without torch. Data only, never code.

``model.safetensors`` holds weights and feature normalisation; ``config.json`` everything else: features, tokens,
architecture out of a closed list, training facts, library versions, and the SHA-256 of the weights. Nothing in it is
pickled, imported by name, or interpolated. Other files in it (calibration, decoding, exports) name the weights that
they belong to. asr/pretrained.py writes it, and makes torch's modules of it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from asr.errors import ConfigError, ModelDamagedError, ModelError, ModelMissingError
from asr.features.config import AnyFeaturesConfig, build_features_config
from asr.files import sha256_file, write_json
from asr.shipped import MODEL_CONFIG as CONFIG
from asr.shipped import check_not_shipped, model_directory
from asr.text.tokenizer import Tokenizer, tokenizer_from_dict

FORMAT = 1
WEIGHTS = "model.safetensors"
NOT_UNDERSTOOD = (ModelError, ConfigError, TypeError, ValueError, RuntimeError, MemoryError, OverflowError)
MESSAGE_LENGTH = 300
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a model directory states. ``model``: the architecture as plain values, unchecked; ``sha256``: of weights;
    ``phones``: those that the model tells apart beside its tokens, the blank first.
    """

    directory: Path
    features: AnyFeaturesConfig
    tokenizer: Tokenizer
    model: Mapping[str, Any]
    facts: Mapping[str, Any]
    sha256: str | None
    phones: tuple[str, ...] = ()

    def check_weights(self) -> None:
        """Raise ModelError unless the weights are those that config.json names."""
        weights = self.directory / WEIGHTS
        if not weights.is_file():
            raise ModelMissingError(f"{weights}: absent; the model directory is incomplete, copy it again")
        try:
            found = sha256_file(weights)
        except OSError as error:
            raise ModelMissingError(f"{weights}: cannot be read ({error.strerror})") from None
        if found != self.sha256:
            raise ModelDamagedError(
                f"{weights}: damaged, its SHA-256 is not the one in {CONFIG}; copy the model directory again"
            )

    def weights(self) -> dict[str, NDArray[Any]]:
        """Those of the model, their names after "model.", and of the features ("features."); as they are stored.

        Raises ModelError where they cannot be read, are not finite, or are not for these features and tokens.
        """
        path = self.directory / WEIGHTS
        try:
            arrays: dict[str, NDArray[Any]] = safetensors.numpy.load_file(path)
        except (safetensors.SafetensorError, RuntimeError, ValueError, TypeError, KeyError, OSError) as error:
            raise ModelError(f"{path}: does not fit {CONFIG}: {one_line(error)}") from None
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                raise ModelDamagedError(
                    f"{path}: {name} holds NaN or infinity; its training diverged, use an earlier model"
                )
        mels, vocab = (self.features.n_mels,), (self.tokenizer.vocab_size,)
        for name, shape in {"features.mean": mels, "features.std": mels, "model.head.bias": vocab}.items():
            found = arrays[name].shape if name in arrays else "absent"
            if found != shape:
                raise ModelError(f"{path}: does not fit {CONFIG}: {name} is {found}, and {shape} by {CONFIG}")
        return arrays


def read_stored(directory: str | Path) -> Stored:
    """A model directory, or the shipped model by its name; ``check_weights`` and ``weights`` read the rest.

    Raises ModelError when it is absent, damaged, of a newer format, or names what this version does not know.
    """
    directory = model_directory(directory)
    config = _read_config(directory)
    try:
        tokenizer = tokenizer_from_dict(config["tokenizer"])
        features = build_features_config({"level_db": None, **config["features"]})  # None: before 0.2
        model, phones = config["model"], _phones(config.get("phones", []))
    except (KeyError, *NOT_UNDERSTOOD) as error:
        raise not_understood(directory, error) from None
    digests = config.get("sha256", {})
    digest = digests.get(WEIGHTS) if isinstance(digests, dict) else None
    return Stored(directory, features, tokenizer, model, config.get("facts", {}), digest, phones)


def unless_replaced(directory: Path, load: Callable[[], T]) -> T:
    """``load`` of a model directory; again where another took its place meanwhile, as a training saves a better one."""
    while True:
        before = _identity(directory)
        try:
            loaded = load()
        except ModelError:
            if _identity(directory) == before:
                raise
        else:
            if _identity(directory) == before:
                return loaded


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _phones(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values) or len(values) == 1:
        raise ValueError(f"phones: {values!r} is not a list of the blank and phones")
    if len(set(values)) < len(values):
        raise ValueError("phones: one is named twice")
    return tuple(values)


def stored_model(directory: str | Path) -> dict[str, Any]:
    """The architecture that a model directory states, unchecked, as plain values; empty where it states none.

    Raises ModelError where the directory is none or of a newer format.
    """
    values = _read_config(model_directory(directory)).get("model")
    return values if isinstance(values, dict) else {}


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
        raise ModelDamagedError(f"{path}: cannot be read ({one_line(error)}); create it again, or delete it") from None
    if not isinstance(values, dict) or "weights_sha256" not in values:
        raise ModelDamagedError(
            f"{path}: damaged, it does not name the weights it belongs to; create it again, or delete it"
        )
    if values.pop("weights_sha256") != _read_config(directory).get("sha256", {}).get(WEIGHTS):
        raise ModelError(f"{path}: belongs to other weights than {WEIGHTS}; create it again, or delete it")
    return values


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG
    if not path.is_file():
        if not directory.exists():
            raise ModelMissingError(f"{directory}: not a model directory (no such folder); check the path")
        known = f"did you mean {directory / 'model'}?" if (directory / "model" / CONFIG).is_file() else None
        hint = known or "give the folder `model` of a training run"
        raise ModelMissingError(f"{directory}: not a model directory (it has no {CONFIG}); {hint}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelDamagedError(f"{path}: cannot be read ({one_line(error)})") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else None
        raise ModelError(
            f"{path}: format {found!r} is unknown to this version, which reads format {FORMAT}; update, or export again"
        )
    return config


def not_understood(directory: Path, error: Exception) -> ModelError:
    """The error of a config.json that cannot be understood."""
    why = f"no key {error}" if isinstance(error, KeyError) else one_line(error)
    return ModelError(f"{directory / CONFIG}: cannot be understood ({why}); was it written by another version?")


def one_line(error: Exception) -> str:
    """The message of ``error`` on one line of limited length: torch lists every tensor that does not fit."""
    text = " ".join(str(error).split())
    return text if len(text) <= MESSAGE_LENGTH else f"{text[:MESSAGE_LENGTH]} ..."


def with_prefix(values: Mapping[str, T], prefix: str) -> dict[str, T]:
    """Those of which the name begins with ``prefix``, named by the rest."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
