"""A trained model as the bytes of an ONNX file that says all that a runtime needs to know of it.

In: a model directory, or a model and the SHA-256 of its weights. Out: bytes. The file's metadata (texts; lists and
mappings as JSON) is: ``model_type``, ``version``, ``comment``; ``tokens``, by id, and their ``tokenizer``;
``vocab_size``, ``blank_id``; ``sample_rate``; ``features``, all settings, with ``feature_mean`` and ``feature_std`` of
each bin and, of log-mel, the ``filterbank``: for each filter its first bin of the spectrum and the weights from there;
``subsampling_factor``, ``frame_s`` (from one row of ``log_probs`` to the next) and ``first_frame_s`` (the moment that
the first is centred on); ``precision``; ``weights_sha256``; and ``facts`` of the training.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.features import Features, LogMel
from asr.onnx.graph import acoustic_graph, require_onnx
from asr.pretrained import Pretrained, from_pretrained
from asr.shipped import weights_sha256
from asr.text.tokenizer import BLANK_ID

MODEL_TYPE = "asr_bilstm_ctc"  # not one of sherpa-onnx's: it would compute other features
VERSION = 1


def export_model(directory: str | Path, *, int8: bool = False) -> bytes:
    """The ONNX file of a model directory, or of the shipped model by its name.

    Raises ModelError where the directory is absent or damaged, or its encoder has no ONNX form; ConfigError where the
    package onnx is absent.
    """
    require_onnx()
    pretrained = from_pretrained(directory)
    return exported(pretrained, weights_sha256(directory), int8=int8)


def exported(pretrained: Pretrained, digest: str | None, *, int8: bool) -> bytes:
    """The ONNX file of a model with weights of this SHA-256."""
    model = acoustic_graph(pretrained.model, int8=int8)
    facts = {**describe(pretrained), "precision": "int8" if int8 else "float32", "weights_sha256": digest or ""}
    texts = {key: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for key, one in facts.items()}
    require_onnx().helper.set_model_props(model, texts)
    return bytes(model.SerializeToString())


def describe(pretrained: Pretrained) -> dict[str, Any]:
    """The metadata, as plain values."""
    config, factor = pretrained.features.config, pretrained.model.subsampling.factor
    return {
        "model_type": MODEL_TYPE,
        "version": VERSION,
        "comment": "x: normalised features; log_probs: natural logarithms for CTC",
        "tokens": list(pretrained.tokenizer.tokens),
        "tokenizer": str(pretrained.tokenizer.to_dict()["name"]),
        "vocab_size": pretrained.tokenizer.vocab_size,
        "blank_id": BLANK_ID,
        "sample_rate": config.sample_rate,
        "features": asdict(config),
        "feature_mean": pretrained.features.mean.tolist(),
        "feature_std": pretrained.features.std.tolist(),
        "filterbank": _filterbank(pretrained.features),
        "subsampling_factor": factor,
        "frame_s": config.hop_length * factor / config.sample_rate,
        "first_frame_s": config.first_frame_s,
        "facts": dict(pretrained.facts),
    }


def _filterbank(features: Features) -> list[tuple[int, list[float]]]:
    """What is not 0 in each mel filter; none for features that are not this project's own."""
    if not isinstance(features, LogMel):
        return []
    filters = features.filterbank.cpu().numpy()
    ends = [(int(row.nonzero()[0][0]), int(row.nonzero()[0][-1]) + 1) for row in filters]
    return [(first, row[first:stop].tolist()) for (first, stop), row in zip(ends, filters, strict=True)]
