"""Running a recipe's ``prepare.py``: a corpus folder in, ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` out.

In: a recipe folder, the corpus, the output folder, and options as typed values (YAML) or as text (a command line).
Out: the manifests, and a summary text. `asr prepare` and `asr run` share it; a new corpus is a new folder with
``prepare(corpus, out, *, options) -> str`` (and perhaps ``download``), without a change to the library. The signature
of ``prepare`` states the options once: an unknown name or a wrong value is answered with the list of valid ones.
"""

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from asr.data.recordings import dropping_faulty
from asr.data.splits import respelling
from asr.errors import AsrError, ConfigError, DataError
from asr.text.respelling import read_respelling

FAULTY = ("error", "drop")
OF_EVERY_RECIPE: Mapping[str, Any] = {
    "faulty": "error",
    "replacements": None,
    "shards": None,
    "shard_mb": 500.0,
}  # with the defaults
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class CorpusMissing(ConfigError):
    """No corpus folder was given to a recipe that needs one."""


def run_prepare(
    recipe_dir: Path, corpus: Path | None, out: Path, options: Mapping[str, Any], *, download: bool = False
) -> str:
    """Prepare a corpus by its recipe and return the summary.

    Args:
        recipe_dir: the folder that holds ``prepare.py``.
        corpus: the corpus folder; None only for a recipe that needs none.
        out: the folder for the manifests; made if absent.
        options: the recipe's own keyword options; text is converted to the type in the signature. And what every recipe
            has: ``faulty``, where "error" refuses a corpus with recordings that cannot be read and "drop" leaves them
            out and names them; ``replacements``, a file or mapping of letters and phrases that are written otherwise in
            all manifests (asr/text/respelling.py); ``shards``, a folder or address for all recordings in tar archives
            of about ``shard_mb`` megabytes (asr/data/shards.py).
        download: fetch the corpus into ``corpus`` first, by the recipe's ``download``.

    Raises:
        CorpusMissing: the recipe needs a corpus, and none is given.
        ConfigError: an unknown option, a value of the wrong type, or a recipe without ``download``.
        DataError: the corpus does not exist, or the recipe finds errors in it.
    """
    recipe = load_recipe(recipe_dir)
    given = {**OF_EVERY_RECIPE, **options}
    faulty, replacements, shards = given["faulty"], given["replacements"], given["shards"]
    if faulty not in FAULTY:
        raise ConfigError(f"{recipe_dir}: faulty={faulty} is not valid; choose one of {', '.join(FAULTY)}.")
    table = None if replacements is None else read_respelling(replacements)
    shard_mb = _convert(f"{recipe_dir}: shard_mb={given['shard_mb']}", given["shard_mb"], float)
    if shards is not None:
        from asr.data.shards import check_target, write_shards  # late: few need it

        check_target(str(shards), shard_mb)
    own = {name: value for name, value in options.items() if name not in OF_EVERY_RECIPE}
    checked = check_options(str(recipe_dir), recipe.prepare, own)
    needs_corpus = not accepts_none(typing.get_type_hints(recipe.prepare).get("corpus"))
    if corpus is None and (needs_corpus or download):
        raise CorpusMissing(f"{recipe_dir} needs a corpus folder: asr prepare {recipe_dir} CORPUS_FOLDER {out}")
    if download:
        _download(recipe_dir, recipe, typing.cast(Path, corpus), checked)
    if corpus is not None and not corpus.exists():  # a recipe may take a file, as recipes/folder does
        fetch = f" Or download it: asr prepare {recipe_dir} {corpus} {out} --download"
        hint = fetch if hasattr(recipe, "download") else ""
        raise DataError(f"The corpus folder {corpus} does not exist. Give the folder that holds the corpus.{hint}")
    drop: contextlib.AbstractContextManager[list[str]]
    drop = dropping_faulty() if faulty == "drop" else contextlib.nullcontext([])
    with respelling(table), drop as left_out:
        summary = str(recipe.prepare(corpus, out, **checked))
    if shards is not None:
        summary = f"{summary}\n{write_shards(out, str(shards), shard_mb)}"
    listed = [f"{len(left_out):,} recording(s) that cannot be read were left out:", *left_out] if left_out else []
    return f"{summary}\n" + "\n  ".join(listed) if listed else summary


