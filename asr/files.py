"""Files written atomically, their hashes, and values as JSON can hold them.

In: a path and what to write. Out: the file under its final name only once every byte is on disk, so that whatever kills
the process leaves either the old file or the new one (FIELD_NOTES: plain overwriting lost 14 of 15 files under
SIGKILL).
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from asr.errors import UsageError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in ``path``'s folder; on success fsync it and rename it to ``path``, else remove it.

    A process that is killed leaves the temporary file, named by host and process, to the next one that writes there.
    """
    with naming(path):
        begin_writing(path.parent)
        temporary = temporary_path(path)
        # with the rights of any other file; whoever asks for the umask sets it, for other threads too
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError raised inside names ``path`` where it names no file, or only a temporary one."""
    try:
        yield
    except OSError as error:
        temporary = error.filename is None or f"{_TEMPORARY}/" in f"{os.fsdecode(error.filename)}/"
        if error.errno is not None and temporary:
            error.filename, error.filename2 = str(path), None
        raise


_TEMPORARY = ".tmp"
_begun: set[Path] = set()


def temporary_path(path: Path) -> Path:
    """What is written before it is renamed to ``path``, another one at each call; it is not made."""
    return path.parent / f".{path.name[:40]}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}{_TEMPORARY}"


def begin_writing(folder: Path) -> None:
    """Make ``folder``; at the first call in this process, remove what killed ones left in it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder not in _begun:
        _begun.add(folder)
        with contextlib.suppress(OSError):
            remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove files and folders of ``temporary_path`` in ``folder`` whose process on this host is gone."""
    for name in os.listdir(folder):
        found = re.search(rf"\.{_host()}-(\d+)-\w{{8}}\.tmp$", name) if name.startswith(".") else None
        if found and not _is_running(int(found[1])):
            shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(OSError):
                (folder / name).unlink()


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, on disk; nothing of it is left there where that fails. Raises OSError.

    A last line that a killed process left half-written is ended first, so that it spoils no other.
    """
    with naming(path), path.open("a+b", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, end - 1))
        begin = b"\n" if stream.read(1) not in (b"", b"\n") else b""
        append(stream, begin + line.encode("utf-8", "backslashreplace") + b"\n")


def append(stream: io.FileIO, content: bytes) -> None:
    """Add ``content`` to the end of a file that is open for it, on disk; nothing of it is left there where that fails.

    Raises OSError.
    """
    end = os.fstat(stream.fileno()).st_size
    try:
        while content:
            content = content[stream.write(content) :]
        os.fsync(stream.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            stream.truncate(end)
        raise


def _host() -> str:
    """Where a process id means the same: this machine, this container."""
    space = "/proc/self/ns/pid"
    place = platform.node() + (os.readlink(space) if os.path.islink(space) else "")
    return hashlib.sha256(place.encode()).hexdigest()[:6]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # for somebody else
    return True


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(cell: str) -> str:
    """A text as a cell of a CSV file that a spreadsheet takes for text, not for a formula: with a ' before = + - @."""
    return f"'{cell}" if cell.lstrip("'").startswith(_FORMULA) else cell


def unguarded(cell: str) -> str:
    """What ``guarded`` made a cell of."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; an empty one where the file is absent, damaged or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_json_lines(path: Path) -> list[Any]:
    """The values of a JSON Lines file, without lines that are not JSON (a half-written last one); none without a file.

    Raises OSError or UnicodeError where the file cannot be read.
    """
    values = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        with contextlib.suppress(ValueError, RecursionError):
            values.append(json.loads(line))
    return values


def finite(value: object, digits: int | None = None) -> float | None:
    """``value`` where it is a finite number, rounded to ``digits`` decimals; None for anything else, JSON's null."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        known = math.isfinite(value)
    except OverflowError:  # a whole number beyond 1e308
        return None
    if not known:
        return None
    return value if digits is None else round(value, digits)


def json_value(value: Any, digits: int | None = None) -> Any:
    """``value`` as JSON can hold it.

    Dataclasses and mappings become objects, lists and tuples arrays; floats are rounded to ``digits`` decimals, and
    null where they are not finite; text that is not UTF-8 (the undecodable bytes of a path) is escaped as ``\\x..``.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: json_value(getattr(value, one.name), digits) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): json_value(one, digits) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one, digits) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return finite(value, digits) if isinstance(value, float) else value


def check_output_folder(folder: Path) -> None:
    """Raise UsageError where ``folder`` cannot be created or written to: before long work, not after it."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise UsageError(f"{there} is a file, and a folder is needed there; choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{there} cannot be written to; check its owner and permissions, or choose another folder")


def check_output_file(path: Path, inputs: Iterable[Path]) -> None:
    """Raise UsageError where ``path`` is a folder or one of ``inputs``: before any work, and before a text is lost."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file")
    if path.resolve() in {one.resolve() for one in inputs}:
        raise UsageError(f"{path} is an input and cannot be written; give another file")


def sha256_file(path: Path) -> str:
    """The SHA-256 of the file's bytes, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_hashes(paths: Iterable[Path]) -> dict[str, str | None]:
    """The SHA-256 of each file by its path; None where there is no such file."""
    return {str(path): sha256_file(path) if path.is_file() else None for path in paths}


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk: they outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_below(folder: Path) -> list[Path]:
    """Every file below ``folder``, sorted; linked folders are entered (Path.rglob skips them), each once."""
    seen: set[str] = set()
    files = []
    for place, subfolders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        subfolders[:] = [one for one in subfolders if os.path.realpath(os.path.join(place, one)) not in seen]
        files += [Path(place, name) for name in names]
    return sorted(files)
