"""Files are written atomically, whatever happens meanwhile; JSON values are what strict JSON can hold."""

import contextlib
import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from asr.files import (
    append,
    append_line,
    atomic_path,
    file_hashes,
    finite,
    json_value,
    naming,
    read_json_lines,
    read_json_object,
    sha256_file,
    write_json,
    write_text,
)

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from asr.files import (
    atomic_path,
    file_hashes,
    finite,
    json_value,
    read_json_object,
    sha256_file,
    write_json,
    write_text,
)
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="the disk is full"), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        assert path.read_text() == "old", "nothing is seen before all is written"
        raise RuntimeError("the disk is full")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    assert subprocess.run(command, cwd=repository, check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = (one.name for one in tmp_path.iterdir() if one != path)
    dead = re.findall(r"-(\d+)-", left)[0]
    (tmp_path / left.replace("state", "model")).mkdir()
    others = {left.replace(dead, str(os.getpid())), left.replace(dead, "1"), f".state.json.ffffff-{dead}-abcdefgh.tmp"}
    for name in others:
        (tmp_path / name).write_text("of a process that runs, or of another machine")
    write_text(path, "new")
    assert {one.name for one in tmp_path.iterdir()} == {"state.json", *others}


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (write_text, append_line):
        path = tmp_path / f"{write.__name__}.txt"
        with pytest.raises(OSError, match="No space left") as caught:
            write(path, "new")
        assert caught.value.filename == str(path)
    with pytest.raises(IsADirectoryError) as caught, naming(tmp_path / "written"):
        (tmp_path).read_bytes()
    assert caught.value.filename == str(tmp_path), "another file that cannot be read"


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines.jsonl"
    append_line(path, "one")
    with path.open("a") as stream:
        stream.write("two, of which a killed process wro")
    append_line(path, "thr\udcffee")
    whole = b"one\ntwo, of which a killed process wro\nthr\\udcffee\n"
    assert path.read_bytes() == whole

    class Full(io.FileIO):
        def write(self, content: Any) -> int:
            if len(content) < 4:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(content[:3])) or 0

    with Full(path, "ab") as full, pytest.raises(OSError, match="No space left"):
        append(full, b"four\n")
    assert path.read_bytes() == whole


def test_success_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "text.txt"
    write_text(path, "one\n")
    write_text(path, "two é\r\n")
    assert path.read_bytes() == "two é\r\n".encode(), "UTF-8, and line ends as given"
    assert [one.name for one in path.parent.iterdir()] == ["text.txt"]


def test_the_file_has_the_rights_of_any_other_whatever_other_threads_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The umask is the process's, and can only be asked for by setting it."""
    change, both = os.umask, threading.Barrier(2)

    def slowly(mask: int) -> int:
        before = change(mask)
        if mask == 0:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(1)
        return before

    mask = change(0o027)
    try:
        with monkeypatch.context() as patched, ThreadPoolExecutor(2) as threads:
            patched.setattr(os, "umask", slowly)
            list(threads.map(lambda name: write_text(tmp_path / name, "x"), "ab"))
        assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o640, 0o640]
    finally:
        assert change(mask) == 0o027, "the umask is left as it was"


def test_json_comes_back(tmp_path: Path) -> None:
    value = {"text": "café", "list": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value and "café" in text and text.endswith("}\n")


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 3_000_000])
def test_sha256_equals_hashlibs(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_whoever_reads_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    """The name goes to a new file; the bytes of the old one are never written over."""
    path = tmp_path / "state.json"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new and longer")
        assert reader.read() == "old"
    assert path.read_text() == "new and longer"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, True, None, "1", [1.0]])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert finite(value) is None


def test_a_finite_number_is_rounded_only_where_digits_are_given() -> None:
    assert finite(0.123456789) == 0.123456789
    assert finite(0.123456789, 4) == 0.1235
    assert finite(12) == 12 and isinstance(finite(12, 4), int)


def test_json_values_are_what_strict_json_can_hold() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Word:
        text: str
        times_s: tuple[float, float]

    value = {"words": (Word("caf\udce9", (0.12345678, math.inf)),), 3: {"count": 7, "right": True, "none": None}}
    assert json.loads(json.dumps(json_value(value, digits=6), allow_nan=False)) == {
        "words": [{"text": "caf\\udce9", "times_s": [0.123457, None]}],
        "3": {"count": 7, "right": True, "none": None},
    }


def test_a_json_object_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    assert read_json_object(path) == {}
    for text, expected in (('{"a": 1}', {"a": 1}), ("[1]", {}), ('{"a": ', {}), ("[" * 100_000, {})):
        path.write_text(text)
        assert read_json_object(path) == expected


def test_a_line_of_json_ends_with_a_line_feed_alone(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    values = [{"text": "one\N{LINE SEPARATOR}two\x85three"}, {"text": "four"}]
    path.write_bytes("\r\n".join(json.dumps(one, ensure_ascii=False) for one in values).encode() + b'\n{"half": ')
    assert read_json_lines(path) == values


def test_file_hashes_name_absent_files_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert file_hashes([tmp_path / "a", tmp_path / "b"]) == {str(tmp_path / "a"): expected, str(tmp_path / "b"): None}
