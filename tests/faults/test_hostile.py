"""No payload runs code, starts a program, connects, reads or writes outside, takes the machine, or forges a line."""

import re
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import soundfile

from asr import cli
from asr.errors import AsrError
from tests.faults import audio
from tests.faults.case import asr
from tests.faults.hostile import PAYLOADS, SECRET, Payload
from tests.faults.ids import EXIT_CODES
from tests.faults.test_matrix import LONGEST_CPU_S, MESSAGE, contents
from tests.random_model import RATE, save_random_model

MOST_MEMORY_KIB = 200_000
FORBIDDEN = {
    "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pickle.find_class", "socket.bind",
    "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "webbrowser.open",
}  # fmt: skip


class Watch:
    """What Python's audit hook has seen of ``FORBIDDEN`` events while ``on``; hooks cannot be removed."""

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, values: tuple[Any, ...]) -> None:
        numba = event == "pickle.find_class" and values[0] != Path.__module__  # its cache; a Bomb is made of a Path
        version = event == "subprocess.Popen" and values[0] == "git"
        if self.on and event in FORBIDDEN and not numba and not version:
            self.seen.append(f"{event} {values!r}")


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and a recording, and beside their folder one that holds a secret."""
    folder = tmp_path_factory.mktemp("hostile")
    save_random_model(folder / "inside" / "model")
    soundfile.write(folder / "inside" / "good.wav", audio.NOISE[: RATE // 4], RATE)
    (folder / "outside").mkdir()
    (folder / "outside" / "secret").write_text(SECRET)
    cli.main(["transcribe", str(folder / "inside" / "model"), str(folder / "inside" / "good.wav")])  # imports all
    return folder


@pytest.fixture
def inside(common: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to work in."""
    shutil.copytree(common, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "inside")
    monkeypatch.setenv("ASR_SECRET", SECRET)
    return tmp_path / "inside"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda one: one.given.replace(" ", "-"))
def test_no_canary_sings(
    payload: Payload, inside: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    payload.put(inside)
    before, outside = contents(inside), contents(inside.parent / "outside")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watch.seen, watch.on, started_s = [], True, time.process_time()
    try:
        code, id_ = run(payload, inside, monkeypatch)
    finally:
        watch.on = False
    took_s = time.process_time() - started_s
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib

    found = capfd.readouterr()
    said = [id_] if payload.call else [one[1] or "usage" for one in MESSAGE.finditer(found.err)]
    assert set(said) == {payload.id} - {""}, found.err
    expected = EXIT_CODES[payload.id] if payload.id else 0
    assert code == (expected if payload.code is None else payload.code)
    assert watch.seen == []
    assert contents(inside.parent / "outside") == outside and not (inside / "canary").exists()
    written = {
        name: text.decode("utf-8", "replace") for name, text in contents(inside).items() if text != before.get(name)
    }
    for text in (SECRET, "Traceback"):
        assert not [one for one in (found.out, found.err, *written.values()) if text in one], text
    shown = [shown_text(name, text) for name, text in written.items() if name.endswith((".html", ".md", ".csv"))]
    for text in payload.never:
        assert not [one for one in (shown or [found.out, found.err]) if text in one], text
    assert grown_kib < MOST_MEMORY_KIB and took_s < LONGEST_CPU_S


def shown_text(name: str, text: str) -> str:
    """A page without its blocks and spans of code, if it is Markdown."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL) if name.endswith(".md") else text


def run(payload: Payload, inside: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code, and the id of the error of a call."""
    if payload.call is None:
        return asr(payload.arguments, monkeypatch), ""
    try:
        payload.call(inside)
    except AsrError as error:
        return error.exit_code, error.id
    return 0, ""
