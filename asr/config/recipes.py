"""The folders of the config groups (``conf/``) and of the recipes (``recipes/``).

In: nothing, or a recipe as given by the user. Out: folders and files that exist (see asr/shipped.py). Also the one
override that implies another: ``training.epochs`` switches a recipe's ``training.least_steps`` off.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path

from asr.errors import UsageError
from asr.shipped import bundled_folder


def conf_dir() -> Path:
    """The folder of Hydra groups that work with any corpus."""
    return bundled_folder("conf")


def recipes_dir() -> Path:
    """The folder that holds one folder a corpus."""
    return bundled_folder("recipes")


def available_recipes() -> list[str]:
    """Every recipe's YAML file, relative to ``recipes_dir()``, such as ``fsdd/bilstm.yaml``; sorted.

    ``_shared.yaml`` is what a folder's recipes have in common, and none itself.
    """
    root = recipes_dir()
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/[!_]*.yaml"))


def resolve_recipe(path_text: str) -> Path:
    """The recipe file or folder that the user means.

    An existing path wins. Otherwise ``recipes/fsdd/bilstm.yaml``, ``fsdd/bilstm.yaml``, ``fsdd/bilstm`` and the folder
    ``fsdd`` are looked up among the recipes that came with this package.

    Raises:
        UsageError: nothing of that name exists; the message lists the recipes there are.
    """
    given = Path(path_text).expanduser()
    if path_text and given.exists():
        return given
    root = recipes_dir()
    name = given.as_posix().removeprefix("./").removeprefix("recipes/")
    if path_text and not given.is_absolute() and ".." not in given.parts:
        for candidate in (root / name, root / f"{name}.yaml"):
            if name not in ("", ".") and candidate.exists():
                return candidate
    raise UsageError(_no_recipe(path_text, name))


def _no_recipe(path_text: str, name: str) -> str:
    recipes = available_recipes()
    close = difflib.get_close_matches(name.removesuffix(".yaml"), [one.removesuffix(".yaml") for one in recipes], n=1)
    hint = f"; did you mean recipes/{close[0]}.yaml?" if close else ""
    listing = "".join(f"\n  recipes/{recipe}" for recipe in recipes) or " none"
    advice = "Give the path of a YAML file, or one of the included recipes"
    return f"no recipe at {path_text!r}{hint}\n{advice}:{listing}"


def with_epochs_as_given(words: Sequence[str]) -> list[str]:
    """``words`` (key=value), with ``training.least_steps=null`` where they give ``training.epochs`` without it.

    The number of epochs that a user gives is what is done; a recipe's least number of steps is for its own.
    """
    given = {word.lstrip("+").partition("=")[0] for word in words}
    alone = "training.epochs" in given and "training.least_steps" not in given
    return [*words, "training.least_steps=null"] if alone else list(words)
