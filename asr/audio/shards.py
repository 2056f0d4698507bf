"""Recordings inside tar archives ("shards"): what a manifest means by ``train-00003.tar#OFFSET+SIZE:CRC``.

In: such a place; the tar is a file, or at an ``http(s)://``, ``s3://``, ``gs://`` or ``az://`` address. Out: the
member's bytes as a file in memory, decoded as any other file is, so that the same bits come out. Only these bytes are
read, and only with the right CRC-32: a shard that was cut, or written again since, is an error and not other sound.
What may pass (no answer, 503, a connection cut short) is tried again, a bounded number of times and seconds.
"""

import contextlib
import functools
import hashlib
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from asr.audio.head import SHOWN_AS, AudioPath, damaged, shown
from asr.errors import AudioDamagedError, AudioError, AudioMissingError, AudioPartError, AudioUnreachableError

ATTEMPTS, PAUSE_S = 5, 1.0  # with pauses of 1, 2, 4 and 8 s
TIMEOUT_S = 30.0  # without an answer, or without a further byte
LEAST_BYTES_S = 20_000  # a part that comes more slowly than this counts as stalled
MOST_BYTES = 1 << 30  # of one recording in a shard, which is held in memory
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that another attempt may change

_PLACE = re.compile(r"(.+\.tar)#(\d{1,18})\+(\d{1,18}):([0-9a-f]{8})", re.DOTALL)
_REMOTE = re.compile(r"(https?|s3|gs|az)://[^/]")  # no others: fsspec's include programs, and files of this machine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ShardPlace:
    """``size`` bytes from ``offset`` on of the tar ``shard``, a path or an address, and their CRC-32."""

    shard: str
    offset: int
    size: int
    crc: int

    def __str__(self) -> str:
        return f"{self.shard}#{self.offset}+{self.size}:{self.crc:08x}"


def shard_place(path: AudioPath) -> ShardPlace | None:
    """What ``path`` means where it names a recording in a shard; None for an ordinary file."""
    name = os.fsdecode(path)
    found = _PLACE.fullmatch(name) if "#" in name else None  # asked of every line of a manifest
    return ShardPlace(found[1], int(found[2]), int(found[3]), int(found[4], 16)) if found else None


def is_remote(path: AudioPath) -> bool:
    """Whether ``path`` is an address on a server that shards are read from."""
    name = os.fsdecode(path)
    return "://" in name and _REMOTE.match(name) is not None


def read_member(place: ShardPlace) -> bytes:
    """The bytes of a recording in a shard. Raises AudioError."""
    if not 0 < place.size <= MOST_BYTES:
        raise AudioPartError(
            f"{shown(str(place))}: has {place.size:,} bytes; a recording in a shard has 1 to {MOST_BYTES:,}. "
            "Cut it into parts first."
        )
    data = read_range(place.shard, place.offset, place.size)
    if len(data) < place.size:
        raise damaged(place.shard, f"ends before byte {place.offset + place.size:,}, where a recording should end")
    if zlib.crc32(data) != place.crc:
        raise AudioDamagedError(
            f"{shown(str(place))}: holds other bytes than when the manifest was made (damaged, or written again since?)"
            ". Prepare the corpus again, or copy the shard again."
        )
    return data


@contextlib.contextmanager
def as_file(path: AudioPath) -> Iterator[AudioPath]:
    """Inside, what ``path`` names is a file: a recording in a shard as one in memory, anything else as it is.

    Raises AudioError where it cannot be read whole.
    """
    place = shard_place(path)
    if place is None:
        yield path
    else:
        with in_memory(os.fsdecode(path), read_member(place)) as file:
            yield file


@contextlib.contextmanager
def in_memory(name: str, data: bytes) -> Iterator[str]:
    """Inside, ``data`` is a file in memory, which messages call ``name``.

    Its time of change follows from the name: what is remembered of a file, by path, size and time, is never of another.
    """
    with os.fdopen(os.memfd_create("recording"), "wb", buffering=0) as file:
        path = f"/proc/self/fd/{file.fileno()}"
        file.write(data)
        time_ns = int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=7).digest())
        os.utime(file.fileno(), ns=(time_ns, time_ns))
        SHOWN_AS[path] = name
        try:
            yield path
        finally:
            del SHOWN_AS[path]


def read_range(shard: str, offset: int, size: int) -> bytes:
    """``size`` bytes of a shard from ``offset`` on; fewer where it ends before.

    Raises:
        AudioMissingError: there is no such shard, or it may not be read.
        AudioUnreachableError: the server did not give it, at no attempt.
    """
    if not is_remote(shard):
        return _of_file(shard, offset, size)
    read = _over_http if shard.startswith("http") else _by_fsspec
    return retry(f"{shown(shard)}: reading bytes {offset:,} to {offset + size:,}", lambda: read(shard, offset, size))


