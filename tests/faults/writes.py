"""Commands that write, each run in a fork of this process in which a chosen change of a file fails.

In: a command and the number of the change (failing_writes.c counts them). Out: exit code, output, and the changes made.
"""

import ctypes
import importlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr import cli
from asr.errors import AsrError
from asr.training.logs import RunLogs
from tests.forked import Forked
from tests.tiny_run import overrides

SOURCE = Path(__file__).with_name("failing_writes.c")
IMPORTS = (  # what the forks would import again and again
    "asr.commands.evaluate", "asr.commands.export", "asr.commands.lm", "asr.commands.prepare", "asr.commands.score",
    "asr.commands.train", "asr.commands.transcribe", "asr.config.compose", "asr.lm.build", "asr.onnx.export",
    "asr.recognition", "asr.scoring.breakdown", "asr.scoring.output", "asr.training.start",
    "tensorboard.compat.proto.event_pb2", "tensorboard.summary.writer.record_writer",
)  # fmt: skip
TIMED = re.compile(r"seconds|time|date|real_time|sha256|duration_s|^(command|versions|commit|hardware)$")
LISTS = ("run.json", ".asr-transcripts.jsonl", "failures.jsonl", ".lock")  # a line for each start


@dataclass(frozen=True)
class Job:
    """A command whose writes fail, run in a folder with ``data/``, ``corpus/``, ``model/``, ``ref.txt``, ``tiny.yaml``.

    ``losable``: where a change may fail without a word, because nothing that anybody waits for is lost; ``needs``: an
    optional package; ``slow``: for `make torture` alone.
    """

    name: str
    words: str
    losable: str = ""
    needs: str = ""
    slow: bool = False


def correct(_: list[str]) -> int:
    """Write three corrections into a log that may hold some of them already."""
    from asr.server.corpus_log import Correction, CorrectionLog

    try:
        log = CorrectionLog(Path("log"))
        for number in range(len(log.lines), 3):
            log.append(Correction(
                segment=f"{number:016x}", version=1, status="corrected", text="é" * 9, by="ann", draft="e", model="m",
                at="2026-01-01T00:00:00+00:00", seconds=1, recording="a.wav", sha256="0" * 64, start_s=0, end_s=1,
            ))  # fmt: skip
    except (AsrError, OSError) as error:
        return cli._report(error)
    return 0


TRAINING = overrides(
    Path("data"), Path("run"), data__cache_mb=1,
    training__epochs=2, training__save_every_steps=3, training__tensorboard=True,
)  # fmt: skip
JOBS = [
    Job(
        "train", f"train tiny.yaml {' '.join(TRAINING)}", losable=r"data/decoded-audio.cache|run/tensorboard", slow=True
    ),
    Job("transcribe", "transcribe model data/test0.wav data/test1.wav --output-dir out --format txt --format srt"),
    Job("evaluate", "evaluate model data/test.jsonl --out out"),
    Job("prepare", "prepare folder corpus out"),
    Job("shards", "prepare folder corpus out shards=out/shards", needs="webdataset", slow=True),
    Job("align", "align model data/test0.wav ref.txt --segments out --output-dir out/texts", slow=True),
    Job("suggest", "suggest model data --out out/next.jsonl", slow=True),
    Job("score", "score ref.txt ref.txt --out out"),
    Job("report", "report results.jsonl --html out/page.html --json out/page.json --csv out/page.csv", slow=True),
    Job("lm", "lm build ref.txt --out out/3gram.arpa"),
    Job("export", "export model", needs="onnx"),
    Job("corrections", "corrections", needs="pydantic"),
]
COMMANDS: dict[str, Callable[[list[str]], int]] = {"corrections": correct}


@dataclass(frozen=True)
class Outcome:
    """What a command did: ``changes`` as "KIND PATH", in order."""

    code: int | None
    errors: str
    changes: list[str]


class FailingDisk:
    """Commands on a disk that fails; the library is compiled into ``folder``, and their output goes there."""

    def __init__(self, folder: Path) -> None:
        self.folder, library = folder, folder / "failing_writes.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True)
        self._library = ctypes.CDLL(str(library))
        for name in IMPORTS:
            importlib.import_module(name)

    def run(self, words: str, place: Path, at: int = 0, code: int = 0, stays: bool = False) -> Outcome:
        """A command in the folder ``place``; change ``at`` (0: none) fails with errno ``code``, and if ``stays`` all
        that come after it.
        """
        changes = self.folder / "changes.txt"

        def run() -> int:
            os.chdir(place)
            trace = os.open(changes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            RunLogs.draw = lambda self: None  # type: ignore[method-assign]
            self._library.fail_at(os.fsencode(place), ctypes.c_long(at), code, stays, trace)
            return COMMANDS.get(words, cli.main)(words.split())

        process = Forked(run, self.folder)
        _, errors = process.communicate(300)
        return Outcome(process.returncode, errors, changes.read_text(encoding="utf-8").splitlines())


def results(folder: Path) -> dict[str, Any]:
    """What every file below ``folder`` holds, without what a clock measured."""
    return {
        path.relative_to(folder).as_posix(): _content(path)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".cache" and path.parent.name != "tensorboard"
    }


def _content(path: Path) -> Any:
    content = path.read_bytes()
    if path.name in LISTS or path.suffix in (".md", ".ckpt"):
        return None
    if path.suffix not in (".json", ".jsonl"):
        return content
    return [_timeless(json.loads(line)) for line in (content.splitlines() if path.suffix == ".jsonl" else [content])]


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _timeless(one) for key, one in value.items() if not TIMED.search(key)}
    return [_timeless(one) for one in value] if isinstance(value, list) else value
