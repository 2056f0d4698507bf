"""Recipes and configuration are found from any folder, in a checkout and in an installed wheel."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from asr import shipped
from asr.config import recipes as paths
from asr.config.recipes import conf_dir, recipes_dir, resolve_recipe
from asr.errors import AsrError, UsageError


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that carries two recipes, with an empty working directory."""
    package = tmp_path / "site-packages" / "asr"
    for name in ("fsdd/bilstm.yaml", "digits/bilstm.yaml"):
        file = package / "_recipes" / name
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setattr(shipped, "_PACKAGE", package)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return package


def test_a_checkout_has_both_folders_at_its_root(repository: Path) -> None:
    assert recipes_dir() == repository / "recipes"
    assert conf_dir() == repository / "conf"


@pytest.mark.parametrize(
    "text", ["recipes/fsdd/bilstm.yaml", "./recipes/fsdd/bilstm.yaml", "fsdd/bilstm.yaml", "fsdd/bilstm"]
)
def test_a_packaged_recipe_is_found_from_any_folder(text: str, packaged: Path) -> None:
    assert resolve_recipe(text) == packaged / "_recipes" / "fsdd" / "bilstm.yaml"


def test_a_packaged_recipe_folder_is_found_too(packaged: Path) -> None:
    assert resolve_recipe("recipes/fsdd") == resolve_recipe("fsdd") == packaged / "_recipes" / "fsdd"


def test_an_existing_path_wins(packaged: Path) -> None:
    own = Path("recipes/fsdd/bilstm.yaml")
    own.parent.mkdir(parents=True)
    own.touch()
    assert resolve_recipe("recipes/fsdd/bilstm.yaml") == own


@pytest.mark.parametrize("text", ["", "recipes", "recipes/", "fsdd/bilsm.yaml", "../_recipes/fsdd", "/fsdd"])
def test_an_unknown_recipe_is_answered_with_those_there_are(text: str, packaged: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe at") as caught:
        resolve_recipe(text)
    assert "\n  recipes/digits/bilstm.yaml\n  recipes/fsdd/bilstm.yaml" in str(caught.value)


def test_a_near_miss_is_named(packaged: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean recipes/fsdd/bilstm\.yaml\?"):
        resolve_recipe("recipes/fsd/bilstm.yaml")
    with pytest.raises(UsageError) as far:
        resolve_recipe("nosuch.yaml")
    assert "did you mean" not in str(far.value), "the ending is no likeness"


def test_an_installation_without_its_folders_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "asr")
    with pytest.raises(AsrError, match="pip install --force-reinstall"):
        conf_dir()


def test_the_wheel_carries_configuration_and_recipes(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=repository, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)

    code = "import asr.config.recipes as p; print(p.conf_dir()); print(p.recipes_dir()); print(*p.available_recipes())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)},
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    conf, recipes, names = done.stdout.splitlines()
    assert (Path(conf), Path(recipes)) == (site / "asr" / "_conf", site / "asr" / "_recipes")
    assert names.split() == paths.available_recipes()
    packed = {path.relative_to(conf).as_posix() for path in Path(conf).rglob("*.yaml")}
    assert packed == {path.relative_to(conf_dir()).as_posix() for path in conf_dir().rglob("*.yaml")}


def test_the_container_gets_all_that_the_wheel_is_made_of(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", "constraints.txt", project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {*wheel["packages"], *wheel["force-include"]}
    lines = (repository / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {word for line in lines if re.match("COPY (?!--from)", line) for word in line.split()[1:-1]}
    sent = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == needed == {line[1:] for line in sent if line.startswith("!")}
