"""Stages that are done once: which was made from what. In: stages. Out: their work, and ``stages.json``."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.files import sha256_file, write_json
from asr.terminal import styled


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
        outputs = _hashes(stage.outputs())
        if None not in outputs.values() and self._read().get(stage.name) == {
            "inputs": stage.inputs(),
            "outputs": outputs,
        }:
            print(f"{styled(stage.name, 'bold')}: stands, skipped", file=sys.stderr)
            return
        print(styled(stage.name, "bold"), file=sys.stderr, flush=True)
        stage.work()
        if int(os.environ.get("RANK", "0")) > 0:
            return  # the main process writes the ledger
        made = self._read()
        made[stage.name] = {"inputs": stage.inputs(), "outputs": _hashes(stage.outputs())}
        write_json(self.path, made)

    def _read(self) -> dict[str, Any]:
        try:
            made = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return made if isinstance(made, dict) else {}


def _hashes(paths: list[Path]) -> dict[str, str | None]:
    return {str(path): sha256_file(path) if path.is_file() else None for path in paths}