def load_recipe(recipe_dir: Path) -> types.ModuleType:
    """Import ``recipe_dir/prepare.py``; the folder acts as a package, so that ``from . import sibling`` works.

    ``sys.path`` is not changed, and two recipes never share a module name.

    Raises:
        ConfigError: if there is no such file, it cannot be imported, or it has no function ``prepare``.
    """
    file = recipe_dir.resolve() / "prepare.py"
    if not file.is_file():
        raise ConfigError(f"{recipe_dir} is not a recipe: it has no prepare.py. Give a folder such as recipes/fsdd.")
    package = f"asr_recipe_{hashlib.sha256(str(file.parent).encode()).hexdigest()[:12]}"
    spec = importlib.machinery.ModuleSpec(package, loader=None, is_package=True)
    spec.submodule_search_locations = [str(file.parent)]
    sys.modules[package] = importlib.util.module_from_spec(spec)
    sys.modules.pop(f"{package}.prepare", None)
    try:
        module = importlib.import_module(f"{package}.prepare")
    except AsrError:
        raise
    except Exception as error:  # whatever a recipe raises when imported, the message names it
        raise ConfigError(f"{file} cannot be imported: {type(error).__name__}: {error}.") from error
    if not callable(getattr(module, "prepare", None)):
        raise ConfigError(f"{file} has no function prepare(corpus, out, *, options...).")
    return module


def check_options(where: str, function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with each value as the type that ``function``'s keyword-only arguments name.

    Supported types: bool, int, float, str, Path, Literal, and each of them ``| None``.

    Raises:
        ConfigError: an unknown name or a value that does not fit; ``where`` begins the message.
    """
    known = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    unknown = [name for name in options if name not in known]
    if unknown:
        defaults = {name: one.default for name, one in known.items()} | dict(OF_EVERY_RECIPE)
        listing = ", ".join(f"{name}={value}" for name, value in defaults.items())
        raise ConfigError(f"{where} has no option {', '.join(unknown)}. Its options: {listing}.")
    hints = typing.get_type_hints(function)
    return {name: _convert(f"{where}: {name}={value}", value, hints[name]) for name, value in options.items()}


def accepts_none(hint: Any) -> bool:
    """Whether a type hint allows None."""
    return type(None) in _alternatives(hint)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _convert(what: str, value: Any, hint: Any) -> Any:
    """``value`` as one of the types in ``hint``; None is tried first, as any text is also a ``str``."""
    if accepts_none(hint) and (value is None or str(value).lower() in {"none", "null"}):
        return None
    choices: list[str] = []
    for kind in _alternatives(hint):
        if typing.get_origin(kind) is typing.Literal:
            choices += [str(choice) for choice in typing.get_args(kind)]
            matches = [choice for choice in typing.get_args(kind) if str(choice) == str(value)]
            if matches:
                return matches[0]
        elif kind is not type(None):
            parsed = _parse(value, kind)
            if parsed is not None:
                return parsed
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in _alternatives(hint) if kind is not type(None))
    remedy = f"choose one of {', '.join(choices)}" if choices else f"it must be of type {names}"
    raise ConfigError(f"{what} is not valid; {remedy}.")


def _parse(value: Any, kind: Any) -> Any:
    """``value`` as a bool, int, float, str or Path; None if it cannot be read as one."""
    if kind is bool:
        return value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    if isinstance(value, bool):
        return None
    if kind in (str, Path):
        return kind(value) if isinstance(value, str | int | float | Path) else None
    if kind in (int, float):
        try:
            return kind(value) if isinstance(value, str) or kind(value) == value else None
        except (TypeError, ValueError, OverflowError):
            return None
    return None


def _download(recipe_dir: Path, recipe: types.ModuleType, corpus: Path, options: Mapping[str, Any]) -> None:
    fetch = getattr(recipe, "download", None)
    if fetch is None:
        raise ConfigError(f"{recipe_dir} has no download: get the corpus yourself and give its folder.")
    wanted = inspect.signature(fetch).parameters
    fetch(corpus, **{name: value for name, value in options.items() if name in wanted})
