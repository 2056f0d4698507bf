"""A trained model as the bytes of an ONNX file that says all that a runtime needs to know of it.

In: a model directory. Out: bytes. Torch is not needed for it. The file's metadata (texts; lists and
mappings as JSON) is: ``model_type``, ``version``, ``comment``; ``tokens``, by id, and their ``tokenizer``;
``vocab_size``, ``blank_id``; ``sample_rate``; ``features``, all settings, with ``feature_mean`` and ``feature_std`` of
each bin and, of log-mel, the ``filterbank``: for each filter its first bin of the spectrum and the weights from there;
``subsampling_factor``, ``frame_s`` (from one row of ``log_probs`` to the next) and ``first_frame_s`` (the moment that
the first is centred on); ``precision``; ``weights_sha256``; and ``facts`` of the training.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from asr.features.config import AnyFeaturesConfig, LogMelConfig
from asr.features.spectrum import log_mel_filterbank
from asr.onnx.graph import acoustic_graph, check_exportable, require_onnx
from asr.schema import build
from asr.stored import NOT_UNDERSTOOD, Stored, not_understood, read_stored, with_prefix
from asr.subsampling import SubsamplingConfig
from asr.text.tokenizer import BLANK_ID

MODEL_TYPE = "asr_bilstm_ctc"  # not one of sherpa-onnx's: it would compute other features
VERSION = 1
Weights = Mapping[str, NDArray[Any]]


def export_model(directory: str | Path, *, int8: bool = False) -> bytes:
    """The ONNX file of a model directory, or of the shipped model by its name.

    Raises ModelError where the directory is absent or damaged, or its encoder has no ONNX form; ConfigError where the
    package onnx is absent.
    """
    require_onnx()
    stored = read_stored(directory)
    stored.check_weights()
    content = exported(stored, stored.weights(), int8=int8)
    require_onnx().checker.check_model(content)
    return content


def exported(stored: Stored, weights: Weights, *, int8: bool) -> bytes:
    """The ONNX file of a model with its ``weights``. Raises ModelError, ConfigError as ``export_model``."""
    require_onnx()
    check_exportable(stored.model, int8=int8)
    try:
        model = acoustic_graph(stored.model, with_prefix(weights, "model."), stored.features.n_mels, int8=int8)
        described = describe(stored, weights)
    except (KeyError, *NOT_UNDERSTOOD) as error:
        raise not_understood(stored.directory, error) from None
    facts = {**described, "precision": "int8" if int8 else "float32", "weights_sha256": stored.sha256 or ""}
    texts = {key: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for key, one in facts.items()}
    require_onnx().helper.set_model_props(model, texts)
    return bytes(model.SerializeToString())


def describe(stored: Stored, weights: Weights) -> dict[str, Any]:
    """The metadata, as plain values."""
    config, factor = stored.features, subsampling_factor(stored)
    return {
        "model_type": MODEL_TYPE,
        "version": VERSION,
        "comment": "x: normalised features; log_probs: natural logarithms for CTC",
        "tokens": list(stored.tokenizer.tokens),
        "tokenizer": str(stored.tokenizer.to_dict()["name"]),
        "vocab_size": stored.tokenizer.vocab_size,
        **({"phones": list(stored.phones)} if stored.phones else {}),  # the columns of phone_log_probs
        "blank_id": BLANK_ID,
        "sample_rate": config.sample_rate,
        "features": asdict(config),
        "feature_mean": weights["features.mean"].tolist(),
        "feature_std": weights["features.std"].tolist(),
        "filterbank": _filterbank(config),
        "subsampling_factor": factor,
        "frame_s": config.hop_length * factor / config.sample_rate,
        "first_frame_s": config.first_frame_s,
        "facts": dict(stored.facts),
    }


def subsampling_factor(stored: Stored) -> int:
    """Log-mel frames per output frame. Raises ConfigError where what is stored is none."""
    return build(SubsamplingConfig, stored.model.get("subsampling", {}), "model.subsampling").factor


def _filterbank(config: AnyFeaturesConfig) -> list[tuple[int, list[float]]]:
    """What is not 0 in each mel filter; none for features that are not this project's own."""
    if not isinstance(config, LogMelConfig):
        return []
    filters = log_mel_filterbank(config)
    ends = [(int(row.nonzero()[0][0]), int(row.nonzero()[0][-1]) + 1) for row in filters]
    return [(first, row[first:stop].tolist()) for (first, stop), row in zip(ends, filters, strict=True)]
