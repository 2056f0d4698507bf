"""What the tests of `asr transcribe` share."""

from pathlib import Path

import pytest

from asr.transcription import job
from tests.transcribe_stub import Stub


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()
    monkeypatch.setattr(job, "build_recognizer", lambda options: made)
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"sha256": {"model.safetensors": "abc"}}')
    return tmp_path / "model"
