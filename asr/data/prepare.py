"""Running a recipe's ``prepare.py``: a corpus folder in, ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` out.

In: a recipe folder, the corpus, the folder to write, options as typed values or as words from a command line. Out:
the manifests, and a summary text. Why: ``asr prepare`` and ``asr run`` share it, and a new corpus is then one new
folder with ``prepare(corpus, out, *, options) -> str`` (and perhaps ``download``) and no change to the library.
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asr.data.manifest import write_manifest
from asr.data.options import accepts_none, check_options
from asr.data.splits import Splits
from asr.data.utterance import Utterance
from asr.errors import AsrError, ConfigError, DataError


def load_recipe(recipe_dir: Path) -> types.ModuleType:
    """Import ``recipe_dir/prepare.py``; the folder acts as a package, so that it may say ``from . import sibling``.

    ``sys.path`` is left alone, and two recipes never meet under one module name.

    Raises:
        ConfigError: if there is no such file, it cannot be imported, or it has no function ``prepare``.
    """
    file = recipe_dir.resolve() / "prepare.py"
    if not file.is_file():
        raise ConfigError(f"{recipe_dir} is no recipe: it holds no prepare.py. Name a folder such as recipes/fsdd.")
    package = f"asr_recipe_{hashlib.sha256(str(file.parent).encode()).hexdigest()[:12]}"
    spec = importlib.machinery.ModuleSpec(package, loader=None, is_package=True)
    spec.submodule_search_locations = [str(file.parent)]
    sys.modules[package] = importlib.util.module_from_spec(spec)
    sys.modules.pop(f"{package}.prepare", None)
    try:
        module = importlib.import_module(f"{package}.prepare")
    except AsrError:
        raise
    except Exception as error:  # whatever a recipe's top level does wrong, the person sees which recipe it was
        raise ConfigError(f"{file} cannot be imported: {type(error).__name__}: {error}.") from error
    if not callable(getattr(module, "prepare", None)):
        raise ConfigError(f"{file} has no function prepare(corpus, out, *, options...).")
    return module


def run_prepare(
    recipe_dir: Path, corpus: Path | None, out: Path, options: Mapping[str, Any], *, download: bool = False
) -> str:
    """Prepare a corpus by its recipe and return the summary.

    Args:
        recipe_dir: the folder that holds ``prepare.py``.
        corpus: the corpus folder; None only for a recipe that needs none.
        out: the folder for the manifests; made if absent.
        options: the recipe's own keyword options; text is converted to the type that the signature names.
        download: fetch the corpus into ``corpus`` first, by the recipe's ``download``.

    Raises:
        ConfigError: on an unknown option, a value of the wrong type, a missing corpus or ``download``.
        DataError: whatever the recipe finds wrong with the corpus.
    """
    recipe = load_recipe(recipe_dir)
    checked = check_options(str(recipe_dir), recipe.prepare, options)
    needs_corpus = not accepts_none(typing.get_type_hints(recipe.prepare).get("corpus"))
    if corpus is None and (needs_corpus or download):
        raise ConfigError(f"{recipe_dir} needs a corpus folder: asr prepare {recipe_dir} CORPUS_FOLDER {out}")
    if download:
        _download(recipe_dir, recipe, typing.cast(Path, corpus), checked)
    if corpus is not None and not corpus.exists():  # a recipe may take a file, as recipes/folder does
        fetch = f" Or fetch it: asr prepare {recipe_dir} {corpus} {out} --download"
        hint = fetch if hasattr(recipe, "download") else ""
        raise DataError(f"The corpus folder {corpus} does not exist. Give the folder that holds the corpus.{hint}")
    return str(recipe.prepare(corpus, out, **checked))


def write_splits(out: Path, splits: Splits) -> str:
    """Write one manifest a part (``out/train.jsonl``, ...) atomically and return the summary to show.

    Raises:
        DataError: if there is nothing to train on, or a test holds what is trained on.
    """
    if not splits.train:
        raise DataError(f"Nothing to train on is left for {out / 'train.jsonl'}: check the corpus and the options.")
    trained = {(u.audio, u.start_s, u.channel) for u in splits.train}
    for name, utterances in splits.named().items():
        shared = [u.id for u in utterances if name.startswith("test") and (u.audio, u.start_s, u.channel) in trained]
        if shared:
            raise DataError(f"{len(shared)} utterance(s) are in both train and {name}: {', '.join(shared[:10])}.")
    for name, utterances in splits.named().items():
        if utterances:
            write_manifest(out / f"{name}.jsonl", utterances)
        else:
            (out / f"{name}.jsonl").unlink(missing_ok=True)  # of an earlier cut: its utterances may be in train now
    return "\n".join([summarize(splits), *_notes_on_others(out, splits)])


def _notes_on_others(out: Path, splits: Splits) -> list[str]:
    """Test sets in ``out`` that this preparation did not make, which ``asr run`` would evaluate on as well."""
    others = sorted(file.name for file in out.glob("test-*.jsonl") if file.stem not in splits.named())
    return [f"{name} in {out} was there before and stays; remove it if it is not meant." for name in others]


def expect_count(what: str, found: int, expected: int, *, complete: bool = True) -> None:
    """Raise ``DataError`` unless ``found == expected``; ``complete=False`` lets a part of a corpus pass."""
    if complete and found != expected:
        raise DataError(
            f"{what}: found {found}, expected {expected}. Is the corpus whole? To use what is there: complete=false."
        )


def summarize(splits: Splits) -> str:
    """A table of utterances, hours and speakers by part, speakers in common, and the notes."""
    rows = [f"{'split':<12}{'utterances':>11}{'hours':>8}{'speakers':>10}"]
    for name, utterances in splits.named().items():
        hours = sum(u.duration_s for u in utterances) / 3600
        shown = f"{hours:.2f}" if hours >= 0.1 or not hours else f"{hours:.2g}"  # 9 s are 0.0025 h, not 0.00
        rows.append(f"{name:<12}{len(utterances):>11}{shown:>8}{len(_speakers(utterances)):>10}")
    seen = _speakers(splits.train)
    for name, utterances in splits.named().items():
        shared = seen & _speakers(utterances)
        if name != "train" and shared:
            rows.append(f"{len(shared)} of {len(_speakers(utterances))} speakers of {name} are in train as well.")
    return "\n".join([*rows, *splits.notes])


def _speakers(utterances: Iterable[Utterance]) -> set[str]:
    return {u.speaker for u in utterances if u.speaker is not None}


def _download(recipe_dir: Path, recipe: types.ModuleType, corpus: Path, options: Mapping[str, Any]) -> None:
    fetch = getattr(recipe, "download", None)
    if fetch is None:
        raise ConfigError(f"{recipe_dir} has no download: get the corpus by hand and give its folder.")
    wanted = inspect.signature(fetch).parameters
    fetch(corpus, **{name: value for name, value in options.items() if name in wanted})
