"""Corrections outlive the server, whatever kills it; damage and folders that do not serve are told in one message."""

import contextlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.data.manifest import read_manifest
from asr.errors import AsrError
from asr.files import sha256_file
from asr.recognition.suggestions import Candidate, rank_untranscribed
from asr.server.corpus import Corpus
from asr.server.corpus_files import DraftFile, DraftSegment
from asr.server.corpus_order import CORRECTIONS
from tests.server.conftest import until

# The server without a model: the paths, and what they keep; it tells its port.
SERVER = """
import socket, sys, uvicorn
from pathlib import Path
from typing import Any
from fastapi import FastAPI
from asr.recognition.suggestions import Candidate, rank_untranscribed
from asr.server.corpus import Corpus
from asr.server.corpus_paths import add_corpus_paths
from asr.server.gate import Gate
from asr.server.options import ServeOptions

options, app = ServeOptions(models={}), FastAPI()
add_corpus_paths(app, Corpus(Path(sys.argv[1])), Gate(options, None), options, lambda text: None)
assert "torch" not in sys.modules
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of 40 s in 40 segments that are drafted."""
    soundfile.write(tmp_path / "tape.wav", np.zeros(8000 * 40, np.int16), 8000)
    with contextlib.closing(Corpus(tmp_path)) as corpus:
        recording = corpus.recordings[0]
        segments = [
            DraftSegment(start_s=number, end_s=number + 1, text=text, confidence=sure)
            for number, (text, sure) in enumerate([("", 0.1), ("c", 0.7), ("ca", 0.3), ("a", 0.5), *[("d", 0.9)] * 36])
        ]
        drafts = DraftFile(
            recording="tape.wav", size=recording.size, mtime_ns=recording.mtime_ns, model="m", key="k",
            sha256=sha256_file(recording.path), segments=tuple(segments),
        )  # fmt: skip
        corpus.keep(recording, drafts)
    return tmp_path


def corrected(folder: Path) -> Path:
    """The log after three corrections."""
    with contextlib.closing(Corpus(folder)) as corpus:
        for version, text in enumerate(("one", "two", "three")):
            corpus.save(corpus.find(ids(corpus)[0]), "corrected", text, "ann", version, 1.5)  # type: ignore[arg-type]
    return folder / "corrections" / "log.jsonl"


def ids(corpus: Corpus) -> list[str]:
    return [one["id"] for one in corpus.queue("recording", "all", 0, 100)["segments"]]


def test_the_queue_is_ranked_as_suggestions_are_and_corrected_texts_count_as_known(folder: Path) -> None:
    def candidates(segments: list[dict[str, Any]]) -> list[Candidate]:
        return [
            Candidate(id=one["id"], duration_s=1, text=one["text"], confidence=one["confidence"]) for one in segments
        ]

    with contextlib.closing(Corpus(folder)) as corpus:
        corpus.normalize = str.lower
        queue = corpus.queue("recording", "open", 0, 100)["segments"]
        expected = [one.candidate.id for one in rank_untranscribed(candidates(queue))]
        assert [one["id"] for one in corpus.queue("useful", "open", 0, 100)["segments"]] == expected
        assert expected != [one["id"] for one in queue] and corpus.queue("useful", "open", 38, 6)["total"] == 40
        for one in queue[-CORRECTIONS:]:
            corpus.save(corpus.find(one["id"]), "corrected", "C CA", "ann", 0, 0)  # type: ignore[arg-type]
        left = queue[:-CORRECTIONS]
        expected = [one.candidate.id for one in rank_untranscribed(candidates(left), [("c ca", None)] * CORRECTIONS)]

        def ranked() -> bool:
            return [one["id"] for one in corpus.queue("useful", "open", 0, 100)["segments"]] == expected

        until(ranked)


def test_work_is_counted_over_all_changes_of_a_segment(folder: Path) -> None:
    corrected(folder)
    only = read_manifest(folder / "corrected.jsonl")
    assert [(one.text, one.extra["seconds"], one.duration_s) for one in only] == [("three", 4.5, 1.0)]


def test_corrections_go_by_the_content_of_a_recording_not_by_its_name(folder: Path) -> None:
    corrected(folder)
    shutil.rmtree(folder / "corrections" / "drafts")
    with contextlib.closing(Corpus(folder)):  # the content is known without drafts
        assert [one.text for one in read_manifest(folder / "corrected.jsonl")] == ["three"]
    soundfile.write(folder / "tape.wav", np.zeros(1600), 16_000)  # another recording of that name
    with contextlib.closing(Corpus(folder)):
        assert not (folder / "corrected.jsonl").exists()


