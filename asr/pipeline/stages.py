"""The work of the four stages of ``asr run``, and what each is made from.

Stages that are done once: which was made from what. In: stages. Out: their work, and ``stages.json``.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import ConfigError, DataError, ModelError
from asr.files import file_hashes, files_below, read_json_object, sha256_file, write_json, write_text
from asr.terminal import styled

if TYPE_CHECKING:
    from asr.config import RunConfig


def prepare_inputs(recipe: Path, config: "RunConfig") -> str:
    """The recipe's Python files, the options, and the corpus's files by name, size and time of change."""
    code = [(path.name, sha256_file(path)) for path in sorted(recipe.parent.glob("*.py"))]
    return _digest([code, config.prepare, config.corpus, _listing(Path(config.corpus)) if config.corpus else None])


def prepare(recipe: Path, config: "RunConfig") -> None:
    """Manifests from the corpus, by the recipe's prepare.py.

    Where a training that has begun rests on the manifests, they are as they were after whatever fails or is stopped,
    and ConfigError is raised where they would become others: the training could not go on, and its data would be gone.
    """
    if not (config.run_dir / "checkpoints" / "last.ckpt").exists():
        _prepare(recipe, config)
        return
    with unchanged_manifests(_data(config)) as changed:
        _prepare(recipe, config)
        if changed():
            raise ConfigError(
                f"{config.run_dir}: its training began on other data than the corpus and the options of prepare now"
                f" give. The manifests in {_data(config)} are as they were. To train on the data of today give another"
                f" run_dir (and training.init_from={config.run_dir / 'model'} to begin with this run's weights); to go"
                " on with the old, leave prepare out: stages=[train,evaluate,report]"
            )


@contextlib.contextmanager
def unchanged_manifests(data: Path) -> Iterator[Callable[[], bool]]:
    """Inside, ``data`` may be prepared anew; the call says whether what is trained on has become another.

    Whatever is raised inside, the manifests are then as they were.
    """
    before = _manifests(data)

    def changed() -> bool:
        now = _manifests(data)
        trained_on = [data / f"{split}.jsonl" for split in ("train", "dev")]
        return any(path in before and before[path] != now.get(path) for path in trained_on)

    try:
        yield changed
    except BaseException:
        _put_back(before, data)
        raise


def _manifests(data: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in data.glob("*.jsonl")}


def _put_back(before: dict[Path, bytes], data: Path) -> None:
    """Make the manifests those of ``before``: what is new goes, too."""
    now = _manifests(data)
    for path in now.keys() - before.keys():
        path.unlink()
    for path, content in before.items():
        if now.get(path) != content:
            write_text(path, content.decode())


def _prepare(recipe: Path, config: "RunConfig") -> None:
    from asr.data.prepare import CorpusMissing, run_prepare

    corpus = Path(config.corpus) if config.corpus else None
    try:
        print(run_prepare(recipe.parent, corpus, Path(config.train.data.dir), config.prepare))
    except CorpusMissing:
        raise ConfigError(f"{recipe.parent} needs a corpus: give its folder with corpus=FOLDER") from None


def train_inputs(config: "RunConfig") -> str:
    """Every setting of the training, and both manifests."""
    return _digest([_settings(config), _hashes([_data(config) / f"{split}.jsonl" for split in ("train", "dev")])])


def train(composed: Any, config: "RunConfig", command: list[str]) -> None:
    """Train, or go on with what was begun."""
    from asr.commands.train import train_composed

    train_composed(composed, command)


def evaluate_inputs(config: "RunConfig") -> str:
    """The model, the test manifests, the rules of scoring, and how it is decoded with what files."""
    return _digest(
        [
            asdict(config.scoring),
            asdict(config.decoding),
            _hashes([config.run_dir / "model" / "config.json", *_tests(config), *_decoding_files(config)]),
        ]
    )


def _decoding_files(config: "RunConfig") -> list[Path]:
    return [Path(name) for name in (config.decoding.language_model, config.decoding.lexicon) if name]


def evaluate_outputs(config: "RunConfig") -> list[Path]:
    """The four files of each test set's report."""
    names = ("summary.json", "results.jsonl", "breakdown.json", "report.md")
    return [config.run_dir / "evaluation" / path.stem / name for path in _tests(config) for name in names]


def evaluate(config: "RunConfig") -> None:
    """Transcribe and score each test set: ``test.jsonl`` and every ``test-*.jsonl`` beside it."""
    from asr.commands import evaluate as verb

    tests = _tests(config)
    if not tests:
        raise DataError(f"{_data(config)}: no test.jsonl to evaluate on; prepare it, or leave evaluate out of stages")
    trained = _data(config) / "train.jsonl"
    for path in tests:
        out = config.run_dir / "evaluation" / path.stem
        options = ["--normalizer", config.scoring.normalizer, "--worst", str(config.scoring.worst)]
        options += ["--train-text", str(trained)] if trained.is_file() else []
        words = [str(config.run_dir / "model"), str(path), "--out", str(out), *options]
        parsed = verb.build_parser().parse_args([*words, "--device", config.train.training.device])
        verb.evaluate_manifest(parsed, asdict(config.decoding))


