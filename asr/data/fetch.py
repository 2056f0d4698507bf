"""Downloading a corpus: resumed where it was interrupted, verified, and unpacked only inside its folder.

In: the address of a file, and its checksum where it is published. Out: the file, under its name only once it is
complete and verified; until then it is ``NAME.part``, and the server is asked for the rest only. Archives (tar with gz,
bz2 or xz, zip) are not trusted: a member that would be written outside the folder, or that is a device or a link, stops
unpacking.
"""

import contextlib
import fcntl
import hashlib
import http.client
import json
import lzma
import os
import shutil
import ssl
import stat
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from asr.errors import DownloadError
from asr.files import write_json
from asr.terminal import Progress

BLOCK_BYTES = 1 << 18
TIMEOUT_S = 60.0
TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}  # worth another attempt
_TRANSIENT_ERRORS = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError)
Report = Callable[[int, int | None], None]


def fetch(
    url: str,
    destination: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    report: Report | None = None,
    attempts: int = 5,
    pause_s: float = 1.0,
) -> Path:
    """Download ``url`` to ``destination`` unless it is there already, and return ``destination``.

    Args:
        url: http or https.
        destination: the file's final path; its folder is made.
        sha256: expected SHA-256, hexadecimal; a file of another one is never left under the final name.
        md5: expected MD5, for hosts that publish no better.
        report: called with the bytes so far and the total (None where the server does not say).
        attempts: how often a broken connection is retried before giving up; progress resets the count.
        pause_s: pause before the second attempt; doubled each time, up to a minute.

    Raises:
        DownloadError: if the server refuses, the connection keeps failing, the disk is full, or the checksum differs.
    """
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise DownloadError(f"{url} cannot be downloaded: only http and https addresses are supported.")
    if destination.is_file() and _checksum_mismatch(destination, sha256, md5) is None:
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(destination.with_name(destination.name + ".part"))
    with _only_one(part.path, url):
        _download(url, part, report or (lambda done, total: None), attempts, pause_s)
        mismatch = _checksum_mismatch(part.path, sha256, md5)
        if mismatch is not None:
            part.forget()
            raise DownloadError(
                f"{url} arrived with the wrong {mismatch}. It was deleted: try again, or download it yourself."
            )
        os.replace(part.path, destination)
        part.forget()
    return destination


def fetch_archive(
    url: str, folder: Path, *, present: bool = False, sha256: str | None = None, md5: str | None = None
) -> None:
    """Download an archive into ``folder``, unpack it there and delete it; a hidden marker file records that.

    Progress goes to stderr. ``present`` says that the corpus seems to be there; it counts, unless the archive is still
    next to it, because unpacking was then interrupted.

    Raises:
        DownloadError: as ``fetch`` and ``extract``.
    """
    name = Path(urllib.parse.urlsplit(url).path).name
    mark = folder / f".{name}.done"
    if mark.is_file() or (present and not (folder / name).exists()):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(mark, url):
        if mark.is_file():  # by another process, just now
            return
        with Progress(None, f"downloading {name}", "MB") as progress:

            def report(done: int, total: int | None) -> None:
                progress.total = None if total is None else round(total / 1e6)
                progress.update(round(done / 1e6) - progress.done)

            archive = fetch(url, folder / name, sha256=sha256, md5=md5, report=report)
        extract(archive, folder)
        write_json(mark, {"url": url, "sha256": sha256, "md5": md5})
        archive.unlink()


@dataclass(frozen=True, slots=True)
class _Part:
    """The bytes received so far, and the version of the file (``NAME.part.json``: the server's ETag)."""

    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> str | None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            version = json.loads(self.note.read_text(encoding="utf-8")).get("version")
            return version if isinstance(version, str) else None
        return None

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _download(url: str, part: _Part, report: Report, attempts: int, pause_s: float) -> None:
    """Fill ``part`` until the file is complete, resuming after broken connections."""
    failures = 0
    while True:
        before = part.size()
        try:
            if _download_once(url, part, report):
                return
            reason = "the connection closed early"
        except urllib.error.HTTPError as error:
            if error.code not in TRANSIENT_STATUSES:
                raise DownloadError(f"{url}: {_answer(error)}. Is the address right?") from None
            reason = _answer(error)
        except _TRANSIENT_ERRORS as error:
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        failures = 1 if part.size() > before else failures + 1
        if failures >= attempts:
            kept = f" {part.size()} bytes are kept in {part.path}: the same command resumes from there."
            raise DownloadError(
                f"{url} cannot be downloaded: {reason} ({attempts} attempts).{kept if part.size() else ''}"
            )
        time.sleep(min(60.0, pause_s * 2 ** (failures - 1)))


