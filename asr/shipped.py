"""What comes with the package beside its code: ``conf/``, ``recipes/`` and ``pretrained/``, in the wheel or a checkout.

In: the name of a folder, or a model as the user named it. Out: paths. The wheel carries the folders as ``asr/_conf``,
``asr/_recipes`` and ``asr/_pretrained``, so that every command works from any folder. ``pretrained/english`` is the
starter model; an installation may come without it. Everything that takes a model directory takes the name ``english``
as well, through ``model_directory``.
"""

import os
from pathlib import Path

from asr.errors import AsrError, ModelError, ModelMissingError, UsageError
from asr.files import read_json_object

STARTER = "english"
MODEL_CONFIG = "config.json"  # what makes a folder a model directory
_PACKAGE = Path(__file__).resolve().parent


def bundled_folder(name: str) -> Path:
    """The folder ``name`` that came with this package. Raises AsrError where the installation is incomplete."""
    for folder in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise AsrError(
        f"the folder {name}/ is neither in the installed package ({_PACKAGE / f'_{name}'}) nor in a checkout "
        f"({_PACKAGE.parent / name}); install again with: pip install --force-reinstall --no-deps asr-bilstm"
    )


def find_starter() -> Path | None:
    """The starter's model directory, or None where this installation comes without one."""
    folder = bundled_folder("pretrained") / STARTER
    return folder if is_model(folder) else None


def starter_directory() -> Path:
    """The starter's model directory. Raises ModelError, which says what to do, where there is none."""
    folder = find_starter()
    if folder is None:
        raise ModelMissingError(
            f"this installation comes without the model {STARTER!r}; give a model directory of your own, such as"
            " runs/mine/model (to train one: asr run recipes/folder/bilstm.yaml corpus=FOLDER run_dir=runs/mine)"
        )
    return folder


def is_model(path: str | Path) -> bool:
    """Whether ``path`` is a model directory, complete or not."""
    return os.path.isfile(os.path.join(path, MODEL_CONFIG))


def model_directory(given: str | os.PathLike[str]) -> Path:
    """The model directory that ``given`` means: a path as it is, or the starter where it is the name ``english``.

    ``./english`` is always the folder. Raises ModelError where there is no starter; or where ``english`` is also a
    model directory or a training run in the working directory, so that neither is taken for the other.
    """
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"directory must be a model directory or 'english', not {given!r}")
    path = Path(given)
    if path.parts != (STARTER,):
        return path
    if str(given) != STARTER:  # ./english or english/, as text
        return path.absolute()
    own = next((folder for folder in (path, path / "model") if is_model(folder)), None)
    starter = find_starter()
    if own is not None and starter is not None:
        raise ModelError(
            f"{STARTER}: the model that comes with this package, or the one in the folder of that name here? Give"
            f" {starter} or ./{own}"
        )
    return path if own is not None else starter_directory()


def weights_sha256(directory: str | Path) -> str | None:
    """The SHA-256 of a model's weights as its config.json names it, or None: whether it is complete is not checked."""
    digests = read_json_object(model_directory(directory) / MODEL_CONFIG).get("sha256")
    return str(digests["model.safetensors"]) if isinstance(digests, dict) and "model.safetensors" in digests else None


def check_not_shipped(directory: str | Path) -> None:
    """Raise ModelError for the shipped model's directory, before anything is written there: an update would undo it."""
    folder = find_starter()
    if folder is not None and os.path.realpath(directory) == os.path.realpath(folder):
        raise ModelError(
            f"{folder}: the model that comes with this package is never changed; work on a copy:"
            f" cp -r {folder} my-model (or `asr lm tune` with --out my-model)"
        )
