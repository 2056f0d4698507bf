"""Downloads go on where they broke off, wrong bytes never get the final name, archives stay in their folder."""

import fcntl
import hashlib
import http.server
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr.data.fetch import extract, fetch, fetch_archive
from asr.errors import DataError

CONTENT = bytes(range(256)) * 4000  # 1 MB


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files`` with ranges; it can close early, answer errors, or ignore ranges."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range"))
        if self.server.errors:
            self.send_error(self.server.errors.pop(0))
            return
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", self.server.etag) == self.server.etag
        start = int(match[1]) if match and same and self.server.ranges else 0
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        end = min(len(body), start + self.server.breaks.pop(0)) if self.server.breaks else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/corpus.bin": CONTENT}
        self.asked: list[str | None] = []
        self.breaks: list[int] = []  # bytes after which each connection in turn breaks off
        self.errors: list[int] = []  # statuses to answer first
        self.ranges = True
        self.etag = '"one"'

    def url(self, name: str = "corpus.bin") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_arrives_whole_and_only_once(server: Server, tmp_path: Path) -> None:
    reports: list[tuple[int, int | None]] = []
    file = fetch(
        server.url(),
        tmp_path / "deep" / "c.bin",
        sha256=hashlib.sha256(CONTENT).hexdigest().upper(),
        md5=hashlib.md5(CONTENT).hexdigest(),
        report=lambda done, total: reports.append((done, total)),
    )
    assert file.read_bytes() == CONTENT
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert [entry.name for entry in file.parent.iterdir()] == ["c.bin"]
    fetch(server.url(), file)
    assert server.asked == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [300_000, 400_000]
    assert fetch(server.url(), tmp_path / "c.bin", pause_s=0.0).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_run_takes_up_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.breaks = [300_000, 0, 0]
    with pytest.raises(DataError, match=r"closed early \(2 attempts\). 300000 bytes are kept in .*c.bin.part"):
        fetch(server.url(), tmp_path / "c.bin", attempts=2, pause_s=0.0)
    server.breaks = []
    assert fetch(server.url(), tmp_path / "c.bin").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-"


def test_a_part_of_another_version_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.breaks = [300_000, 0]
    with pytest.raises(DataError):
        fetch(server.url(), tmp_path / "c.bin", attempts=1, pause_s=0.0)
    server.breaks, server.etag, server.files["/corpus.bin"] = [], '"two"', CONTENT[::-1]
    assert fetch(server.url(), tmp_path / "c.bin").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.breaks = False, [300_000]
    assert fetch(server.url(), tmp_path / "c.bin", pause_s=0.0).read_bytes() == CONTENT


def test_a_part_that_is_already_whole_is_kept_and_one_too_long_is_not(server: Server, tmp_path: Path) -> None:
    (tmp_path / "c.bin.part").write_bytes(CONTENT)
    assert fetch(server.url(), tmp_path / "c.bin").read_bytes() == CONTENT
    (tmp_path / "d.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(server.url(), tmp_path / "d.bin", pause_s=0.0).read_bytes() == CONTENT


def test_passing_server_errors_are_tried_again_and_others_said_at_once(server: Server, tmp_path: Path) -> None:
    server.errors = [503, 429]
    assert fetch(server.url(), tmp_path / "c.bin", pause_s=0.0).read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"/absent: the server answered 404"):
        fetch(server.url("absent"), tmp_path / "absent")
    assert len(server.asked) == 4


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_wrong_checksums_leave_nothing_behind(server: Server, tmp_path: Path, kind: str) -> None:
    expected = hashlib.new(kind, b"other").hexdigest()
    sha256, md5 = (expected if kind == name else None for name in ("sha256", "md5"))
    with pytest.raises(DataError, match=rf"wrong {kind} \(expected {expected}"):
        fetch(server.url(), tmp_path / "c.bin", sha256=sha256, md5=md5)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_the_wrong_checksum_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "c.bin").write_bytes(b"old")
    fetch(server.url(), tmp_path / "c.bin", sha256=hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "c.bin").read_bytes() == CONTENT


def test_no_server_and_no_http_are_one_message(tmp_path: Path) -> None:
    with Server() as closed:
        address = closed.url()
    with pytest.raises(DataError, match=r"cannot be downloaded: .*refused"):
        fetch(address, tmp_path / "c.bin", attempts=2, pause_s=0.0)
    with pytest.raises(DataError, match=r"only http and https"):
        fetch("file:///etc/passwd", tmp_path / "c.bin")


