"""What all tests share: one thread a process, an order, and the real corpora where they are at hand."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before anything imports torch; subprocesses inherit it. Tests run beside each other, and one thread repeats exactly.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("TENSORBOARD_NO_TENSORFLOW", "1")
os.environ.pop("ASR_DEBUG", None)

# A shell without job control starts what it puts in the background with Ctrl-C ignored, and every child inherits that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
LONGEST = ("training", "commands", "tests", "recognition", "server", "models")  # folders of long files

# While everything is imported and collected nothing becomes garbage, and what is there then stays: the collector would
# look through it again and again.
gc.disable()


def pytest_collection_finish() -> None:
    """Memory is looked after again, but for what is there by now."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that at the end no process waits for another's long one."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora: ``$ASR_CORPORA``, else ``../shared/corpora`` beside the checkout; else skips."""
    folder = Path(os.environ.get("ASR_CORPORA") or ROOT.parent / "shared" / "corpora").resolve()
    if not folder.is_dir():
        pytest.skip(f"no real corpora at {folder} (set ASR_CORPORA to their folder)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def draw_curves() -> Iterator[Callable[..., None]]:
    """No run draws its curves, which takes longer than training a tiny model; a test can put this, ``draw``, back."""
    from asr.training.logs import RunLogs

    with pytest.MonkeyPatch.context() as patch:
        real = RunLogs.draw
        patch.setattr(RunLogs, "draw", lambda self: None)
        yield real


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The installed package: the folder with configuration and recipes, and no model yet in ``_pretrained``."""
    folder = tmp_path / "site-packages" / "asr"
    (folder / "_pretrained").mkdir(parents=True)
    for name in ("conf", "recipes"):
        (folder / f"_{name}").symlink_to(ROOT / name)
    monkeypatch.setattr("asr.shipped._PACKAGE", folder)
    return folder
