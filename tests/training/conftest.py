"""A corpus of tones, made once."""

from pathlib import Path

import pytest

from tests.tiny_run import make_corpus


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl (13 utterances), dev.jsonl (3) and test.jsonl (2)."""
    return make_corpus(tmp_path_factory.mktemp("tones"))
