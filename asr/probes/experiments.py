"""The experiments of ``asr probe`` that one process does. In: parsed words. Out: figures, plots, a table on stdout."""

import argparse
import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from asr.errors import UsageError
from asr.files import check_output_folder
from asr.terminal import Progress, table

if TYPE_CHECKING:
    from asr.probes.trained import Listener


T = TypeVar("T")
Draw = Callable[[Any, Path], None]
CONTEXT_FRAMES = (12, 24, 48, 96, 192)
WER = ("WER %", "95 % interval", "each model")


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What an experiment gave: its settings, results, plots by name, and rows to print under a header."""

    settings: dict[str, Any]
    results: dict[str, Any]
    plots: dict[str, Draw]
    header: list[str]
    rows: list[list[str]]
    name: str = ""


def run(name: str, options: argparse.Namespace, words: list[str]) -> int:
    """Measure, write, draw, say; returns 0 or raises an AsrError."""
    import torch

    from asr.devices import choose_device
    from asr.probes.record import Record
    from asr.provenance import commit

    torch.set_num_threads(options.threads)
    work = {"gradients": _gradients, "recall": _recall, "context": _context, "time": _time, "gates": _gates}[name]
    check_output_folder(options.out)
    device = str(choose_device(getattr(options, "device", "cpu")))
    on_cpu = name == "gradients" and not options.models  # random networks are computed there, whatever was asked for
    record = Record(name, "asr " + shlex.join(words), commit(), {}, "cpu" if on_cpu else device)
    found = work(options)
    record.facts["settings"] = found.settings
    name = found.name or name
    figures = options.out / f"{name}.json"
    record.write(figures, found.results)
    print(table(found.rows, found.header))
    print(f"figures: {figures}")
    for plot, draw in found.plots.items():
        path = options.out / f"{plot}.{options.format}"
        draw(found.results, path)
        print(f"plot: {path}")
    return 0


def _gradients(options: argparse.Namespace) -> Found:
    from asr.probes.gradients import GradientSettings, draw_gradients, measure_gradients
    from asr.probes.members import check_members

    if options.models:
        return _speech_gradients(options)
    given = {"members": options.members, "seeds": options.seeds}
    settings = _settings(GradientSettings, given)
    settings.hidden_size, settings.num_layers, settings.distance = (
        options.hidden_size,
        options.layers,
        options.distance,
    )
    settings.input_scale = options.input_scale
    check_members(settings.members)
    with Progress(len(settings.members) * len(settings.seeds), "gradients", "networks") as progress:
        found = measure_gradients(settings, progress.update)
    rows = [
        [row["label"], _share(row["size"][min(10, settings.distance)]), _share(row["size"][-1])]
        + [_mean(row[key], 0) for key in ("reach_0.1", "reach_0.001")]
        for row in found["rows"]
    ]
    header = ["member", "at 10", f"at {settings.distance}", "frames to 1/10", "to 1/1000"]
    return Found(dataclasses.asdict(settings), found, {"gradients": draw_gradients}, header, rows)


def _speech_gradients(options: argparse.Namespace) -> Found:
    from asr.probes.gradients import draw_speech_gradients, measure_speech_gradients

    if options.manifest is None:
        raise UsageError("--model needs --manifest: the recordings that the models are to hear")
    listeners = dict(zip(_names(options.models), _listeners(options), strict=True))
    seed = (options.seeds or [1])[0]
    total = sum(len(one.utterances) for one in listeners.values())
    with Progress(total, "gradients", "utterances") as progress:
        found = measure_speech_gradients(listeners, options.distance, seed, progress.update)
    rows = []
    for row in found["rows"]:
        sizes = dict(zip(row["distance"], row["size"], strict=True))
        rows.append([row["label"], row["encoder"], *(_share(sizes[k]) if k in sizes else "–" for k in (1, 5, 10, 20))])
    settings = _heard(options) | {"distance": options.distance}
    header = ["model", "encoder", "at 1", "at 5", "at 10", "at 20"]
    plots: dict[str, Draw] = {"gradients-speech": draw_speech_gradients}
    return Found(settings, found, plots, header, rows, "gradients-speech")


def _recall(options: argparse.Namespace) -> Found:
    from asr.probes.members import check_members
    from asr.probes.recall import RecallSettings, draw_recall, measure_recall
    from asr.provenance import commit

    given = {key: getattr(options, key) for key in ("members", "seeds", "distances")}
    settings = _settings(RecallSettings, given)
    settings.steps, settings.parameters = options.steps, options.parameters
    check_members(settings.members)
    total = len(settings.members) * len(settings.distances) * len(settings.seeds)
    with Progress(total, "recall", "trainings") as progress:
        ledger = options.out / "recall-trainings.json"
        found = measure_recall(settings, ledger, lambda note: progress.update(1, note), commit())
    rows = [
        [row["label"], row["distance"], f"{row['accuracy']:.1%}", _ends(row, 100, 1), row["parameters"]]
        for row in found["rows"]
    ]
    header = ["member", "frames", "right", "95 % interval", "weights"]
    return Found(dataclasses.asdict(settings), found, {"recall": draw_recall}, header, rows)


def _context(options: argparse.Namespace) -> Found:
    from asr.probes.trained import draw_context, measure_context

    listeners = _listeners(options)
    frames = options.frames or list(CONTEXT_FRAMES)
    with Progress(len(frames) + 1, "context", "lengths") as progress:
        found = measure_context(listeners, frames, progress.update)
    rows = [
        [row["label"], "–" if row["seconds"] is None else f"{row['seconds']:.2f}", *_wer(row)] for row in found["rows"]
    ]
    header = ["frames", "seconds", *WER]
    return Found(_heard(options) | {"frames": frames}, found, {"context": draw_context}, header, rows)


def _gates(options: argparse.Namespace) -> Found:
    from asr.probes.trained import FIXED, draw_gates, measure_gates

    listeners = _listeners(options)
    with Progress(len(FIXED) + 1, "gates", "models") as progress:
        found = measure_gates(listeners, progress.update)
    rows = [
        [row["label"], *_wer(row), row["substitutions"], row["deletions"], row["insertions"]] for row in found["rows"]
    ]
    header = ["gates", *WER, "S", "D", "I"]
    return Found(_heard(options), found, {"gates": draw_gates}, header, rows)


def _time(options: argparse.Namespace) -> Found:
    from asr.devices import choose_device
    from asr.probes.cost import STREAM, CostSettings, draw_cost, draw_stream, make_models, measure_cost

    given = {"lengths_s": options.lengths_s, "batches": options.batches}
    settings = _settings(CostSettings, given)
    settings.rounds, settings.device = options.rounds, str(choose_device(options.device))
    changes = {"hidden_size": options.hidden_size} if options.hidden_size else {}
    models = make_models({word: values | changes for word, values in model_words(options.models).items()}, settings)
    with Progress(len(settings.batches) * len(settings.lengths_s), "time", "shapes") as progress:
        rows = measure_cost(models, settings, lambda _: progress.update())
    plots: dict[str, Draw] = {"time": lambda found, path: draw_cost(found["rows"], path)}
    if any(row["mode"] == STREAM for row in rows):
        plots["time-stream"] = lambda found, path: draw_stream(found["rows"], path)
    shown = [
        [
            row["model"],
            row["mode"],
            row["batch"],
            f"{row['length_s']:g}",
            f"{row['seconds']:.4f}",
            f"{row['peak_mb']:.1f}",
        ]
        for row in rows
    ]
    header = ["model", "mode", "batch", "length s", "seconds", "peak MB"]
    return Found(dataclasses.asdict(settings) | changes, {"seeds": [settings.seed], "rows": rows}, plots, header, shown)


def model_words(chosen: list[str] | None) -> dict[str, dict[str, Any]]:
    """The words of conf/model that are asked for, by default all, with what each says. Raises UsageError."""
    import yaml

    from asr.config.recipes import conf_dir
    from asr.schema import nearest

    words = {path.stem: path for path in sorted((conf_dir() / "model").glob("*.yaml"))}
    for word in chosen or ():
        if word not in words:
            raise UsageError(f"there is no {word!r} in conf/model{nearest(word, list(words))}")
    return {word: yaml.safe_load(words[word].read_text(encoding="utf-8")) for word in chosen or words}


def _settings(kind: type[T], given: dict[str, Any]) -> T:
    """Settings with the values that were given in place of their defaults."""
    return kind(**{key: value for key, value in given.items() if value is not None})


def _heard(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "models": list(map(str, options.models)),
        "manifest": str(options.manifest),
        "utterances": options.utterances,
    }


def _listeners(options: argparse.Namespace) -> "list[Listener]":
    from asr.probes.trained import Listener

    return [Listener.of(one, options.manifest, options.device, options.utterances) for one in options.models]


def _names(models: list[Path]) -> dict[str, Path]:
    """``runs/fsdd/model`` is called fsdd; where two are called alike, by their whole paths."""
    short = {(path.parent if path.name == "model" else path).resolve().name: path for path in models}
    return short if len(short) == len(models) else {str(path): path for path in models}


def _share(size: float) -> str:
    return f"{size:.2g}" if size > 1e-290 else "0"


def _mean(row: dict[str, Any], places: int) -> str:
    return f"{row['mean']:.{places}f}" if row["low"] is None else f"{row['mean']:.{places}f} {_ends(row, 1, places)}"


def _wer(row: dict[str, Any]) -> list[str]:
    return [f"{row['wer']:.2f}", _ends(row), ", ".join(f"{one:.2f}" for one in row["wers"])]


def _ends(row: dict[str, Any], factor: float = 1.0, places: int = 2) -> str:
    if row["low"] is None:
        return "–"
    return f"[{factor * row['low']:.{places}f}, {factor * row['high']:.{places}f}]"
