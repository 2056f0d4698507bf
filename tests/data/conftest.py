"""What the tests of data share."""

import functools
from pathlib import Path

import pytest

from asr.audio import probe

probe_once = functools.cache(probe)


@pytest.fixture
def corpora(corpora: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real corpora, whose recordings are opened once: several tests prepare the same thousands."""
    monkeypatch.setattr("asr.data.recordings.probe", probe_once)
    return corpora
