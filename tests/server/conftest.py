"""A server on a free port of this process, with a small random model whose texts are long and all different."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.random_model import RATE, save_random_model

pytest.importorskip("fastapi", reason="needs the extra [server]")
HIGH = 24_000  # Hz
Sound = np.ndarray[Any, np.dtype[np.int16]]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("served") / "tiny" / "model")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Noise of half a second to two minutes, which is several windows."""
    folder = tmp_path_factory.mktemp("recordings")
    made = []
    for index, seconds in enumerate([1.0, 0.5, 3.3, 120.0, 2.2]):
        generator = np.random.default_rng(index)
        level = np.repeat(generator.uniform(0, 0.5, int(seconds * 20) + 1), RATE // 20)[: int(seconds * RATE)]
        made.append(folder / f"recording {index}.wav")
        sound = level * np.cumsum(generator.standard_normal(level.size)) / 50
        soundfile.write(made[-1], sound.clip(-1, 1).astype(np.float32), RATE, subtype="FLOAT")
    return made


@pytest.fixture(scope="session")
def sound() -> Sound:
    """8 s at 24 kHz: noise, a softer noise with pauses between the tokens that it makes, noise."""
    generator = np.random.default_rng(3)
    noise = np.cumsum(generator.standard_normal(HIGH * 3)) / 50
    level = np.repeat(generator.uniform(0, 0.5, 60), HIGH // 20)
    loud = np.round((noise * level).clip(-1, 1) * 32000).astype(np.int16)
    soft = (generator.standard_normal(HIGH * 2) * 3000).astype(np.int16)
    return np.concatenate((loud, soft, loud))


@dataclass
class Running:
    """``address`` of a server; its ``state`` and open ``connections``; ``hold()`` keeps it from finishing any recording
    within the ``with``; ``stall_s(seconds)`` is how long a client that comes within the ``with`` may send nothing.
    """

    address: str
    state: Any
    connections: set[Any]

    @contextlib.contextmanager
    def hold(self, model: str = "") -> Iterator[None]:
        recognizer, free = self.state.models.get(model).recognizer, threading.Event()
        decoder = recognizer.decoder

        def waiting(*arguments: Any) -> Any:
            free.wait()
            return decoder(*arguments)

        recognizer.decoder = waiting
        try:
            yield
        finally:
            recognizer.decoder = decoder
            free.set()

    @contextlib.contextmanager
    def stall_s(self, seconds: float) -> Iterator[None]:
        before = self.state.options.stall_s
        object.__setattr__(self.state.options, "stall_s", seconds)
        try:
            yield
        finally:
            object.__setattr__(self.state.options, "stall_s", before)

    def metric(self, name: str, **labels: str) -> float:
        return float(self.state.metrics.registry.get_sample_value(name, labels) or 0)


Start = Callable[..., contextlib.AbstractContextManager[Running]]


@pytest.fixture(scope="session")
def start(model: Path) -> Start:
    """A server with the options given; it ends with the ``with``."""
    from asr.server.app import create_app
    from asr.server.options import ServeOptions
    from asr.server.serve import make_server

    @contextlib.contextmanager
    def started(**options: Any) -> Iterator[Running]:
        chosen = ServeOptions(
            **{"models": {"tiny": model}, "speech_gate": False, "workers": 2, "grace_s": 5, **options}
        )
        app = create_app(chosen)
        with socket.create_server(("127.0.0.1", options.get("port", 0))) as listener:
            server = make_server(app, chosen)
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            try:
                until(lambda: server.started)
                yield Running(
                    f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.asr, server.server_state.connections
                )
            finally:
                server.should_exit = True
                thread.join(60)
        assert not thread.is_alive()
        assert not app.state.asr.models.alive

    return started


def until(condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, "it never came to be"
        time.sleep(0.01)
