"""The experiments of ``asr probe`` that run in one process.

In: options of each. Out: an ``ExperimentResult``: figures, the functions that plot them, and a table of the main ones.
``run_experiment`` writes the figures with the facts that are needed to repeat them.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asr.devices import choose_device
from asr.errors import UsageError
from asr.files import check_output_folder
from asr.probes.changed_models import (
    FIXED,
    ModelEvaluator,
    draw_context,
    draw_gates,
    measure_context,
    measure_gates,
)
from asr.probes.cost import STREAM, CostOptions, draw_cost, draw_stream, make_models, measure_cost
from asr.probes.gradients import (
    GradientOptions,
    draw_gradients,
    draw_speech_gradients,
    measure_gradients,
    measure_speech_gradients,
)
from asr.probes.members import check_members
from asr.probes.recall import RecallOptions, draw_recall, measure_recall
from asr.probes.record import Record
from asr.provenance import commit
from asr.terminal import Progress

Draw = Callable[[Any, Path], None]
CONTEXT_FRAMES = (12, 24, 48, 96, 192)
WER = ("WER %", "95 % interval", "each model")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """``settings`` and ``results`` for NAME.json; ``plots`` by file name; the table's ``header`` and ``rows``."""

    name: str
    settings: Mapping[str, Any]
    results: Mapping[str, Any]
    plots: Mapping[str, Draw]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def draw(self, folder: Path, extension: str) -> Iterator[Path]:
        """Draw the plots into ``folder``; yields each file as it is written."""
        for name, draw in self.plots.items():
            path = folder / f"{name}.{extension}"
            draw(self.results, path)
            yield path


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """Trained models of one kind, and the recordings to evaluate them on: all, or so many ``utterances``."""

    models: Sequence[Path]
    manifest: Path
    utterances: int | None = None
    device: str = "auto"

    def load(self) -> list[ModelEvaluator]:
        """An evaluator for each model."""
        return [ModelEvaluator.load(one, self.manifest, self.device, self.utterances) for one in self.models]

    def settings(self, **more: Any) -> dict[str, Any]:
        """For the record of the experiment."""
        models = list(map(str, self.models))
        return {"models": models, "manifest": str(self.manifest), "utterances": self.utterances, **more}


def run_experiment(
    experiment: str, measure: Callable[[], ExperimentResult], *, command: str, out: Path, device: str
) -> tuple[ExperimentResult, Path]:
    """Measure, and write the figures; returns the result and its file, ``OUT/NAME.json``. Raises an AsrError."""
    check_output_folder(out)
    record = Record(experiment, command, str(choose_device(device)))
    result = measure()
    path = out / f"{result.name}.json"
    record.write(path, result.settings, result.results)
    return result, path


def gradients(options: GradientOptions) -> ExperimentResult:
    """Gradients against distance at the random start."""
    check_members(options.members)
    with Progress(len(options.members) * len(options.seeds), "gradients", "networks") as progress:
        found = measure_gradients(options, progress.update)
    rows = [
        [row["label"], _share(row["size"][min(10, options.distance)]), _share(row["size"][-1])]
        + [_mean(row[key], 0) for key in ("reach_0.1", "reach_0.001")]
        for row in found["rows"]
    ]
    return ExperimentResult(
        name="gradients",
        settings=dataclasses.asdict(options),
        results=found,
        plots={"gradients": draw_gradients},
        header=["member", "at 10", f"at {options.distance}", "frames to 1/10", "to 1/1000"],
        rows=rows,
    )


def speech_gradients(options: EvaluationOptions, distance: int, seed: int) -> ExperimentResult:
    """Gradients against distance in trained models, on recordings."""
    evaluators = dict(zip(_names(options.models), options.load(), strict=True))
    total = sum(len(one.utterances) for one in evaluators.values())
    with Progress(total, "gradients", "utterances") as progress:
        found = measure_speech_gradients(evaluators, distance, seed, progress.update)
    rows = []
    for row in found["rows"]:
        sizes = dict(zip(row["distance"], row["size"], strict=True))
        rows.append([row["label"], row["encoder"], *(_share(sizes[k]) if k in sizes else "–" for k in (1, 5, 10, 20))])
    return ExperimentResult(
        name="gradients-speech",
        settings=options.settings(distance=distance),
        results=found,
        plots={"gradients-speech": draw_speech_gradients},
        header=["model", "encoder", "at 1", "at 5", "at 10", "at 20"],
        rows=rows,
    )


