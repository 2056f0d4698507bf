"""The benchmark of a training step runs, compares equal computations, and writes what it found."""

import json
import subprocess
import sys
from pathlib import Path


def test_it_writes_both_times_and_their_ratio(tmp_path: Path, repository: Path) -> None:
    sizes = ["--layers", "2", "--hidden-size", "8", "--batch", "3", "--longest-s", "1", "--rounds", "3"]
    out = tmp_path / "step.json"
    command = [sys.executable, "benchmarks/lstm_step.py", *sizes, "--out", str(out)]
    ended = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0 and "ratio" in ended.stdout, ended.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["ours_s"] > 0 and found["packed_s"] > 0 and found["ratio"] > 0
    assert abs(found["losses"]["ours"] - found["losses"]["packed"]) < 1e-3
    assert found["padding_share"] == 0.25 and found["options"]["hidden_size"] == 8