def _answer(error: urllib.error.HTTPError) -> str:
    return f"the server answered {error.code} {error.reason}"


def _download_once(url: str, part: _Part, report: Report) -> bool:
    """Download over one connection; True if the file is now complete."""
    size, version = part.size(), part.version()
    headers = {"User-Agent": "asr-prepare", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
        headers |= {"If-Range": version} if version else {}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not size:
            raise
        total = error.headers.get("Content-Range", "").rpartition("/")[2]
        if total == str(size):
            return True
        part.forget()  # more bytes than the file has: it has changed
        return False
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        start = size if resumed else 0
        length = response.headers.get("Content-Length")
        total_bytes = None if length is None else start + int(length)
        _check_space(part.path, url, None if length is None else int(length))
        write_json(part.note, {"url": url, "version": response.headers.get("ETag")})
        with part.path.open("r+b" if part.path.exists() else "wb") as stream:
            stream.truncate(start)
            stream.seek(start)
            done = _copy(response, stream, start, total_bytes, report)
            stream.flush()
            os.fsync(stream.fileno())
    return done == total_bytes or total_bytes is None


def _copy(response: http.client.HTTPResponse, stream: IO[bytes], done: int, total: int | None, report: Report) -> int:
    while block := response.read(BLOCK_BYTES):
        try:
            stream.write(block)
        except OSError as error:
            raise DownloadError(f"{stream.name} cannot be written: {error.strerror}.") from error
        done += len(block)
        report(done, total)
    return done


def _check_space(path: Path, url: str, wanted: int | None) -> None:
    free = shutil.disk_usage(path.parent).free
    if wanted is not None and wanted > free:
        raise DownloadError(
            f"{url} needs {wanted / 1e9:.1f} GB, but {path.parent} has {free / 1e9:.1f} GB free: free some space."
        )


def _checksum_mismatch(path: Path, sha256: str | None, md5: str | None) -> str | None:
    """Which checksum differs and how; None if all match."""
    for name, expected in (("sha256", sha256), ("md5", md5)):
        if expected is not None:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, name).hexdigest()
            if found != expected.lower():
                return f"{name} (expected {expected}, found {found})"
    return None


@contextlib.contextmanager
def _only_one(path: Path, url: str) -> Iterator[None]:
    """Two processes never write ``path``; the lock ends with the process."""
    lock = path.with_name(path.name + ".lock")
    while True:
        with lock.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DownloadError(
                    f"{url} is being downloaded into {path.parent} by another process: wait for it."
                ) from None
            if not os.fstat(stream.fileno()).st_nlink:  # another process removed it as it ended: it keeps nobody out
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def extract(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` below ``folder``; existing files are overwritten.

    Raises:
        DownloadError: if it is not an archive, is damaged, the disk is full, or a member would be outside ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if tarfile.is_tarfile(archive):
            _extract_tar(archive, folder)
        elif zipfile.is_zipfile(archive):
            _extract_zip(archive, folder)
        else:
            raise DownloadError(f"{archive} is neither a tar nor a zip archive: delete it and download it again.")
    except (tarfile.FilterError, _UnsafeMember) as error:
        raise DownloadError(f"{archive} is not safe to unpack: {error}. Delete it.") from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise DownloadError(f"{archive} is damaged ({error}): delete it and download it again.") from error
    except OSError as error:
        raise DownloadError(f"{archive} cannot be unpacked into {folder}: {error.strerror or error}.") from error


class _UnsafeMember(Exception):
    """A member that would land outside the folder, or is a link."""


def _extract_tar(archive: Path, folder: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise DownloadError("This Python cannot unpack archives safely: use 3.11.4 or later.")
    with tarfile.open(archive) as tar:  # a stream is read once: a corpus may have 20 GB
        tar.extractall(folder, filter=_files_only)


def _files_only(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Python's data filter, and no links: no corpus here has any, and links are how that filter was bypassed.

    No ``..`` either, which Python versions take in different ways even where it stays inside.
    """
    if ".." in member.name.split("/"):
        raise _UnsafeMember(f"{member.name!r} goes up in the folders")
    if not (member.isreg() or member.isdir()):
        raise _UnsafeMember(f"{member.name!r} is a link or a device")
    return tarfile.data_filter(member, folder)


def _extract_zip(archive: Path, folder: Path) -> None:
    root = folder.resolve()
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            if not (root / member.filename).resolve().is_relative_to(root) or "\\" in member.filename:
                raise _UnsafeMember(f"{member.filename!r} would be outside {folder}")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _UnsafeMember(f"{member.filename!r} is a link")
        bundle.extractall(root)