def make_tar(path: Path, members: dict[str, bytes], link: tuple[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        if link is not None:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = tarfile.SYMTYPE, link[1]
            tar.addfile(info)
    return path


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, body in members.items():
            bundle.writestr(name, body)
    return path


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_archives_unpack_below_their_folder(tmp_path: Path, make: object) -> None:
    assert callable(make)
    archive = make(tmp_path / "a", {"corpus/a.txt": b"one", "corpus/b/c.txt": b"two"})
    extract(archive, tmp_path / "out")
    assert (tmp_path / "out" / "corpus" / "b" / "c.txt").read_bytes() == b"two"


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_members_that_point_outside_are_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    archive = make(tmp_path / "a", {"../outside.txt": b"x"})
    with pytest.raises(DataError, match=r"not safe to unpack.*outside"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a", {"a.txt": b"x"}, link=("way", "/etc"))
    with pytest.raises(DataError, match=r"'way' is a link"):
        extract(archive, tmp_path / "out")


def test_damaged_and_foreign_files_are_said_to_be_so(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "a", {"a.bin": bytes(range(256)) * 2000}).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut is damaged"):
        extract(tmp_path / "cut", tmp_path / "out")
    (tmp_path / "page").write_text("<html>Not found</html>")
    with pytest.raises(DataError, match=r"page is neither a tar nor a zip"):
        extract(tmp_path / "page", tmp_path / "out")


def test_an_archive_broken_off_in_unpacking_is_unpacked_again(server: Server, tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "c.tar.gz", {"corpus/a.txt": b"one", "corpus/b.txt": b"two"})
    (tmp_path / "corpus").mkdir()
    fetch_archive(server.url("c.tar.gz"), tmp_path, present=True)
    assert (tmp_path / "corpus" / "b.txt").read_bytes() == b"two"
    assert not archive.exists()
    assert server.asked == []


def test_a_corpus_that_is_there_is_not_fetched(server: Server, tmp_path: Path) -> None:
    fetch_archive(server.url("c.tar.gz"), tmp_path, present=True)
    assert server.asked == []


def test_fetch_archive_unpacks_once_and_cleans_up(server: Server, tmp_path: Path) -> None:
    server.files["/c.tar.gz"] = make_tar(tmp_path / "a", {"corpus/a.txt": b"one"}).read_bytes()
    for _ in range(2):
        fetch_archive(server.url("c.tar.gz"), tmp_path / "out")
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == [".c.tar.gz.done", "corpus"]
    assert server.asked == [None]


def test_two_never_write_one_part_though_a_third_has_just_ended(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third removes its lock when the first has opened it and does not hold it yet."""
    lock, refused = fcntl.flock, list[str]()

    def as_the_third_ends(*arguments: Any) -> None:
        monkeypatch.undo()
        (tmp_path / "c.bin.part.lock").unlink()
        lock(*arguments)

    def meanwhile(done: int, total: int | None) -> None:
        if not refused:
            with pytest.raises(DataError, match="by another process") as caught:
                fetch(server.url(), tmp_path / "c.bin")
            refused.append(str(caught.value))

    monkeypatch.setattr(fcntl, "flock", as_the_third_ends)
    assert fetch(server.url(), tmp_path / "c.bin", report=meanwhile).read_bytes() == CONTENT
    assert refused
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.bin"]


def test_an_archive_is_unpacked_by_one_process_at_a_time(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/c.tar.gz"] = make_tar(tmp_path / "a", {"corpus/a.txt": b"one"}).read_bytes()
    url, folder, refused = server.url("c.tar.gz"), tmp_path / "out", list[str]()

    def slowly(archive: Path, into: Path) -> None:
        if not refused:
            with pytest.raises(DataError, match="by another process") as caught:
                fetch_archive(url, folder)
            refused.append(str(caught.value))
        extract(archive, into)

    monkeypatch.setattr("asr.data.fetch.extract", slowly)
    fetch_archive(url, folder)
    assert refused
    assert sorted(entry.name for entry in folder.iterdir()) == [".c.tar.gz.done", "corpus"]


def test_an_archive_that_another_process_has_just_unpacked_is_not_fetched_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/c.tar.gz"] = make_tar(tmp_path / "a", {"corpus/a.txt": b"one"}).read_bytes()
    lock = fcntl.flock

    def after_the_other(*arguments: Any) -> None:
        monkeypatch.undo()
        fetch_archive(server.url("c.tar.gz"), tmp_path / "out")
        lock(*arguments)

    monkeypatch.setattr(fcntl, "flock", after_the_other)
    fetch_archive(server.url("c.tar.gz"), tmp_path / "out")
    assert server.asked == [None]