def retry(what: str, call: Callable[[], T]) -> T:
    """The result of ``call``, tried again after each ``TransientError``; AudioUnreachableError begins with ``what``."""
    began, reason = time.monotonic(), ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        try:
            return call()
        except TransientError as error:
            reason = str(error)
    raise AudioUnreachableError(
        f"{what} failed {ATTEMPTS} times in {time.monotonic() - began:.0f} s ({reason}). "
        "Look at the server and the connection, then run the same command again."
    )


class TransientError(Exception):
    """A failure that another attempt may not meet."""


def _of_file(shard: str, offset: int, size: int) -> bytes:
    try:
        with open(shard, "rb", buffering=0) as file:
            there = max(0, min(size, os.fstat(file.fileno()).st_size - offset))  # a size that lies takes no memory
            file.seek(offset)
            return file.read(there)
    except OSError as error:
        raise _missing(shard, error.strerror or str(error)) from None


def _missing(shard: str, reason: str) -> AudioError:
    return AudioMissingError(
        f"{shown(shard)}: this shard cannot be read ({reason}). Check the address, the disk and the permissions."
    )


def _over_http(shard: str, offset: int, size: int) -> bytes:
    import requests
    import urllib3

    headers = {"Range": f"bytes={offset}-{offset + size - 1}", "Accept-Encoding": "identity"}
    until = time.monotonic() + TIMEOUT_S + size / LEAST_BYTES_S
    try:
        with _session(os.getpid()).get(shard, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == 416:  # nothing is there
                return b""
            if response.status_code != 206:
                raise _refused(shard, response.status_code, response.reason)
            if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                raise TransientError("the server sent another part than was asked for")
            data = bytearray()
            while len(data) <= size and (block := response.raw.read1(1 << 18, decode_content=False)):
                data += block
                if time.monotonic() > until:
                    raise TransientError(f"after {len(data):,} bytes the server became too slow")
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise TransientError(one_line(error)) from None
    if len(data) > size:
        raise TransientError("the server sent more than was asked for")
    if len(data) < int(response.headers.get("Content-Length", 0)):
        raise TransientError(f"the connection ended after {len(data):,} bytes")
    return bytes(data)


def _refused(shard: str, status: int, reason: str) -> Exception:
    if status == 200:
        return AudioUnreachableError(
            f"{shown(shard)}: this server sends whole files only (it ignores Range, as `python -m http.server` does). "
            "Use one that sends parts, such as nginx or S3, or copy the shards to a disk."
        )
    answer = f"the server answered {status} {reason}"
    return TransientError(answer) if status in TRANSIENT else _missing(shard, answer)


@functools.lru_cache(maxsize=1)
def _session(process: int) -> Any:
    """Open connections, of this process alone; proxies and credentials (netrc) as everywhere."""
    import requests

    return requests.Session()


def _by_fsspec(shard: str, offset: int, size: int) -> bytes:
    try:
        system, path = remote_file(shard)
        limit_s = TIMEOUT_S + size / LEAST_BYTES_S
        data: bytes = system.cat_file(path, start=offset, end=offset + size, timeout=limit_s)
    except AudioError:
        raise
    except FileNotFoundError:
        raise _missing(shard, "there is no such object") from None
    except PermissionError as error:
        raise _missing(shard, f"access denied: {one_line(error)}") from None
    except Exception as error:  # each of fsspec's file systems has errors of its own
        if "range" in str(error).lower():  # it "is not satisfiable": nothing is there
            return b""
        if "Credentials" in type(error).__name__:
            raise _missing(shard, f"no credentials: {one_line(error)}") from None
        raise TransientError(one_line(error)) from None
    return data


def remote_file(shard: str) -> tuple[Any, str]:
    """The file system, and the path in it, of an address that is not http. Raises AudioError without its package."""
    import fsspec

    own = {"config_kwargs": {"connect_timeout": TIMEOUT_S, "read_timeout": TIMEOUT_S, "retries": {"max_attempts": 0}}}
    try:
        system, path = fsspec.core.url_to_fs(shard, **(own if shard.startswith("s3") else {}))
    except ImportError as error:
        raise AudioUnreachableError(
            f"{shown(shard)}: reading this needs a package ({error}): pip install 'asr-bilstm[shards]' for s3://"
        ) from None
    system.retries = 1  # attempts are counted here
    return system, path


def one_line(error: Exception) -> str:
    """What an error says, in at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__
