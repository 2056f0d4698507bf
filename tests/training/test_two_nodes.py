"""Two machines under torchrun, here two agents on one: whoever is killed, the run goes on as if nothing happened."""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from asr.cli import main
from tests.tiny_run import equal_weights, overrides, timeless_metrics, weights, write_recipe

FORK = multiprocessing.get_context("fork")  # starts at once: torch is imported already
LIMIT_S = 280.0


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """Within the ``with`` no other process gets it by chance; torch's store may listen, as it sets SO_REUSEADDR too."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        yield int(one.getsockname()[1])


def worker(arguments: list[str], said: Path) -> None:
    """A process of the training: ``asr``, with its number and its messages in files."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not that of the agent
    said.with_suffix(".pid").write_text(str(os.getpid()))
    with said.open("a") as stream, contextlib.redirect_stderr(stream):
        code = main(arguments)
    if code:
        sys.exit(code)


def agent(arguments: list[str], said: Path, port: int) -> None:
    """What torchrun does on one machine; a process group of its own, which a power cut ends at once."""
    os.setpgid(0, 0)
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    config = LaunchConfig(
        min_nodes=2, max_nodes=2, nproc_per_node=1, start_method="fork", monitor_interval=0.05, max_restarts=3,
        rdzv_backend="c10d", rdzv_endpoint=f"localhost:{port}", run_id="nodes", local_addr="localhost",
        rdzv_configs={"is_host": said.name == "host", "keep_alive_interval": 3},
    )  # fmt: skip
    elastic_launch(config, worker)(arguments, said)


def start(arguments: list[str], said: Path, port: int) -> Any:
    """``agent``, forked from a thread: rendezvous looks at its whole stack again and again."""
    process = FORK.Process(target=agent, args=(arguments, said, port))
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
    return process


def end(*processes: Any) -> list[int]:
    for process in processes:
        process.join(LIMIT_S)
    return [process.exitcode for process in processes]


@pytest.fixture(scope="module")
def command(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[str]]:
    """The arguments of a run in a folder."""
    recipe = write_recipe(tmp_path_factory.mktemp("recipe"))
    changes = {"training__epochs": 4, "training__save_every_steps": 1, "data__batching__batch_s": 0.8}
    return lambda folder: ["train", str(recipe), *overrides(tones, folder, data__workers=1, **changes)]


@pytest.fixture(scope="module")
def whole(command: Callable[[Path], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with free_port() as port:
        nodes = [start(command(folder / "run"), folder / name, port) for name in ("host", "other")]
        assert end(*nodes) == [0, 0]
    return folder / "run"


@pytest.fixture
def port() -> Iterator[int]:
    with free_port() as one:
        yield one


@pytest.mark.parametrize(
    "killed", ["host", *(pytest.param(name, marks=pytest.mark.slow) for name in ("other", "machine"))]
)
def test_a_process_or_a_machine_is_killed_and_the_end_is_the_same_to_the_bit(
    command: Callable[[Path], list[str]], whole: Path, tmp_path: Path, port: int, killed: str
) -> None:
    run = tmp_path / "run"
    nodes = {name: start(command(run), tmp_path / name, port) for name in ("host", "other")}
    checkpoint, saves, before, until = run / "checkpoints" / "last.ckpt", 0, 0, time.monotonic() + LIMIT_S
    while saves < 4:
        assert time.monotonic() < until and all(node.is_alive() for node in nodes.values())
        now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        saves, before = saves + (now != before), now
        time.sleep(0.001)
    if killed == "machine":
        os.killpg(nodes["other"].pid, signal.SIGKILL)
        nodes["other"].join()
        nodes["other"] = start(command(run), tmp_path / "again", port)
    else:
        os.kill(int((tmp_path / f"{killed}.pid").read_text()), signal.SIGKILL)
    assert end(*nodes.values()) == [0, 0]
    assert equal_weights(weights(whole), weights(run))
    assert timeless_metrics(whole) == timeless_metrics(run)
    said = (tmp_path / ("other" if killed == "host" else "host")).read_text()
    assert "asr: error[training]" in said and "another process of this training ended" in said
    assert "resuming from epoch" in (tmp_path / "host").read_text()
