"""npm packages that some tests need: ``npm install --prefix tests/javascript`` puts them beside this file."""

import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def npm_package(name: str) -> Path:
    """The folder of an installed package; skips the test where it is missing."""
    folder = FOLDER / "node_modules" / name
    if not (folder / "package.json").is_file():
        pytest.skip(f"needs the npm package {name} (npm install --prefix tests/javascript)")
    return folder


def node() -> str:
    """Node's path; skips the test where there is none."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node here (apt-get install nodejs npm)")
    return found
