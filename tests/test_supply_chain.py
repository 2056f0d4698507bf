"""What is installed and shipped is known to the byte: the lock's hashes, the shipped model's card."""

import hashlib
import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
SHIPPED = ROOT / "pretrained" / "english"


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Name to version of each line NAME==VERSION."""
    return {plain(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)}


def test_the_lock_has_the_listed_versions_of_what_the_package_needs_each_with_hashes() -> None:
    entries = re.split(r"\n(?=\w)", LOCK.partition("\n\n")[2] or LOCK)
    assert [entry for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []
    locked, listed = pins(LOCK), pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    assert {name: version for name, version in locked.items() if listed.get(name, version) != version} == {}, (
        "make lock"
    )
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {plain(re.split(r"[<>=\[]", line)[0]) for line in needed}
    assert names - locked.keys() == {"torch"}  # of which each user chooses the build


def test_the_bill_of_materials_has_the_version_the_model_and_what_the_package_needs() -> None:
    sbom = runpy.run_path(str(ROOT / ".ci" / "sbom.py"))
    assert sbom["requirements"]().startswith(LOCK) and re.search(r"\ntorch==[\d.]+\n$", sbom["requirements"]())
    made = {
        "metadata": {"component": {"bom-ref": "root", "name": "asr-bilstm"}},
        "components": [{"bom-ref": "L1", "name": "jiwer", "description": "jiwer==4 --hash"}],
        "dependencies": [{"ref": "L1"}, {"ref": "root"}],
    }
    found = sbom["complete"](made, "1.2", {"sha256": "ab", "facts": {"commit": "c", "command": "d", "hardware": "e"}})
    assert found["metadata"]["component"]["purl"] == "pkg:pypi/asr-bilstm@1.2"
    assert found["dependencies"][-1] == {"ref": "root", "dependsOn": ["L1", "model-english"]}
    assert found["components"][-1]["hashes"] == [{"alg": "SHA-256", "content": "ab"}]


def test_the_shipped_models_files_are_those_of_its_card() -> None:
    if not (SHIPPED / "card.json").is_file():
        pytest.skip("this checkout comes without the model")
    files = json.loads((SHIPPED / "card.json").read_text(encoding="utf-8")).get("files", {})
    assert {name: hashlib.sha256((SHIPPED / name).read_bytes()).hexdigest() for name in files} == files
