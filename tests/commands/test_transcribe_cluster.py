"""`asr transcribe --engine ray`: the same files as without, failures kept apart, whatever happens to its processes."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from asr.errors import AsrError
from asr.recognition.hypothesis import Hypothesis
from asr.transcription import job
from asr.transcription.options import TranscribeOptions
from tests.transcribe_stub import Stub, asr, recordings, tree


class Mortal(Stub):
    """Its process is killed at a recording beside a file .once, which is then gone, or .always."""

    def _hear(self, path: Path) -> Hypothesis | AsrError:
        once = path.with_suffix(".once")
        if once.exists() or path.with_suffix(".always").exists():
            once.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._hear(path)


def build(options: TranscribeOptions) -> Stub:
    """For the cluster's processes, which import it."""
    return Mortal()


def failed(folder: Path) -> set[str]:
    lines = (folder / "failures.jsonl").read_text().splitlines()
    return {Path(json.loads(line)["path"]).name for line in lines}


def test_without_ray_it_says_what_to_install(
    model: Path, tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert asr(model, recordings(tmp_path / "in", a_wav="one"), "--engine", "ray") == 2
    assert "pip install 'asr-bilstm[ray]'" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_are_killed_and_the_files_are_the_same_and_what_failed_is_done_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.data", reason="needs the extra [ray]")
    monkeypatch.setattr(job, "build_recognizer", build)
    folder = recordings(tmp_path / "in", **{f"r{number:02}_wav": f"text {number}" for number in range(26)})
    (folder / "r03.wav").write_text("BAD")
    local, out = tmp_path / "local", tmp_path / "out"
    assert asr(model, folder, "--format", "txt,json", "--output-dir", local) == 1

    (folder / "r12.once").touch()
    (folder / "r25.always").touch()
    ray = ["--format", "txt,json", "--output-dir", out, "--engine", "ray"]
    assert asr(model, folder, *ray) == 1
    assert not (folder / "r12.once").exists()
    assert failed(out) == {"r03.wav", *(f"r{number}.wav" for number in range(20, 26))}  # of 7, 7, 6 and 6 recordings
    (folder / "r25.always").unlink()
    assert asr(model, folder, *ray, "--skip-existing") == 1
    assert failed(out) == {"r03.wav"}
    assert tree(out) == tree(local)
    assert all((out / name).read_bytes() == (local / name).read_bytes() for name in tree(out) if "failures" not in name)
