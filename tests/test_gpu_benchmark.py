"""``make gpu``, rehearsed on the CPU in toy sizes: its parts run, resume, and refuse what is out of bounds."""

import json
import subprocess
import sys
from pathlib import Path

import torch

from asr.models import ENCODERS
from benchmarks.gpu import BOUNDS, differences


def run(repository: Path, out: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--toy", "--out", str(out), *words]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300, check=False)


def test_its_parts_run_and_what_was_measured_is_not_measured_again(tmp_path: Path, repository: Path) -> None:
    late = run(repository, tmp_path, "smoke", "--limit-s", "0")
    assert late.returncode == 1 and "rerun to resume" in late.stdout
    ended = run(repository, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    smoke, throughput = (
        json.loads((tmp_path / f"{name}.json").read_text())["rows"] for name in ("smoke", "throughput")
    )
    assert set(smoke) == {f"{name} fp32" for name in ENCODERS} and all(row["within"] for row in smoke.values())
    assert set(throughput) == {"packed fp32", "ours fp32", "whole step fp32"}
    assert abs(throughput["ours fp32"]["loss"] - throughput["packed fp32"]["loss"]) < 1e-3
    again = run(repository, tmp_path)
    assert again.returncode == 0 and again.stdout == "smoke: good\nthroughput: good\n"


def test_a_difference_beyond_the_bounds_or_a_nan_is_not_within() -> None:
    right = torch.zeros(2, 3), torch.ones(4)
    for precision, (nats, share) in BOUNDS.items():
        assert differences((right[0] + 0.9 * nats, right[1]), right, precision)["within"]
        assert not differences((right[0] + 1.1 * nats, right[1]), right, precision)["within"]
        assert not differences((right[0], right[1] * (1 + 1.1 * share)), right, precision)["within"]
        assert not differences((right[0] * torch.nan, right[1]), right, precision)["within"]
