"""One case of the fault matrix: what is given, the command, and the one message that must come out."""

import io
import json
import os
import shlex
import struct
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from asr import cli
from asr.files import sha256_file

CONFIG, WEIGHTS = "model/config.json", "model/model.safetensors"
RECIPES = Path(__file__).resolve().parents[2] / "recipes"
Content = bytes | str | Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """``given`` is the case's name, ``id`` the kind of fault (docs/reliability.md), ``says`` what the message holds.

    ``words`` is the command after `asr`, run in a folder with the ``files``: content by name, or a function that is
    handed the path. ``model/`` there is a copy of the tests' model, with a recording ``good.wav`` beside it.
    """

    given: str
    id: str
    words: str
    says: str | tuple[str, ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    leaves: str = "."  # a folder that the command may make, such as that of a run
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The command's words."""
        return shlex.split(self.words.replace("RECIPES", str(RECIPES)))

    def put(self, folder: Path) -> None:
        """Write the files."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content(path)
            elif isinstance(content, str):
                path.write_bytes(content.encode("utf-8", "surrogatepass"))
            else:
                path.write_bytes(content)


def asr(arguments: list[str], patch: pytest.MonkeyPatch) -> int:
    """The exit code of a command with the process's own streams, as a terminal has them: what would move the cursor is
    escaped there, and what libraries write is kept away.
    """
    with patch.context() as own, os.fdopen(1, "w", closefd=False) as out, os.fdopen(2, "w", closefd=False) as err:
        own.setattr(sys, "stdout", out)
        own.setattr(sys, "stderr", err)
        return cli.main(arguments)


def wav(
    samples: bytes = bytes(8000),
    rate: int = 16000,
    channels: int = 1,
    bits: int = 16,
    kind: int = 1,
    data_size: int | None = None,
    chunks: tuple[bytes, ...] = (b"fmt ", b"data"),
) -> bytes:
    """A WAV file of these fields; ``data_size``: what the header declares in place of the truth."""
    align = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * align & 0xFFFFFFFF, align & 0xFFFF, bits)
    parts = {b"fmt ": (fmt, len(fmt)), b"data": (samples, len(samples) if data_size is None else data_size)}
    body = b"".join(name + struct.pack("<I", parts[name][1]) + parts[name][0] for name in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body) & 0xFFFFFFFF) + b"WAVE" + body


def shard(*members: tuple[str, bytes], **fields: Any) -> bytes:
    """A tar of these files; ``fields``: of the last one's header, in place of the truth."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for number, (name, data) in enumerate(members, start=1):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if number < len(members) or "size" not in fields:
                for key, value in fields.items() if number == len(members) else ():
                    setattr(info, key, value)
                archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
            else:
                info.size = fields["size"]
                stream.write(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
    return stream.getvalue()


def config(change: Callable[[dict[str, Any]], object]) -> Mapping[str, Content]:
    """The model's config.json, changed."""

    def rewrite(path: Path) -> None:
        values = json.loads(path.read_text(encoding="utf-8"))
        change(values)
        path.write_text(json.dumps(values), encoding="utf-8")

    return {CONFIG: rewrite}


def weights(change: Callable[[Path], object]) -> Mapping[str, Content]:
    """The model's weights, changed, under the checksum that fits them."""

    def sign(path: Path) -> None:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["sha256"] = {"model.safetensors": sha256_file(path.parent / "model.safetensors")}
        path.write_text(json.dumps(values), encoding="utf-8")

    return {WEIGHTS: change, CONFIG: sign}


def edit(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """A file that is there, changed."""
    return lambda path: path.write_bytes(change(path.read_bytes()))
