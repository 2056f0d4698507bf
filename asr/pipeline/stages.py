"""The four stages of `asr run`: their inputs, outputs and work, and the records of which are up to date.

In: a recipe and its composed configuration. Out: the files of each stage, and stages.json in the run folder. A stage is
skipped when its outputs are unchanged and were made from the same inputs.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asr.errors import DataError, UsageError
from asr.files import file_hashes, files_below, read_json_object, sha256_file, write_json
from asr.pipeline.evaluation import EvaluateOptions, EvaluationResult, evaluate
from asr.pipeline.preparation import prepare
from asr.pipeline.report import write_run_report
from asr.pipeline.training import train_composed
from asr.text.normalize import get_normalizer

if TYPE_CHECKING:
    from asr.config.typed import RunConfig
    from asr.training.records import Observer


class RunObserver(Protocol):
    """Receives the events of a run; `asr run` prints them."""

    def stage(self, name: str, up_to_date: bool) -> None:
        """A stage begins, or is skipped because it is up to date."""

    def prepared(self, summary: str) -> None:
        """The corpus is prepared."""

    def training(self) -> "AbstractContextManager[Observer]":
        """The observer of the training, which is closed at its end."""

    def transcribing(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """A callback for the utterances transcribed and their total, which is closed at the end."""

    def evaluated(self, result: EvaluationResult) -> None:
        """A test set is evaluated."""

    def reported(self, page: Path) -> None:
        """The run's page is written."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the hash of its inputs, the files it writes, and its work."""

    name: str
    inputs: Callable[[], str]
    outputs: Callable[[], list[Path]]
    work: Callable[[], None]


class StageRecords:
    """The inputs and outputs of each stage when it was last run: ``stages.json`` in the run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, stage: Stage, on_stage: Callable[[str, bool], None]) -> None:
        """Run the stage unless it is up to date; ``on_stage(name, up_to_date)`` is called before."""
        outputs = file_hashes(stage.outputs())
        made = {"inputs": stage.inputs(), "outputs": outputs} if None not in outputs.values() else None
        up_to_date = made is not None and read_json_object(self.path).get(stage.name) == made
        on_stage(stage.name, up_to_date)
        if up_to_date:
            return
        stage.work()
        if int(os.environ.get("RANK", "0")) > 0:
            return  # the main process writes the records
        records = read_json_object(self.path)
        records[stage.name] = {"inputs": stage.inputs(), "outputs": file_hashes(stage.outputs())}
        write_json(self.path, records)


def run_recipe(
    recipe: Path, composed: Mapping[str, Any], config: "RunConfig", command: Sequence[str], observer: RunObserver
) -> None:
    """Run the stages that ``config.stages`` names, in their order. ``command``: the arguments after ``asr``."""
    _check_processes(config)
    records = StageRecords(config.run_dir / "stages.json")
    for stage in recipe_stages(recipe, composed, config, command, observer):
        if stage.name in config.stages:
            records.run(stage, observer.stage)


def _check_processes(config: "RunConfig") -> None:
    """Raise UsageError under torchrun for stages that each process would run in full."""
    alone = [name for name in config.stages if name != "train"]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and alone:
        raise UsageError(
            f"asr run under torchrun: {', '.join(alone)} need one process. Run them without torchrun, and only the"
            " training with it: torchrun ... -m asr run RECIPE.yaml run_dir=FOLDER stages=[train]"
        )


def recipe_stages(
    recipe: Path, composed: Mapping[str, Any], config: "RunConfig", command: Sequence[str], observer: RunObserver
) -> list[Stage]:
    """The stages of `asr run` in their order."""
    run_dir = config.run_dir

    def train() -> None:
        with observer.training() as training:
            train_composed(composed, command, training)

    return [
        Stage(
            "prepare",
            lambda: prepare_inputs(recipe, config),
            lambda: prepare_outputs(config),
            lambda: observer.prepared(prepare(recipe, config)),
        ),
        Stage(
            "train",
            lambda: train_inputs(config),
            lambda: [run_dir / "model" / "config.json", run_dir / "metrics.jsonl"],
            train,
        ),
        Stage(
            "evaluate",
            lambda: evaluate_inputs(config),
            lambda: evaluate_outputs(config),
            lambda: _evaluate_tests(config, observer),
        ),
        Stage(
            "report",
            lambda: report_inputs(config),
            lambda: [run_dir / "report.md"],
            lambda: observer.reported(write_run_report(recipe, config, _summaries(config))),
        ),
    ]


def prepare_inputs(recipe: Path, config: "RunConfig") -> str:
    """The recipe's Python files, the options (of replacements the file, too), and the corpus's files by name, size and
    time of change.
    """
    files = sorted(recipe.parent.glob("*.py"))
    table = config.prepare.get("replacements")
    if isinstance(table, str) and Path(table).is_file():
        files.append(Path(table))
    code = [(path.name, sha256_file(path)) for path in files]
    return digest([code, config.prepare, config.corpus, _listing(Path(config.corpus)) if config.corpus else None])


def prepare_outputs(config: "RunConfig") -> list[Path]:
    """The manifests: the three that every recipe writes, and further test sets."""
    data = _data(config)
    return [*(data / f"{name}.jsonl" for name in ("train", "dev", "test")), *sorted(data.glob("test-*.jsonl"))]


def train_inputs(config: "RunConfig") -> str:
    """Every setting of the training, both manifests, and the file of units."""
    units = config.train.tokenizer.units
    files = [_data(config) / f"{split}.jsonl" for split in ("train", "dev")]
    return digest([asdict(config.train), _hashes([*files, Path(units)] if isinstance(units, str) else files)])


def evaluate_inputs(config: "RunConfig") -> str:
    """The model, the test manifests, the scoring and decoding settings, and the files that decoding reads."""
    decoding = config.decoding
    decoding_files = [Path(one) for one in (decoding.language_model, decoding.lexicon, decoding.pronunciations) if one]
    return digest(
        [
            asdict(config.scoring),
            asdict(config.decoding),
            _hashes([config.run_dir / "model" / "config.json", *_tests(config), *decoding_files]),
        ]
    )


def evaluate_outputs(config: "RunConfig") -> list[Path]:
    """The four files of each test set's report."""
    names = ("summary.json", "results.jsonl", "breakdown.json", "report.md")
    return [config.run_dir / "evaluation" / path.stem / name for path in _tests(config) for name in names]