@pytest.mark.parametrize(
    "change", [lambda log: shutil.copy(log, log.with_name("copy")), lambda log: log.with_name("copy").touch()]
)
def test_nothing_is_acknowledged_where_the_log_was_replaced(folder: Path, change: Callable[[Path], object]) -> None:
    log = corrected(folder)
    with contextlib.closing(Corpus(folder)) as corpus:
        change(log)
        log.with_name("copy").replace(log)  # as editors and programs that synchronise folders save
        segment = corpus.find(ids(corpus)[0])
        assert segment is not None
        with pytest.raises(OSError, match=r"changed by another program .*restart the server.*log\.jsonl"):
            corpus.save(segment, "corrected", "four", "ann", 3, 0)
        assert (segment.version, segment.text) == (3, "three")


def test_a_renamed_recording_keeps_its_corrections_from_the_start(folder: Path) -> None:
    corrected(folder)
    (folder / "tape.wav").rename(folder / "renamed.wav")
    soundfile.write(folder / "aa.wav", np.ones(8000 * 40, np.int16), 8000)  # of the same size
    with contextlib.closing(Corpus(folder)) as corpus:  # nothing is drafted
        assert [(one.text, Path(one.audio).name) for one in read_manifest(folder / "corrected.jsonl")] == [
            ("three", "renamed.wav")
        ]
        assert len(ids(corpus)) == 40


@pytest.mark.parametrize("kept", [0, 1, -1])
def test_a_line_that_was_never_finished_was_never_acknowledged(folder: Path, kept: int) -> None:
    log = corrected(folder)
    *whole, last, _ = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([*whole, last[:kept] if kept else last]))  # killed within the write
    with contextlib.closing(Corpus(folder)) as corpus:
        segment = corpus.find(ids(corpus)[0])
        assert segment is not None and (segment.text, segment.version) == ("two", 2)
        corpus.save(segment, "corrected", "four", "ben", 2, 0)
    with contextlib.closing(Corpus(folder)):  # and it can be read again
        assert read_manifest(folder / "corrected.jsonl")[0].text == "four"


def damaged(folder: Path) -> None:
    log = corrected(folder)
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([lines[0], lines[1][:20], *lines[2:]]))


def without_a_line(folder: Path) -> None:
    log = corrected(folder)
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([lines[0], *lines[2:]]))


def anothers_manifest(folder: Path) -> None:
    (folder / "corrections").rename(folder / "elsewhere")
    (folder / "corrected.jsonl").write_text("{}")


def without_recordings(folder: Path) -> None:
    (folder / "tape.wav").unlink()


def not_writable(folder: Path) -> None:
    log = folder / "corrections" / "log.jsonl"
    log.unlink()
    log.mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, r"log\.jsonl: 1 error .*\n  line 2 is no correction \(.*\n  Nothing was changed\. Restore"),
        (without_a_line, r"line 2 is version 3 of a segment whose last one is 1"),
        (anothers_manifest, r"corrected\.jsonl: was not written by asr serve --corpus.*rename it"),
        (without_recordings, r"--corpus .*: it holds no recordings .*put recordings there"),
        (not_writable, r"log\.jsonl: cannot be written \(Is a directory\); check"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), r"there is no such folder; give the folder"),
    ],
)
def test_a_folder_that_does_not_serve_is_refused_and_nothing_is_changed(
    folder: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(AsrError, match=message):
        Corpus(folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_process_writes_at_a_time(folder: Path) -> None:
    with contextlib.closing(Corpus(folder)), pytest.raises(AsrError, match="another asr serve --corpus writes there"):
        Corpus(folder)
    Corpus(folder).close()


def test_a_disk_that_is_full_loses_nothing_that_was_acknowledged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = corrected(folder)
    before = log.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with contextlib.closing(Corpus(folder)) as corpus:
        segment = corpus.find(ids(corpus)[0])
        assert segment is not None
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr("os.fsync", full)
            corpus.save(segment, "corrected", "four", "ann", 3, 0)
        assert (segment.version, log.read_bytes()) == (3, before)
        corpus.save(segment, "corrected", "five", "ann", 3, 0)
    assert log.read_bytes().count(b"\n") == 4


def test_every_acknowledged_correction_outlives_sigkill(folder: Path) -> None:
    with contextlib.closing(Corpus(folder)) as corpus:
        names = ids(corpus)
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    acknowledged: dict[str, list[str]] = {}

    def correct(mine: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            for version in range(1000):
                for name in mine:
                    text = f"{name} {version}"
                    body = json.dumps({"text": text, "by": "ann", "version": version})
                    path = f"/corpus/segments/{name}"
                    connection.request("PUT", path, body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    assert answer.status == 200
                    acknowledged.setdefault(name, []).append(text)

    writers = [threading.Thread(target=correct, args=(names[start::3],)) for start in range(3)]
    for writer in writers:
        writer.start()
    until(lambda: sum(map(len, acknowledged.values())) > 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for writer in writers:
        writer.join()
    with contextlib.closing(Corpus(folder)) as corpus:
        for name, texts in acknowledged.items():
            segment = corpus.find(name)
            assert segment is not None
            assert [line.text for line in segment.lines][: len(texts)] == texts
            assert len(segment.lines) <= len(texts) + 1  # one may have been kept whose answer did not come
    assert len(read_manifest(folder / "corrected.jsonl")) >= len(acknowledged)
