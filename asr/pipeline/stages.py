"""The stages of `asr run`: their inputs, outputs and work, and the records of which are up to date.

In: a recipe and its composed configuration. Out: the files of each stage, and stages.json in the run folder. A stage is
skipped when its outputs are unchanged and were made from the same inputs.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asr.audio.shards import shard_place
from asr.cores import rank_and_count
from asr.data.manifest import read_manifest
from asr.errors import DataError, UsageError
from asr.files import file_hashes, files_below, read_json_object, sha256_file, write_json
from asr.pipeline.comparison import compare_with_earlier, compared_sets, comparison_files, earlier_model
from asr.pipeline.evaluation import EvaluateOptions, EvaluationResult, evaluate
from asr.pipeline.preparation import prepare
from asr.pipeline.previous import check_held_out
from asr.pipeline.report import write_run_report
from asr.pipeline.self_training import FOLDER, ROUNDS, base_model, self_train
from asr.pipeline.training import train_composed
from asr.pipeline.untranscribed import check_untranscribed
from asr.text.normalize import get_normalizer

if TYPE_CHECKING:
    from asr.config.typed import RunConfig
    from asr.training.records import Observer


class RunObserver(Protocol):
    """Receives the events of a run; `asr run` prints them."""

    def stage(self, name: str, up_to_date: bool) -> None:
        """A stage begins, or is skipped because it is up to date."""

    def message(self, text: str) -> None:
        """A line for the user."""

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
    """One stage: the hash of its inputs, the files it writes, and its work.

    ``renews``: stages whose outputs it changes, and which stay up to date.
    """

    name: str
    inputs: Callable[[], str]
    outputs: Callable[[], list[Path]]
    work: Callable[[], None]
    renews: tuple["Stage", ...] = ()


class StageRecords:
    """The inputs and outputs of each stage when it was last run: ``stages.json`` in the run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, stage: Stage, on_stage: Callable[[str, bool], None]) -> None:
        """Run the stage unless it is up to date; ``on_stage(name, up_to_date)`` is called before."""
        inputs, outputs = stage.inputs(), file_hashes(stage.outputs())
        made = {"inputs": inputs, "outputs": outputs} if None not in outputs.values() else None
        up_to_date = made is not None and read_json_object(self.path).get(stage.name) == made
        on_stage(stage.name, up_to_date)
        if up_to_date:
            return
        stage.work()
        if rank_and_count()[0] > 0:
            return  # the main process writes the records
        records = read_json_object(self.path)
        # the inputs of before the work: what changes meanwhile is not in its outputs
        records[stage.name] = {"inputs": inputs, "outputs": file_hashes(stage.outputs())}
        for one in stage.renews:
            if records.get(one.name, {}).get("inputs") == one.inputs():
                records[one.name]["outputs"] = file_hashes(one.outputs())
        write_json(self.path, records)


def run_recipe(
    recipe: Path, composed: Mapping[str, Any], config: "RunConfig", command: Sequence[str], observer: RunObserver
) -> None:
    """Run the stages that ``config.stages`` names, in their order. ``command``: the arguments after ``asr``."""
    _check_processes(config)
    if config.untranscribed and "self-train" in config.stages:
        check_untranscribed(Path(config.untranscribed))  # before anything is trained
    records = StageRecords(config.run_dir / "stages.json")
    for stage in recipe_stages(recipe, composed, config, command, observer):
        if stage.name in config.stages:
            records.run(stage, observer.stage)