def report_inputs(config: "RunConfig") -> str:
    """The model's facts, the training's metrics and the summaries."""
    run_dir = config.run_dir
    return _digest(_hashes([run_dir / "model" / "config.json", run_dir / "metrics.jsonl", *_summaries(config)]))


def report(recipe: Path, config: "RunConfig") -> None:
    """One page on the whole run: result, training, curves, and how to repeat it."""
    described = config.run_dir / "model" / "config.json"
    if not described.is_file():
        raise ModelError(
            f"{config.run_dir}: no model to report on; let the stage train run first (stages=[train,evaluate,report])"
        )
    facts = json.loads(described.read_text(encoding="utf-8"))
    page = config.run_dir / "report.md"
    write_text(page, _page(recipe, config, facts))
    print(f"report: {page}")


def _page(recipe: Path, config: "RunConfig", model: dict[str, Any]) -> str:
    facts = model["facts"]
    rows = [_result_row(config, path) for path in _summaries(config) if path.is_file()]
    lines = [
        f"# {recipe.parent.name}/{recipe.stem}, seed {facts['seed']}",
        "",
        "| test | utterances | WER % | CER % | S | D | I | real-time factor |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        f"Scored with normaliser `{config.scoring.normalizer}`, decoded with `{config.decoding.name}`.",
        "",
        "![learning curves](curves.png)",
        "",
        "## Training",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in facts.items()),
        *(f"| {name} | {version} |" for name, version in model["versions"].items()),
        "",
        "The whole configuration is in [config.yaml](config.yaml), every step in [metrics.jsonl](metrics.jsonl).",
        "",
    ]
    return "\n".join(lines)


def _result_row(config: "RunConfig", path: Path) -> str:
    summary = json.loads(path.read_text(encoding="utf-8"))
    words, figures = summary["words"], [summary["wer"], summary["cer"]]
    shown = ["–" if figure is None else f"{figure:.2f}" for figure in figures]
    counts = [words["substitutions"], words["deletions"], words["insertions"]]
    name = path.parent.name
    factor = summary.get("real_time_factor")
    cells = [
        f"[{name}](evaluation/{name}/report.md)",
        summary["utterances"],
        *shown,
        *counts,
        "–" if factor is None else f"{factor:.4f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _cell(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _settings(config: "RunConfig") -> dict[str, Any]:
    return asdict(config.train)


def _data(config: "RunConfig") -> Path:
    return Path(config.train.data.dir)


def _summaries(config: "RunConfig") -> list[Path]:
    return [path for path in evaluate_outputs(config) if path.name == "summary.json"]


def prepare_outputs(config: "RunConfig") -> list[Path]:
    """The manifests: the three that every recipe writes, and further test sets."""
    data = _data(config)
    return [*(data / f"{name}.jsonl" for name in ("train", "dev", "test")), *sorted(data.glob("test-*.jsonl"))]


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


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what its inputs hash to, the files it leaves, and the work."""

    name: str
    inputs: Callable[[], str]
    outputs: Callable[[], list[Path]]
    work: Callable[[], None]


class Ledger:
    """Which stage was made from what: ``stages.json`` in the run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, stage: Stage) -> None:
        """Do the stage's work unless its outputs stand, untouched, and come from the same inputs."""
        outputs = file_hashes(stage.outputs())
        if None not in outputs.values() and read_json_object(self.path).get(stage.name) == {
            "inputs": stage.inputs(),
            "outputs": outputs,
        }:
            print(f"{styled(stage.name, 'bold')}: stands, skipped", file=sys.stderr)
            return
        print(styled(stage.name, "bold"), file=sys.stderr, flush=True)
        stage.work()
        if int(os.environ.get("RANK", "0")) > 0:
            return  # the main process writes the ledger
        made = read_json_object(self.path)
        made[stage.name] = {"inputs": stage.inputs(), "outputs": file_hashes(stage.outputs())}
        write_json(self.path, made)


def recipe_stages(recipe: Path, composed: Any, config: "RunConfig", command: list[str]) -> list[Stage]:
    """The stages of ``asr run`` in their order."""

    run_dir = config.run_dir
    return [
        Stage(
            "prepare",
            lambda: prepare_inputs(recipe, config),
            lambda: prepare_outputs(config),
            lambda: prepare(recipe, config),
        ),
        Stage(
            "train",
            lambda: train_inputs(config),
            lambda: [run_dir / "model" / "config.json", run_dir / "metrics.jsonl"],
            lambda: train(composed, config, command),
        ),
        Stage(
            "evaluate",
            lambda: evaluate_inputs(config),
            lambda: evaluate_outputs(config),
            lambda: evaluate(config),
        ),
        Stage(
            "report",
            lambda: report_inputs(config),
            lambda: [run_dir / "report.md"],
            lambda: report(recipe, config),
        ),
    ]
