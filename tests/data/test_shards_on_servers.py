"""Shards on HTTP and S3, from servers that fail for a while or go on failing."""

import contextlib
import dataclasses
import http.server
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from asr.audio import probe, shards
from asr.audio.shards import ShardPlace, read_member, shard_place
from asr.cli import main
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.recordings import load_utterance, with_durations
from asr.data.shards import write_shards
from asr.errors import AsrError, AudioDamagedError, AudioMissingError, AudioUnreachableError, ConfigError, DataError
from asr.training.start import train
from tests.data.test_shards import NOISE, same_sound, sharded
from tests.tiny_run import (
    Quiet,
    equal_weights,
    make_corpus,
    overrides,
    settings,
    weights,
    write_recipe,
)

WAITING: set[int | str] = {"stalls", "drips"}
SHORT_S, LONG_S = 0.3, 60.0


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files`` by ranges, after the faults in ``server.faults``."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked += 1
        fault = self.server.faults.pop(0) if self.server.faults else None
        if not self.server.faults:
            shards.TIMEOUT_S = LONG_S  # of the next request
        body = self.server.files.get(self.path)
        if isinstance(fault, int) or body is None:
            self.send_error(fault if isinstance(fault, int) else 404)
            return
        start, stop = (int(one) for one in self.headers["Range"].removeprefix("bytes=").split("-"))
        part = body[start : stop + 1]
        self.send_response(200 if fault == "whole" else 206 if part else 416)
        shift = 1 if fault == "another part" else 0
        self.send_header("Content-Range", f"bytes {start + shift}-{start + shift + len(part) - 1}/{len(body)}")
        if fault != "endless":
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if fault == "stalls":
            self.server.released.wait()
        elif fault == "drips":
            for byte in part[:100]:
                self.wfile.write(bytes([byte]))
                if self.server.released.wait(0.05):
                    break
        elif fault == "endless":
            for _ in range(100):
                self.wfile.write(part)
        else:
            self.wfile.write(part[: len(part) // 2] if fault == "cut" else part)
        self.close_connection = fault is not None

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[int | str] = []
        self.asked = 0
        self.released = threading.Event()

    def fail(self, *faults: int | str) -> None:
        """Answer the next requests so; a client that such a fault keeps waiting gives up soon."""
        self.faults, shards.TIMEOUT_S = list(faults), SHORT_S if WAITING & set(faults) else LONG_S

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(shards, "PAUSE_S", 0.001)
    monkeypatch.setattr(shards, "TIMEOUT_S", LONG_S)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def served(server: Server, tmp_path: Path) -> tuple[Utterance, Utterance]:
    """An utterance of a file, and the same from a shard on the server."""
    soundfile.write(tmp_path / "a.wav", NOISE[:8000], 16_000)
    one = Utterance(id="a", audio=str(tmp_path / "a.wav"), duration_s=0.5, text="a")
    (moved,) = sharded(tmp_path, [one])
    place = shard_place(moved.audio)
    assert place is not None
    server.files["/a.tar"] = Path(place.shard).read_bytes()
    return one, dataclasses.replace(moved, audio=str(dataclasses.replace(place, shard=f"{server.url}/a.tar")))


def test_many_recordings_on_a_server_are_opened_in_this_process(
    served: tuple[Utterance, Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections are not for a forked one."""
    monkeypatch.setattr("asr.cores.usable_cores", lambda: 2)
    monkeypatch.setattr("asr.data.recordings._OPENED", 1)
    probed, processes = list[str](), set[int]()

    def noted(path: str) -> object:
        probed.append(path)
        processes.add(os.getpid())
        return probe(path)

    monkeypatch.setattr("asr.data.recordings.probe", noted)
    found = with_durations([dataclasses.replace(one, id=f"{n}", duration_s=0) for n, one in enumerate(served)])
    assert [one.duration_s for one in found] == [0.5, 0.5]
    assert processes == {os.getpid()} and sorted(probed) == sorted(one.audio for one in served)


@pytest.mark.parametrize("fault", [503, 429, 500, "cut", "stalls", "drips", "another part", "endless"])
def test_a_server_that_fails_for_a_while_is_asked_again(
    fault: int | str, served: tuple[Utterance, Utterance], server: Server
) -> None:
    one, other = served
    server.fail(fault, fault)

    assert same_sound(one, other)
    assert server.asked == 3 or (fault in WAITING and server.asked > 3)  # on a machine that stands still


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (503, "the server answered 503"),
        ("cut", "the connection ended|IncompleteRead|Connection broken"),
        ("stalls", "timed out"),
        ("drips", "became too slow|timed out"),
    ],
)
def test_a_server_that_goes_on_failing_is_one_error_and_no_hang(
    fault: int | str, said: str, served: tuple[Utterance, Utterance], server: Server
) -> None:
    server.fail(*[fault] * 9)

    with pytest.raises(AudioUnreachableError, match=rf"http://.*a\.tar: reading bytes .* failed 5 times .*({said})"):
        load_utterance(served[1], 8000)

    ends_s = time.monotonic() + 60
    while server.asked < 5 and time.monotonic() < ends_s:  # the last was given up before the server looked at it
        time.sleep(0.01)
    assert server.asked == 5


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (404, AudioMissingError, "the server answered 404"),
        (403, AudioMissingError, "the server answered 403"),
        ("whole", AudioUnreachableError, "sends whole files only"),
    ],
)
def test_what_another_attempt_would_not_change_is_said_at_once(
    fault: int | str, kind: type[AsrError], said: str, served: tuple[Utterance, Utterance], server: Server
) -> None:
    server.fail(*[fault] * 9)
    with pytest.raises(kind, match=said):
        load_utterance(served[1], 8000)
    assert server.asked == 1


@pytest.mark.parametrize("fault", ["stalls", 503])
def test_a_training_whose_server_fails_ends_with_one_message_and_exit_code_1(
    fault: int | str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_corpus(tmp_path / "data", test=0)
    write_shards(data, str(tmp_path / "tars"), 1.0)
    server.files = {f"/{one.name}": one.read_bytes() for one in (tmp_path / "tars").iterdir()}
    train_manifest = data / "train.jsonl"
    train_manifest.write_text(train_manifest.read_text().replace(str(tmp_path / "tars"), server.url))
    server.fail(*[fault] * 1000)

    code = main(["train", str(write_recipe(tmp_path)), *overrides(data, tmp_path / "run", data__workers=1)])

    said = capsys.readouterr().err
    assert code == 1 and said.count("error[") == 1 and "Traceback" not in said
    assert f"asr: error[audio-unreachable]: {server.url}/train-" in said


def test_nobody_listens(served: tuple[Utterance, Utterance], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PAUSE_S", 0.001)
    with pytest.raises(AudioUnreachableError, match="failed 5 times"):
        read_member(ShardPlace("http://127.0.0.1:9/a.tar", 0, 10, 0))


def test_a_manifest_keeps_addresses_as_they_are(served: tuple[Utterance, Utterance], tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [served[1]])
    assert read_manifest(tmp_path / "m.jsonl") == [served[1]]


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/a", "ftp://a/b", "file:///tmp/a", "simplecache::s3://a/b"])
def test_shards_are_written_to_folders_and_stores_only(target: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shards="):
        write_shards(tmp_path, target, 1.0)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 bucket on this machine."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}.items():
            patch.setenv(f"AWS_{name}", value)
        import fsspec

        fsspec.filesystem("s3").mkdir("speech")
        yield "s3://speech"
    server.stop()


def test_shards_in_s3(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PAUSE_S", 0.001)
    of_files = make_corpus(tmp_path / "files")
    of_shards = make_corpus(tmp_path / "shards")
    write_shards(of_shards, f"{bucket}/tones", 0.02)
    moved = read_manifest(of_shards / "train.jsonl")
    assert all(one.audio.startswith("s3://speech/tones/train-0000") for one in moved)
    assert all(same_sound(*pair) for pair in zip(read_manifest(of_files / "train.jsonl"), moved, strict=True))
    for where, runs in ((of_files, "one"), (of_shards, "other")):
        train(settings(where, data__cache_mb=0, data__workers=1, training__epochs=1), tmp_path / runs, Quiet())
    assert equal_weights(weights(tmp_path / "one"), weights(tmp_path / "other"))

    place = shard_place(moved[0].audio)
    assert place is not None
    with pytest.raises(AudioMissingError, match="there is no such object"):
        read_member(dataclasses.replace(place, shard=f"{bucket}/none.tar"))
    with pytest.raises(AudioDamagedError, match="ends before"):
        read_member(dataclasses.replace(place, offset=10**9))
    with pytest.raises(DataError, match="cannot be written"):
        make_corpus(tmp_path / "more")
        write_shards(tmp_path / "more", "s3://no-such-bucket/a", 1.0)
