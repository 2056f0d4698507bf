"""A corpus of tones, made once, and no curves where nobody looks at them."""

from pathlib import Path

import pytest

from asr.training.logs import RunLogs
from tests.tiny_run import make_corpus


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl (13 utterances), dev.jsonl (3) and test.jsonl (2)."""
    return make_corpus(tmp_path_factory.mktemp("tones"))


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunLogs, "draw", lambda self: None)