def report_inputs(config: "RunConfig") -> str:
    """The model's facts, the training's metrics and the summaries."""
    run_dir = config.run_dir
    return digest(_hashes([run_dir / "model" / "config.json", run_dir / "metrics.jsonl", *_summaries(config)]))


def _evaluate_tests(config: "RunConfig", observer: RunObserver) -> None:
    """Transcribe and score each test set: ``test.jsonl`` and every ``test-*.jsonl`` next to it."""
    tests = _tests(config)
    if not tests:
        raise DataError(f"{_data(config)}: no test.jsonl to evaluate on; prepare it, or leave evaluate out of stages")
    trained = _data(config) / "train.jsonl"
    for path in tests:
        options = EvaluateOptions(
            model=config.run_dir / "model",
            manifest=path,
            out=config.run_dir / "evaluation" / path.stem,
            normalizer=get_normalizer(config.scoring.normalizer),
            decoding=asdict(config.decoding),
            worst=config.scoring.worst,
            training_texts=(trained,) if trained.is_file() else (),
            device=config.train.training.device,
        )
        with observer.transcribing() as on_progress:
            result = evaluate(options, on_progress)
        observer.evaluated(result)


def _data(config: "RunConfig") -> Path:
    return Path(config.train.data.dir)


def _summaries(config: "RunConfig") -> list[Path]:
    return [path for path in evaluate_outputs(config) if path.name == "summary.json"]


def _tests(config: "RunConfig") -> list[Path]:
    folder = _data(config)
    return [path for path in [folder / "test.jsonl", *sorted(folder.glob("test-*.jsonl"))] if path.is_file()]


def _hashes(paths: list[Path]) -> list[tuple[str, str | None]]:
    return list(file_hashes(paths).items())


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    """Every file below ``folder`` (or the file itself) with its size and time of change.

    Stats only, so a large corpus is quick. Linked folders are looked into, once each.
    """
    paths = files_below(folder) if folder.is_dir() else [folder]
    found = []
    for path in paths:
        if path.is_file():
            stat = path.stat()
            found.append((str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns))
    return found


def digest(value: Any) -> str:
    """The SHA-256 of a plain value: of what a stage is made from."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
