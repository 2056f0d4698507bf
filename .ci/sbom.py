"""Write dist/sbom.cdx.json (CycloneDX): the package, what requirements.lock and constraints.txt name, its model.

    python .ci/sbom.py

In: the files above, pretrained/english/card.json. Out: the list, valid by CycloneDX's schema, the same each time.
cyclonedx-py makes it; what it cannot know is added here: the version of the package, which pyproject.toml leaves to
asr/__init__.py, that all of it is needed by the package, and the model.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def requirements() -> str:
    """requirements.lock, and torch, which is not locked, in the version that was tested."""
    torch = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert len(torch) == 1
    return "\n".join([(ROOT / "requirements.lock").read_text(), *torch, ""])


def complete(bom: dict[str, Any], version: str, card: dict[str, Any]) -> dict[str, Any]:
    """``bom`` with the version of the package, the model, and the package's need of all components."""
    root = bom["metadata"]["component"]
    root["version"], root["purl"] = version, f"pkg:pypi/{root['name']}@{version}"
    facts = card.get("facts", {})
    model = {
        "bom-ref": "model-english",
        "type": "machine-learning-model",
        "name": "english",
        "version": facts.get("commit", ""),
        "hashes": [{"alg": "SHA-256", "content": card["sha256"]}],
        "properties": [{"name": f"training:{name}", "value": str(facts[name])} for name in ("command", "hardware")],
    }  # fmt: skip
    for component in bom["components"]:
        component.pop("description", None)  # the line of the lock once more
    bom["components"].append(model)
    needs = sorted(component["bom-ref"] for component in bom["components"])
    others = [one for one in bom["dependencies"] if one["ref"] != root["bom-ref"]]
    bom["dependencies"] = [*others, {"ref": model["bom-ref"]}, {"ref": root["bom-ref"], "dependsOn": needs}]
    return bom


def main() -> int:
    """Write the list; returns the exit code."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    command = [sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements", "-"]
    command += ["--mc-type", "application", "--pyproject", str(ROOT / "pyproject.toml")]
    command += ["--output-reproducible", "--spec-version", "1.6"]
    made = subprocess.run(command, input=requirements(), stdout=subprocess.PIPE, text=True, check=True).stdout
    version = re.findall(r'__version__ = "(.+)"', (ROOT / "asr" / "__init__.py").read_text())[0]
    card = json.loads((ROOT / "pretrained" / "english" / "card.json").read_text())
    written = json.dumps(complete(json.loads(made), version, card), indent=2) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(written)
    if wrong is not None:
        print(f"sbom: not valid by CycloneDX's schema: {wrong}", file=sys.stderr)
        return 1
    path = ROOT / "dist" / "sbom.cdx.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
