"""Preparation of a corpus inside a run: the recipe's prepare.py, with the manifests of a begun training protected.

In: a recipe and its configuration. Out: train.jsonl, dev.jsonl, test.jsonl and further test sets in ``data.dir``.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import ConfigError
from asr.files import temporary_path, write_text
from asr.pipeline.previous import keep_parts

if TYPE_CHECKING:
    from asr.config.typed import RunConfig

BEFORE = ".before-prepare"  # the manifests of a begun training, while it is prepared again


def prepare(recipe: Path, config: "RunConfig") -> str:
    """Make the manifests and return the summary.

    If a training in the run folder has begun with them, they are unchanged after any failure, and ConfigError is raised
    if they would change: the training could not resume, and its data would be gone.
    """
    data = Path(config.train.data.dir)
    if not (config.run_dir / "checkpoints" / "last.ckpt").exists():
        return _run_prepare(recipe, config)
    with unchanged_manifests(data) as changed:
        summary = _run_prepare(recipe, config)
        if changed():
            raise ConfigError(
                f"{config.run_dir}: its training began on other data than the corpus and the options of prepare now"
                f" give. The manifests in {data} are unchanged. To train on the new data give another run_dir, with"
                f" previous={config.run_dir} to start from this run's model and keep its test set; to resume with the"
                " old data skip prepare: stages=[train,evaluate,report]"
            )
    return summary


def _run_prepare(recipe: Path, config: "RunConfig") -> str:
    from asr.data.prepare import CorpusMissing, run_prepare

    corpus, data = Path(config.corpus) if config.corpus else None, Path(config.train.data.dir)
    try:
        summary = run_prepare(recipe.parent, corpus, data, config.prepare)
        if config.previous is None:
            return summary
        kept = keep_parts(Path(config.previous), data)
        return f"The corpus by itself:\n{summary}\n\nWith the data of {config.previous}:\n{kept}"
    except CorpusMissing:
        raise ConfigError(f"{recipe.parent} needs a corpus: give its folder with corpus=FOLDER") from None


@contextlib.contextmanager
def unchanged_manifests(data: Path) -> Iterator[Callable[[], bool]]:
    """Inside, ``data`` may be prepared again; the call says whether the training data has changed.

    Whatever is raised inside, the manifests are then as before; after a kill, once this is entered again.
    """
    kept = data / BEFORE
    if kept.is_dir():  # of a process that was killed inside
        _put_back(_manifests(kept), data)
        _move_aside(kept)
    before = _manifests(data)
    data.mkdir(parents=True, exist_ok=True)
    fresh = temporary_path(kept)
    fresh.mkdir()
    for name, content in before.items():
        write_text(fresh / name, content.decode())
    os.rename(fresh, kept)

    def changed() -> bool:
        now = _manifests(data)
        return any(name in before and before[name] != now.get(name) for name in ("train.jsonl", "dev.jsonl"))

    try:
        yield changed
    except BaseException:
        _put_back(before, data)
        raise
    finally:
        _move_aside(kept)


def _manifests(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}


def _put_back(before: dict[str, bytes], data: Path) -> None:
    """Restore the manifests of ``before`` and remove new ones."""
    now = _manifests(data)
    for name in now.keys() - before.keys():
        (data / name).unlink()
    for name, content in before.items():
        if now.get(name) != content:
            write_text(data / name, content.decode())


def _move_aside(kept: Path) -> None:
    """Remove the folder, of which a kill leaves all or nothing under its name."""
    aside = temporary_path(kept)
    os.rename(kept, aside)
    shutil.rmtree(aside, ignore_errors=True)
