"""``make gpu``, rehearsed on the CPU in toy sizes: its parts run, resume, and refuse what is out of bounds."""

import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.cli import main
from asr.data.manifest import read_manifest
from asr.models import ENCODERS
from asr.pretrained import from_pretrained
from benchmarks import gpu
from benchmarks.gpu import BOUNDS, HUNG, Part, build_parser, differences
from benchmarks.gpu_english import bring, run_english
from benchmarks.gpu_pack import PACKAGES, pack_data, pinned
from tests.forked import Forked
from tests.tiny_run import make_corpus


def run(out: Path, *words: str) -> tuple[int | None, str, str]:
    """Its exit code, output and errors."""

    def benchmark() -> int:
        sys.argv = ["gpu.py", "--device", "cpu", "--toy", "--out", str(out), *words]
        return gpu.main()

    process = Forked(benchmark, out / "said")
    out_, errors = process.communicate(300)
    return process.returncode, out_, errors


def rows(out: Path, part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"{part}.json").read_text())["rows"]
    return found


def test_its_parts_run_and_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, "smoke", "--limit-s", "0")
    assert code == 1 and "rerun to resume" in said
    code, said, errors = run(tmp_path)
    assert code == 0, said + errors
    assert "english: left out, it needs --data FOLDER" in said
    smoke, throughput, scaling = (rows(tmp_path, name) for name in ("smoke", "throughput", "scaling"))
    assert set(smoke) == {f"{name} fp32" for name in ENCODERS} and all(row["within"] for row in smoke.values())
    assert set(throughput) == {"fp32"} and throughput["fp32"]["within"]
    row = throughput["fp32"]
    assert set(row["step_s"]) == {"packed", "ours", "whole step"}
    assert abs(row["losses"]["ours"] - row["losses"]["packed"]) < 1e-3
    assert row["ratio_to_packed"]["packed"] == 1 and row["ratio_to_packed"]["ours"] > 0
    assert {name.split()[0] for name in scaling} == {"count", "seconds", "layers", "hidden_size"}
    assert "| layers 2 |" in (tmp_path / "scaling.md").read_text()
    code, said, _ = run(tmp_path)
    kept = [line for line in said.splitlines() if "english" not in line]
    assert code == 0 and kept == ["smoke: good", "throughput: good", "scaling: good"]


def test_a_difference_beyond_the_bounds_or_a_nan_is_not_within() -> None:
    right = torch.zeros(2, 3), torch.ones(4)
    for precision, (nats, share) in BOUNDS.items():
        assert differences((right[0] + 0.9 * nats, right[1]), right, precision)["within"]
        assert not differences((right[0] + 1.1 * nats, right[1]), right, precision)["within"]
        assert not differences((right[0], right[1] * (1 + 1.1 * share)), right, precision)["within"]
        assert not differences((right[0] * torch.nan, right[1]), right, precision)["within"]


def test_a_row_that_hung_is_not_tried_again_and_one_that_failed_is(tmp_path: Path) -> None:
    def part() -> Part:
        return Part(tmp_path / "part.json", {}, time.monotonic() + 60)

    def fail() -> dict[str, Any]:
        raise RuntimeError("CUDA error")

    first = part()
    first.row("failed", fail)
    first.row("unfinished", lambda: None)
    assert first.rows == {"failed": {"error": "CUDA error"}} and not first.complete
    hangs = Part(tmp_path / "part.json", {}, time.monotonic() + 60, 0.2)
    ended = Forked(lambda: hangs.row("hung", lambda: time.sleep(60)), tmp_path / "said")
    _, errors = ended.communicate(60)
    assert ended.returncode != 0 and "Timeout" in errors
    again = part()
    assert again.rows["hung"] == {"error": HUNG}
    again.row("hung", lambda: pytest.fail("tried again"))
    again.row("failed", lambda: {"value": 1})
    assert again.rows == {"failed": {"value": 1}, "hung": {"error": HUNG}} and not again.good


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tones corpus as gpu_pack.py writes it, in parts of at most 40 kB."""
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"))
    folder = tmp_path_factory.mktemp("packed") / "data"
    sizes = pack_data(corpus, folder, 40_000)
    assert len(sizes) > 1 and max(sizes) <= 40_000
    assert sum(sizes) == sum(path.stat().st_size for path in corpus.glob("*.wav"))
    for name in ("train", "dev", "test"):
        before, after = (read_manifest(place / f"{name}.jsonl") for place in (corpus, folder))
        assert [(one.id, one.text) for one in before] == [(one.id, one.text) for one in after]
        assert all(Path(one.audio).is_relative_to(folder) for one in after)
    assert all("==" in one for one in pinned(PACKAGES))
    return folder


class Deadline(Part):
    """A part whose time is up once ``is_up()``."""

    def __init__(self, path: Path, is_up: Callable[[], bool]) -> None:
        super().__init__(path, {}, 0)
        self.is_up = is_up

    @property
    def seconds_left(self) -> float:
        return 0.0 if self.is_up() else 600.0


def test_the_english_part_stops_in_time_resumes_evaluates_and_brings_the_model(
    tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ["--device", "cpu", "--toy", "--out", str(out), "--data", str(packed)]
    for setting in (
        "features.sample_rate=8000",
        "features.n_mels=16",
        "training.save_every_steps=1",
        "training.epochs=20",
    ):
        words += ["--set", setting]
    options = build_parser().parse_args(words)
    monkeypatch.setattr(
        "benchmarks.gpu_english._asr", lambda *words: Forked(lambda: main(list(words)), tmp_path / "said")
    )
    checkpoint = out / "english" / "checkpoints" / "last.ckpt"
    stopped = Deadline(out / "english.json", checkpoint.exists)
    run_english(stopped, torch.device("cpu"), options)
    assert not stopped.good and stopped.rows == {}
    ended = Deadline(out / "english.json", lambda: False)
    run_english(ended, torch.device("cpu"), options)
    assert ended.good and set(ended.rows) == {"train", "dev", "test"}
    assert ended.rows["train"]["epoch"] == 20 and ended.rows["test"]["wer"] >= 0
    starts = json.loads((out / "english" / "run.json").read_text())["starts"]
    assert len(starts) == 2 and starts[1]["from_step"] > 0

    monkeypatch.setattr("benchmarks.gpu_english.LARGEST_MB", 0.02)
    home = tmp_path / "home"
    bring(out, home)
    parts = sorted(home.glob("english.tar.*"))
    assert len(parts) > 2 and max(part.stat().st_size for part in parts) <= 20_000
    assert json.loads((home / "results.json").read_text())["english"]["rows"] == ended.rows
    with tarfile.open(fileobj=io.BytesIO(b"".join(part.read_bytes() for part in parts))) as archive:
        archive.extractall(tmp_path, filter="data")
    assert from_pretrained(tmp_path / "english" / "model").facts["dev_wer"] == ended.rows["train"]["dev_wer"]
    assert (tmp_path / "english" / "evaluation" / "dev" / "results.jsonl").exists()
