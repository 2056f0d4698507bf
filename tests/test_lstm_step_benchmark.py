"""The benchmark of a training step runs, compares equal computations, and writes what it found."""

import json
import sys
from pathlib import Path

from benchmarks import lstm_step
from tests.forked import Forked


def test_it_writes_both_times_and_their_ratio(tmp_path: Path) -> None:
    sizes = ["--layers", "2", "--hidden-size", "8", "--batch", "3", "--longest-s", "1", "--rounds", "3"]
    out = tmp_path / "step.json"

    def benchmark() -> int:
        sys.argv = ["lstm_step.py", *sizes, "--out", str(out)]
        return lstm_step.main()

    ended = Forked(benchmark, tmp_path / "said")
    said, errors = ended.communicate(120)
    assert ended.returncode == 0 and "ratio" in said, errors
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["ours_s"] > 0 and found["packed_s"] > 0 and found["ratio"] > 0
    assert abs(found["losses"]["ours"] - found["losses"]["packed"]) < 1e-3
    assert found["padding_share"] == 0.25 and found["options"]["hidden_size"] == 8
