"""`asr evaluate MODEL MANIFEST --out DIR`: transcribe a test set and report the error and the speed.

In: a model directory and a manifest. Out: results.jsonl, summary.json, breakdown.json and report.md in DIR, by the same
code as `asr score`, and a short table on stdout; results.jsonl also says where each utterance lies, what the manifest
tells of it, its words with times and confidence, and how noisy it is. The real-time factor is the time from the first
batch to the last transcript, reading the audio included, loading the model not, over the length of the audio.
"""

import argparse
import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.commands.options import (
    add_decoding,
    add_scoring,
    decoder_options,
    print_report,
    scoring_options,
    seconds,
    whole_number,
)
from asr.files import finite, json_value
from asr.text.normalize import Normalizer
from asr.transcription.job import check_lm_weight

if TYPE_CHECKING:
    from asr.data.manifest import Utterance
    from asr.recognition import Recognizer
    from asr.scoring import ScoreReport

_EXTRAS = ("score", "confidence", "words", "n_best")  # what a hypothesis may know beyond its text


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A scored test set: the report, what else the recogniser told by utterance id, and the seconds it took on what."""

    report: "ScoreReport"
    extras: dict[str, dict[str, Any]]
    recognition_s: float
    device: str
    decoding: dict[str, Any]

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for a second of audio; NaN where there is no audio."""
        audio_s = self.report.audio_s
        return self.recognition_s / audio_s if audio_s else math.nan


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr evaluate`."""
    parser = argparse.ArgumentParser(
        prog="asr evaluate", description="Transcribe the utterances of a manifest and report WER, CER and speed."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model directory, such as runs/fsdd/model")
    parser.add_argument(
        "manifest", type=Path, metavar="MANIFEST", help="what to transcribe, such as data/fsdd/test.jsonl"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="where the report goes")
    parser.add_argument(
        "--batch-s", type=seconds, default=60.0, metavar="S", help="seconds of audio in a batch at most (default: 60)"
    )
    parser.add_argument(
        "--worst", type=whole_number, default=10, metavar="N", help="utterances shown with alignment (default: 10)"
    )
    parser.add_argument(
        "--train-text",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="the training manifest, or any text: rare and unseen words then stand apart (may be given several times)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    add_scoring(parser)
    add_decoding(parser.add_argument_group("decoding"))
    return parser


def run(arguments: list[str]) -> int:
    """Evaluate; returns 0, or raises an AsrError."""
    options = build_parser().parse_args(arguments)
    evaluate_manifest(options, decoder_options(options).given())
    return 0


def evaluate_manifest(options: argparse.Namespace, decoding: dict[str, Any]) -> None:
    """The whole command with parsed ``options``; ``decoding``: keys of ``DecodingConfig`` (see choose_decoding)."""
    from asr.data.manifest import read_manifest
    from asr.scoring.describe import count_training_words
    from asr.scoring.output import check_gate, prepare_folder

    scoring = scoring_options(options)
    normalizer = scoring.normalizer
    utterances = read_manifest(options.manifest)  # the cheap refusals come before torch is imported
    prepare_folder(options.out, options.manifest)
    training_counts = count_training_words(options.train_text, normalizer)
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(options.model, device=options.device, decoding=decoding)
    check_lm_weight(options.lm_weight, recognizer.decoding.language_model)
    evaluation = evaluate(recognizer, utterances, batch_s=options.batch_s, normalizer=normalizer)
    _write(evaluation, options, training_counts)
    check_gate(evaluation.report, scoring.fail_above)


def evaluate(
    recognizer: "Recognizer", utterances: "Sequence[Utterance]", *, batch_s: float, normalizer: Normalizer
) -> Evaluation:
    """Transcribe and score, with progress on stderr. ``batch_s``: seconds of audio in a batch at most."""
    from asr.scoring import score_texts, texts_by_id
    from asr.scoring.describe import describe_utterances
    from asr.terminal import Progress

    references = texts_by_id(((one.id, one.text) for one in utterances), "references")
    with Progress(len(utterances), "transcribing", "utterances") as progress:
        started_s = time.perf_counter()
        hypotheses = recognizer.transcribe_utterances(
            list(utterances), batch_s=batch_s, progress=lambda done, total: progress.update(done - progress.done)
        )
        recognition_s = time.perf_counter() - started_s
    by_id = {utterance.id: hypothesis for utterance, hypothesis in zip(utterances, hypotheses, strict=True)}
    report = score_texts(
        references,
        {key: hypothesis.text for key, hypothesis in by_id.items()},
        normalizer=normalizer,
        speakers={one.id: one.speaker for one in utterances if one.speaker is not None},
        durations_s={one.id: one.duration_s for one in utterances},
    )
    extras = describe_utterances(utterances, {key: _extras(one) for key, one in by_id.items()}, normalizer)
    return Evaluation(
        report=report,
        extras=extras,
        recognition_s=recognition_s,
        device=str(recognizer.device),
        decoding=recognizer.decoding.described(),
    )


def _write(evaluation: Evaluation, options: argparse.Namespace, training_counts: dict[str, int] | None) -> None:
    from asr.scoring import ReportHeader, write_report
    from asr.scoring.markdown import counted
    from asr.scoring.output import now
    from asr.terminal import format_duration

    report, factor = evaluation.report, evaluation.real_time_factor
    durations = [format_duration(seconds) for seconds in (evaluation.recognition_s, report.audio_s or 0)]
    speed = f"{factor:.4f} on {evaluation.device} ({durations[0]} for {durations[1]} of audio)"
    header = ReportHeader(
        title=f"Errors on {options.manifest.name}",
        system=str(options.model),
        data=str(options.manifest),
        date=now(),
        facts={"Decoding": _shown(evaluation.decoding), "Real-time factor": speed},
    )
    figures = {
        "real_time_factor": finite(factor),
        "recognition_s": round(evaluation.recognition_s, 3),
        "device": evaluation.device,
        "decoding": evaluation.decoding,
    }
    files = write_report(
        options.out,
        report,
        header,
        worst=options.worst,
        extras=evaluation.extras,
        figures=figures,
        training_counts=training_counts,
    )
    lead = f"{counted(len(report.utterances), 'utterance')} of {options.manifest}; real-time factor {speed}"
    print_report(report, options.print_as, lead=lead, figures=figures, page=files.page)


def _shown(decoding: dict[str, Any]) -> str:
    """``beam, beam_width 32, lm_weight 0.8``."""
    return ", ".join([decoding["name"], *(f"{key} {value}" for key, value in decoding.items() if key != "name")])


def _extras(hypothesis: Any) -> dict[str, Any]:
    known = {name: getattr(hypothesis, name, None) for name in _EXTRAS}
    return {name: json_value(value) for name, value in known.items() if value is not None}
