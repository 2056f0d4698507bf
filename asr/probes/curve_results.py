"""The results of ``asr learning-curve``: WER against minutes of speech, a power law for each curve, predictions.

In: a ``Curve`` of finished trainings. Out: ``learning-curve.json`` (every training with its figures and where they are
from; every point, fit and prediction), the same as a table in Markdown, and a picture.

A prediction is for one training, with the parts' recipe and budget, on further speech of the same kind. To see how good
such predictions are here, the longest part is also predicted from the others alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr.data.manifest import read_manifest
from asr.files import file_hashes, read_json_object, write_json, write_text
from asr.lm.build import BuildOptions, build_lm
from asr.lm.files import read_lm, write_lm
from asr.lm.text import TextOptions, read_sentences
from asr.pipeline.evaluation import EvaluateOptions, evaluate
from asr.pipeline.stages import Stage, StageRecords, digest
from asr.probes.changed_models import error_row
from asr.probes.curve_picture import draw_curves, render
from asr.probes.family import by_id
from asr.probes.learning_curve import OWN_LM, Curve, CurveOptions, Training, size_label, train_curve
from asr.probes.power_law import CurveFit, Estimate, Trainings, Withheld, fit_curve
from asr.probes.processes import Say
from asr.probes.record import Record
from asr.recognition import Recognizer
from asr.recognition.tuning import DevSet, tune
from asr.scoring.intervals import FEW_UNITS, bootstrap_interval, known_speakers, rate_intervals
from asr.scoring.measures import WER
from asr.scoring.report import ScoreReport
from asr.scoring.results import read_results
from asr.terminal import Progress
from asr.text.normalize import get_normalizer

NAME = "learning-curve"
BEAM_WIDTH = 32
LM_ORDER = 4
WITH_LM = "evaluation-lm"


@dataclass(frozen=True, slots=True)
class CurveFiles:
    """The table as text, what the fits say, and the files that hold them."""

    text: str
    figures: Path
    table: Path
    plot: Path


def learning_curve(options: CurveOptions, command: str, say: Say) -> CurveFiles:
    """Train what is not trained yet, decode with a language model if one is asked for, and write the results."""
    record = Record(NAME, command, "cpu")
    curve = train_curve(options, say)
    reports = {(one.series, one): _report(one) for one in curve.trainings}
    if options.lm is not None:
        with Progress(len(curve.trainings), "with the language model", "models") as progress:
            for one in curve.trainings:
                reports[f"{one.series} + language model", one] = _report_with_lm(curve, one, options.lm)
                progress.update()
    found = summarize(reports, options.more)
    found["notes"] = [*curve.notes, *_notes(found)]
    files = CurveFiles(
        render(found),
        options.out / f"{NAME}.json",
        options.out / f"{NAME}.md",
        options.out / f"{NAME}.{options.format}",
    )
    record.write(files.figures, _settings(options), found)
    draw_curves(found, files.plot)
    write_text(files.table, f"{files.text}\n\n![WER against minutes]({files.plot.name})\n\nMade by `{command}`.\n")
    return files


def _settings(options: CurveOptions) -> dict[str, Any]:
    values = {
        key: str(value) if isinstance(value, Path) else value for key, value in dataclasses.asdict(options).items()
    }
    return {**values, "minutes": ["all" if one == float("inf") else one for one in options.minutes]}


def _report(training: Training, evaluation: str = "evaluation") -> ScoreReport:
    return read_results(training.folder / evaluation / "test" / "results.jsonl").report


def _report_with_lm(curve: Curve, training: Training, lm: str) -> ScoreReport:
    """The test's errors with a language model, its weights found on dev; made where they are not up to date.

    Where no weights do better on dev than greedy decoding, that is used, as ``asr lm tune`` would have it.
    """
    model, dev = training.folder / "model", training.part.folder / "dev.jsonl"
    file = training.part.folder / "lm.bin" if lm == OWN_LM else Path(lm)
    texts = training.part.folder / "train.jsonl"
    if lm == OWN_LM and not file.exists():
        options = TextOptions(normalizer=training.settings.data.full_normalizer, split_sentences=False)
        write_lm(file, build_lm(read_sentences(texts, options), BuildOptions(order=LM_ORDER)).trie)
    weights, out = training.folder / "lm.json", training.folder / WITH_LM / "test"
    normalizer = get_normalizer(curve.config.scoring.normalizer)

    def work() -> None:
        decoding: dict[str, Any] = {"name": "greedy"}
        recognizer = Recognizer.from_pretrained(model, words=False, decoding=decoding)
        result = tune(DevSet.of(recognizer, read_manifest(dev), normalizer), BEAM_WIDTH, read_lm(file))
        if result.helps:
            best = {"lm_weight": result.best.lm_weight, "word_score": result.best.word_score}
            decoding = {"name": "beam", "beam_width": BEAM_WIDTH, "language_model": str(file), **best}
        write_json(weights, {"decoding": decoding, "facts": result.facts(dev, file)})
        evaluate(
            EvaluateOptions(
                model=model,
                manifest=training.part.folder / "test.jsonl",
                out=out,
                normalizer=normalizer,
                decoding=decoding,
            )
        )

    read = [model / "config.json", dev, training.part.folder / "test.jsonl", file]
    stage = Stage(
        "evaluate-lm",
        lambda: digest([normalizer.label, BEAM_WIDTH, list(file_hashes(read).items())]),
        lambda: [weights, out / "results.jsonl"],
        work,
    )
    StageRecords(training.folder / "stages.json").run(stage, lambda name, up_to_date: None)
    return _report(training, WITH_LM)


def summarize(reports: Mapping[tuple[str, Training], ScoreReport], more: Sequence[float]) -> dict[str, Any]:
    """Each training, each point (a curve's trainings of one size), and each curve's fit, check and predictions."""
    trainings = [_training_row(series, one, report) for (series, one), report in reports.items()]
    curves = []
    for series in dict.fromkeys(name for name, _ in reports):
        own = {one: report for (name, one), report in reports.items() if name == series}
        measured = _trainings(own)
        fit = fit_curve(measured)
        curves.append(
            {
                "curve": series,
                "points": _points(own),
                "fit": _fit_values(fit),
                "check": _check(measured),
                "predictions": _predictions(fit, max(measured.minutes), more),
                "drawn": _drawn(fit, max(measured.minutes), more),
            }
        )
    return {"trainings": trainings, "curves": curves}


def _trainings(reports: Mapping[Training, ScoreReport]) -> Trainings:
    words = [[one.words for one in by_id(report)] for report in reports.values()]
    return Trainings(
        minutes=[one.part.minutes for one in reports],
        sizes=[one.part.size for one in reports],
        errors=np.array([[one.errors for one in training] for training in words], dtype=np.int64),
        lengths=np.array([one.reference_length for one in words[0]], dtype=np.int64),
    )


def _training_row(series: str, training: Training, report: ScoreReport) -> dict[str, Any]:
    facts = read_json_object(training.folder / "model" / "config.json").get("facts", {})
    intervals = rate_intervals(report, WER)
    lm = read_json_object(training.folder / "lm.json") if series != training.series else {}
    return {
        "curve": series,
        "part": training.part.size,
        "minutes": training.part.minutes,
        "utterances": len(training.part.utterances),
        "speakers": training.part.speakers,
        "seed": training.part.seed,
        "epochs": training.settings.training.epochs,
        "steps": training.steps,
        "wer": WER.percent(report.words),
        "over_utterances": _ends(intervals.utterances),
        "over_speakers": _ends(intervals.speakers),
        "words": report.words.reference_length,
        "errors": report.words.errors,
        "run": str(training.folder),
        **({"decoding": lm.get("decoding"), "dev_wer": lm.get("facts", {}).get("dev_wer")} if lm else {}),
        **{key: facts.get(key) for key in ("command", "commit", "hardware", "training_seconds")},
    }


def _ends(interval: Any) -> list[float] | None:
    return None if interval is None else [100 * interval.low, 100 * interval.high]


def _points(reports: Mapping[Training, ScoreReport]) -> list[dict[str, Any]]:
    """For each size, shortest first: the mean WER of its trainings, and intervals over utterances, speakers, seeds."""
    sizes: dict[str, list[Training]] = {}
    for one in sorted(reports, key=lambda one: one.part.minutes):
        sizes.setdefault(one.part.size, []).append(one)
    points = []
    for size, members in sizes.items():
        scores = [by_id(reports[one]) for one in members]
        speakers = known_speakers(reports[members[0]])
        points.append(
            {
                "part": size,
                "minutes": sum(one.part.minutes for one in members) / len(members),
                "speakers": members[0].part.speakers,
                "steps": round(sum(one.steps for one in members) / len(members)),
                **error_row([[one.words for one in training] for training in scores]),
                "over_speakers": None
                if speakers is None
                else _ends(
                    bootstrap_interval(
                        [one.words.errors for training in scores for one in training],
                        [one.words.reference_length for training in scores for one in training],
                        clusters=[one.speaker for training in scores for one in training],
                    )
                ),
                "test_speakers": None if speakers is None else len(set(speakers)),
                "seeds": [one.part.seed for one in members],
            }
        )
    return points


def _fit_values(fit: CurveFit | Withheld) -> dict[str, Any]:
    """WER in percent = a * minutes**-b + c."""
    if isinstance(fit, Withheld):
        return {"withheld": fit.reason}
    return {
        "a": _percent(fit.a),
        "b": [fit.b.value, fit.b.low, fit.b.high],
        "c": None if fit.c is None else _percent(fit.c),
        "parts": fit.sizes,
        "left_out": fit.left_out,
        "scatter": fit.scatter,
    }


def _percent(estimate: Estimate) -> list[float]:
    return [100 * estimate.value, 100 * estimate.low, 100 * estimate.high]


def _check(measured: Trainings) -> dict[str, Any]:
    """The longest part predicted from the others, and what was measured."""
    rates = measured.rates()
    last = list(rates)[-1]
    minutes = max(measured.minutes)
    fit = fit_curve(measured.only([size for size in rates if size != last]))
    found = fit if isinstance(fit, Withheld) else fit.predict(minutes)
    common = {"part": last, "minutes": minutes, "measured": 100 * rates[last]}
    if isinstance(found, Withheld):
        return {**common, "withheld": found.reason}
    return {**common, "predicted": _percent(found), "within": found.low <= rates[last] <= found.high}


def _predictions(fit: CurveFit | Withheld, most: float, more: Sequence[float]) -> list[dict[str, Any]]:
    """For twice the speech, and for each of ``more`` minutes beyond."""
    rows = []
    for name, minutes in _asked(most, more):
        found = fit if isinstance(fit, Withheld) else fit.predict(minutes)
        value = {"withheld": found.reason} if isinstance(found, Withheld) else {"wer": _percent(found)}
        rows.append({"with": name, "minutes": minutes, **value})
    return rows


def _asked(most: float, more: Sequence[float]) -> list[tuple[str, float]]:
    return [("twice as much speech", 2 * most), *((f"{one:g} more minutes", most + one) for one in more)]


def _drawn(fit: CurveFit | Withheld, most: float, more: Sequence[float]) -> list[list[float]]:
    """Minutes, WER and its interval along the curve, as far as there are predictions; in percent."""
    if isinstance(fit, Withheld):
        return []
    ends = [minutes for _, minutes in _asked(most, more) if isinstance(fit.predict(minutes), Estimate)]
    return [[minutes, *_percent(fit.at(minutes))] for minutes in np.geomspace(fit.least, max([fit.most, *ends]), 60)]


def _notes(found: Mapping[str, Any]) -> list[str]:
    first = found["curves"][0]["points"][0]
    notes = []
    if len(first["seeds"]) == 1:
        notes.append("with one seed the scatter of trainings is known from their distance to the curve alone")
    if first["test_speakers"] is not None and first["test_speakers"] < FEW_UNITS:
        notes.append(
            f"the test set has {first['test_speakers']} speakers: intervals over speakers are rough, and narrow"
        )
    for curve in found["curves"]:
        fit = curve["fit"]
        if fit.get("left_out"):
            parts = " and ".join(map(size_label, fit["left_out"]))
            notes.append(f"{curve['curve']}: {parts} not fitted, as WERs near 100 % follow no power law")
        if "b" in fit and fit["c"] is None:
            notes.append(
                f"{curve['curve']}: too few parts or seeds to fit a floor c; more speech may bring less than said"
            )
        if not curve["check"].get("within", True):
            notes.append(
                f"{curve['curve']}: the other parts predicted the longest one wrongly; expect the same of predictions"
            )
    return notes
