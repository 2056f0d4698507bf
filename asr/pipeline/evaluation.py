"""Evaluation of a model on a test set: what `asr evaluate` and the stage `evaluate` of `asr run` do.

In: `EvaluateOptions`. Out: results.jsonl, summary.json, breakdown.json and report.md in a folder, and an
`EvaluationResult`. results.jsonl also has each utterance's audio file, metadata, words with times and confidence, and
noise level. The real-time factor is the time from the first batch to the last transcript, reading the audio included,
loading the model not, over the length of the audio.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.files import finite, json_value
from asr.provenance import hardware
from asr.shipped import weights_sha256
from asr.terminal import format_duration
from asr.text.normalize import Normalizer
from asr.transcription.options import check_lm_weight

if TYPE_CHECKING:
    from asr.data.manifest import Utterance
    from asr.recognition import Hypothesis, Recognizer
    from asr.scoring import ScoreReport
    from asr.scoring.output import ReportFiles

_EXTRAS = ("score", "confidence", "words", "n_best")  # what a hypothesis may have beyond its text

ProgressCallback = Callable[[int, int], None]  # utterances done, utterances in all


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What to evaluate, how, and where the report goes.

    ``decoding``: keys of `asr.decoding.DecodingConfig` that replace the model directory's own (see choose_decoding).
    ``lm_weight``: set where the user asked for one, which needs a language model. ``batch_s``: seconds of audio in a
    batch at most. ``worst``: utterances shown with their alignment. ``training_texts``: manifests or texts; the errors
    of words that are rare or absent there are reported separately.
    """

    model: Path
    manifest: Path
    out: Path
    normalizer: Normalizer
    decoding: Mapping[str, Any] = field(default_factory=dict)
    lm_weight: float | None = None
    batch_s: float = 60.0
    worst: int = 10
    training_texts: tuple[Path, ...] = ()
    device: str = "auto"
    backend: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """A scored test set; how long recognition took, where, with which weights (SHA-256) and settings of decoding."""

    manifest: Path
    report: "ScoreReport"
    recognition_s: float
    device: str
    backend: str
    hardware: str
    model_sha256: str | None
    decoding: Mapping[str, Any]
    files: "ReportFiles"

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for a second of audio; NaN where there is no audio."""
        audio_s = self.report.audio_s
        return self.recognition_s / audio_s if audio_s else math.nan

    @property
    def figures(self) -> dict[str, Any]:
        """The figures beyond the error counts, for summary.json and for scripts."""
        return {
            "real_time_factor": finite(self.real_time_factor),
            "recognition_s": round(self.recognition_s, 3),
            "device": self.device,
            "backend": self.backend,
            "hardware": self.hardware,
            "model_sha256": self.model_sha256,
            "decoding": self.decoding,
        }

    @property
    def speed(self) -> str:
        """``0.0212 on cpu (2 s for 1 min 34 s of audio)``."""
        spent, audio = format_duration(self.recognition_s), format_duration(self.report.audio_s or 0)
        with_onnx = "" if self.backend == "torch" else f" with {self.backend}"
        return f"{self.real_time_factor:.4f} on {self.device}{with_onnx} ({spent} for {audio} of audio)"


def evaluate(options: EvaluateOptions, on_progress: ProgressCallback | None = None) -> EvaluationResult:
    """Transcribe the manifest's utterances, score them and write the report.

    What can be refused without the model (the manifest, the output folder, the training texts) is checked before torch
    is imported. Raises DataError, UsageError, ModelError or ConfigError.
    """
    from asr.data.manifest import read_manifest
    from asr.scoring.output import prepare_folder, report_files
    from asr.scoring.results import count_training_words, describe_utterances

    utterances = read_manifest(options.manifest)
    prepare_folder(options.out, options.manifest)
    training_counts = count_training_words(options.training_texts, options.normalizer)
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(
        options.model, device=options.device, decoding=dict(options.decoding), backend=options.backend
    )
    check_lm_weight(options.lm_weight, recognizer.decoding.language_model)
    hypotheses, recognition_s = _recognise(recognizer, utterances, options.batch_s, on_progress)
    result = EvaluationResult(
        manifest=options.manifest,
        report=_score(utterances, hypotheses, options.normalizer),
        recognition_s=recognition_s,
        device=str(recognizer.device),
        backend=recognizer.backend,
        hardware=hardware(recognizer.device),
        model_sha256=weights_sha256(options.model),
        decoding=recognizer.decoding.described(),
        files=report_files(options.out),
    )
    extras = {key: _extras(hypothesis) for key, hypothesis in hypotheses.items()}
    _write(result, options, describe_utterances(utterances, extras, options.normalizer), training_counts)
    return result


def _recognise(
    recognizer: "Recognizer", utterances: "Sequence[Utterance]", batch_s: float, on_progress: ProgressCallback | None
) -> tuple[dict[str, "Hypothesis"], float]:
    """The hypotheses by utterance id, and the seconds that they took."""
    report_progress = on_progress or (lambda done, total: None)
    report_progress(0, len(utterances))
    started_s = time.perf_counter()
    hypotheses = recognizer.transcribe_utterances(list(utterances), batch_s=batch_s, progress=report_progress)
    recognition_s = time.perf_counter() - started_s
    return {one.id: found for one, found in zip(utterances, hypotheses, strict=True)}, recognition_s


def _score(
    utterances: "Sequence[Utterance]", hypotheses: Mapping[str, "Hypothesis"], normalizer: Normalizer
) -> "ScoreReport":
    from asr.scoring import score_texts, texts_by_id

    return score_texts(
        texts_by_id(((one.id, one.text) for one in utterances), "references"),
        {key: hypothesis.text for key, hypothesis in hypotheses.items()},
        normalizer=normalizer,
        speakers={one.id: one.speaker for one in utterances if one.speaker is not None},
        durations_s={one.id: one.duration_s for one in utterances},
    )


def _write(
    result: EvaluationResult,
    options: EvaluateOptions,
    extras: Mapping[str, Mapping[str, Any]],
    training_counts: Mapping[str, int] | None,
) -> None:
    from asr.scoring import ReportHeader, write_report
    from asr.scoring.output import now

    header = ReportHeader(
        title=f"Errors on {options.manifest.name}",
        system=str(options.model),
        data=str(options.manifest),
        date=now(),
        facts={"Decoding": _decoding_text(result.decoding), "Real-time factor": result.speed},
    )
    write_report(
        options.out,
        result.report,
        header,
        worst=options.worst,
        extras=extras,
        figures=result.figures,
        training_counts=training_counts,
    )


def _decoding_text(decoding: Mapping[str, Any]) -> str:
    """``beam, beam_width 32, lm_weight 0.8``."""
    return ", ".join([decoding["name"], *(f"{key} {value}" for key, value in decoding.items() if key != "name")])


def _extras(hypothesis: "Hypothesis") -> dict[str, Any]:
    known = {name: getattr(hypothesis, name, None) for name in _EXTRAS}
    return {name: json_value(value) for name, value in known.items() if value is not None}