def recall(options: RecallOptions, store: Path) -> ExperimentResult:
    """Accuracy of recall against distance; the trainings are kept in ``store``."""
    check_members(options.members)
    total = len(options.members) * len(options.distances) * len(options.seeds)
    with Progress(total, "recall", "trainings") as progress:
        found = measure_recall(options, store, lambda note: progress.update(1, note), commit())
    rows = [
        [row["label"], str(row["distance"]), f"{row['accuracy']:.1%}", _ends(row, 100, 1), str(row["parameters"])]
        for row in found["rows"]
    ]
    return ExperimentResult(
        name="recall",
        settings=dataclasses.asdict(options),
        results=found,
        plots={"recall": draw_recall},
        header=["member", "frames", "correct", "95 % interval", "weights"],
        rows=rows,
    )


def context(options: EvaluationOptions, frames: Sequence[int]) -> ExperimentResult:
    """WER against the length of the pieces that the models get."""
    evaluators = options.load()
    with Progress(len(frames) + 1, "context", "lengths") as progress:
        found = measure_context(evaluators, frames, progress.update)
    rows = [
        [row["label"], "–" if row["seconds"] is None else f"{row['seconds']:.2f}", *_wer(row)] for row in found["rows"]
    ]
    return ExperimentResult(
        name="context",
        settings=options.settings(frames=list(frames)),
        results=found,
        plots={"context": draw_context},
        header=["frames", "seconds", *WER],
        rows=rows,
    )


def gates(options: EvaluationOptions) -> ExperimentResult:
    """WER with one gate fixed at a value."""
    evaluators = options.load()
    with Progress(len(FIXED) + 1, "gates", "models") as progress:
        found = measure_gates(evaluators, progress.update)
    return ExperimentResult(
        name="gates",
        settings=options.settings(),
        results=found,
        plots={"gates": draw_gates},
        header=["gates", *WER, "S", "D", "I"],
        rows=[
            [row["label"], *_wer(row), str(row["substitutions"]), str(row["deletions"]), str(row["insertions"])]
            for row in found["rows"]
        ],
    )


def cost(options: CostOptions, models: Sequence[str] = (), hidden_size: int | None = None) -> ExperimentResult:
    """Seconds and memory against length for config groups of conf/model, by default all; with one ``hidden_size``."""
    options = dataclasses.replace(options, device=str(choose_device(options.device)))
    changes = {"hidden_size": hidden_size} if hidden_size else {}
    configs = {name: values | changes for name, values in model_configs(models).items()}
    made = make_models(configs, options)
    with Progress(len(options.batches) * len(options.lengths_s), "time", "shapes") as progress:
        rows = measure_cost(made, options, lambda _: progress.update())
    plots: dict[str, Draw] = {"time": partial(_draw_rows, draw_cost)}
    if any(row["mode"] == STREAM for row in rows):
        plots["time-stream"] = partial(_draw_rows, draw_stream)
    return ExperimentResult(
        name="time",
        settings=dataclasses.asdict(options) | changes,
        results={"seeds": [options.seed], "rows": rows},
        plots=plots,
        header=["model", "mode", "batch", "length s", "seconds", "peak MB"],
        rows=[
            [row["model"], row["mode"], str(row["batch"]), *_measured(row["length_s"], row["seconds"], row["peak_mb"])]
            for row in rows
        ],
    )


def _measured(length_s: float, seconds: float, peak_mb: float) -> list[str]:
    return [f"{length_s:g}", f"{seconds:.4f}", f"{peak_mb:.1f}"]


def _draw_rows(draw: Draw, found: Mapping[str, Any], path: Path) -> None:
    draw(found["rows"], path)


def model_configs(chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The chosen config groups of conf/model, by default all, with their values. Raises UsageError."""
    from asr.config.compose import run_composed
    from asr.config.recipes import conf_dir
    from asr.config.typed import plain_config
    from asr.schema import nearest

    known = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml"))
    for name in chosen:
        if name not in known:
            raise UsageError(f"there is no {name!r} in conf/model{nearest(name, known)}")
    base = conf_dir() / "base.yaml"
    composed = {name: run_composed(base, [f"model={name}", "run_dir=."], plain_config)[0] for name in chosen or known}
    return {name: values["model"] for name, values in composed.items()}


def _names(models: Sequence[Path]) -> dict[str, Path]:
    """``runs/fsdd/model`` is called fsdd; if two names are the same, all are called by their whole paths."""
    short = {(path.parent if path.name == "model" else path).resolve().name: path for path in models}
    return short if len(short) == len(models) else {str(path): path for path in models}


def _share(size: float) -> str:
    return f"{size:.2g}" if size > 1e-290 else "0"


def _mean(row: Mapping[str, Any], places: int) -> str:
    return f"{row['mean']:.{places}f}" if row["low"] is None else f"{row['mean']:.{places}f} {_ends(row, 1, places)}"


def _wer(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['wer']:.2f}", _ends(row), ", ".join(f"{one:.2f}" for one in row["wers"])]


def _ends(row: Mapping[str, Any], factor: float = 1.0, places: int = 2) -> str:
    if row["low"] is None:
        return "–"
    return f"[{factor * row['low']:.{places}f}, {factor * row['high']:.{places}f}]"