def _check_processes(config: "RunConfig") -> None:
    """Raise UsageError under torchrun for stages that each process would run in full."""
    alone = [name for name in config.stages if name != "train"]
    if rank_and_count()[1] > 1 and alone:
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
        if config.previous is not None:
            check_held_out(Path(config.previous), _data(config))
        with observer.training() as training:
            train_composed(composed, command, training)

    trained = Stage(
        "train",
        lambda: train_inputs(config),
        lambda: [run_dir / "model" / "config.json", run_dir / "metrics.jsonl"],
        train,
    )
    improved = Stage(
        "self-train",
        lambda: self_train_inputs(config, config.self_training.rounds),
        lambda: [run_dir / "model" / "config.json", run_dir / FOLDER / ROUNDS],
        lambda: self_train(config, command, self_train_inputs(config), observer),
        renews=(trained,),
    )
    return [
        Stage(
            "prepare",
            lambda: prepare_inputs(recipe, config),
            lambda: prepare_outputs(config),
            lambda: observer.prepared(prepare(recipe, config)),
        ),
        trained,
        *([improved] if config.untranscribed else []),
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
    made_from = [code, config.prepare, config.corpus, _listing(Path(config.corpus)) if config.corpus else None]
    return digest([*made_from, config.previous] if config.previous else made_from)


def prepare_outputs(config: "RunConfig") -> list[Path]:
    """The manifests: the three that every recipe writes, and further test sets."""
    data = _data(config)
    return [*(data / f"{name}.jsonl" for name in ("train", "dev", "test")), *sorted(data.glob("test-*.jsonl"))]


def train_inputs(config: "RunConfig") -> str:
    """Every setting of the training, both manifests, and the file of units."""
    units = config.train.tokenizer.units
    files = [_data(config) / f"{split}.jsonl" for split in ("train", "dev")]
    return digest([asdict(config.train), _hashes([*files, Path(units)] if isinstance(units, str) else files)])


def self_train_inputs(config: "RunConfig", rounds: int = 0) -> str:
    """The model that the training made, all manifests, the recordings' names, sizes and times, and the settings."""
    source = Path(str(config.untranscribed))
    options = {**asdict(config.self_training), "rounds": rounds}
    manifests = [_data(config) / "train.jsonl", _data(config) / "dev.jsonl", *_tests(config)]
    hashes = _hashes([base_model(config.run_dir) / "config.json", *manifests, *_decoding_files(config)])
    settings = [options, asdict(config.decoding), config.scoring.normalizer]
    return digest([settings, [digest_of for _, digest_of in hashes], _listing(source) if source.exists() else None])


def evaluate_inputs(config: "RunConfig") -> str:
    """The model, the test sets with their recordings, the scoring and decoding settings, the files of the latter."""
    tests, earlier = _tests(config), earlier_model(config)
    files = [config.run_dir / "model" / "config.json", *tests, *_decoding_files(config)]
    more = [earlier / "config.json", *compared_sets(config, tests)] if earlier else []
    recordings = _recordings({*tests, *compared_sets(config, tests)})
    return digest([asdict(config.scoring), asdict(config.decoding), _hashes([*files, *more]), recordings])


def evaluate_outputs(config: "RunConfig") -> list[Path]:
    """The four files of each test set's report, and what it shows against an earlier model."""
    names = ("summary.json", "results.jsonl", "breakdown.json", "report.md")
    reports = [config.run_dir / "evaluation" / path.stem / name for path in _tests(config) for name in names]
    return [*reports, *comparison_files(config, _tests(config))]


def report_inputs(config: "RunConfig") -> str:
    """The model's facts, the training's metrics, the rounds of self-training and the summaries."""
    run_dir = config.run_dir
    files = [run_dir / "model" / "config.json", run_dir / "metrics.jsonl", run_dir / FOLDER / ROUNDS]
    return digest(_hashes([*files, *_summaries(config), *comparison_files(config, _tests(config))]))


def _evaluate_tests(config: "RunConfig", observer: RunObserver) -> None:
    """Transcribe and score each test set: ``test.jsonl`` and every ``test-*.jsonl`` next to it."""
    tests = _tests(config)
    if not tests:
        raise DataError(f"{_data(config)}: no test.jsonl to evaluate on; prepare it, or leave evaluate out of stages")
    trained = _data(config) / "train.jsonl"

    def evaluated(model: Path, manifest: Path, out: Path) -> EvaluationResult:
        options = EvaluateOptions(
            model=model,
            manifest=manifest,
            out=out,
            normalizer=get_normalizer(config.scoring.normalizer),
            decoding=asdict(config.decoding),
            worst=config.scoring.worst,
            training_texts=(trained,) if trained.is_file() else (),
            device=config.train.training.device,
        )
        with observer.transcribing() as on_progress:
            return evaluate(options, on_progress)

    for path in tests:
        observer.evaluated(evaluated(config.run_dir / "model", path, config.run_dir / "evaluation" / path.stem))
    for line in compare_with_earlier(config, tests, evaluated):
        observer.message(line)


def _decoding_files(config: "RunConfig") -> list[Path]:
    decoding = config.decoding
    return [Path(one) for one in (decoding.language_model, decoding.lexicon, decoding.pronunciations) if one]


def _data(config: "RunConfig") -> Path:
    return Path(config.train.data.dir)


def _summaries(config: "RunConfig") -> list[Path]:
    return [path for path in evaluate_outputs(config) if path.name == "summary.json"]


def _tests(config: "RunConfig") -> list[Path]:
    folder = _data(config)
    return [path for path in [folder / "test.jsonl", *sorted(folder.glob("test-*.jsonl"))] if path.is_file()]


def _hashes(paths: list[Path]) -> list[tuple[str, str | None]]:
    return list(file_hashes(paths).items())


def _recordings(manifests: Iterable[Path]) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """Their recordings with size and time of change; what is in a shard is known by its name, which has its CRC."""
    names = {one.audio for path in manifests for one in read_manifest(path, absent_audio=True)}
    return [(name, _listing(Path(name))) for name in sorted(names) if shard_place(name) is None]


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
