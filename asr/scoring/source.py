"""What stands at a path, before it is known what it means: lines, or one transcript for each of many recordings.

In: a file or a folder. Out: a ``Source``; what cannot be read at all (absent, UTF-16, zero bytes, bad UTF-8) is added
to a list of faults, so that all faults of two files can be told at once.
"""

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.scoring.formats import DOCUMENT_SUFFIXES, Line, detect, filled, is_document


@dataclass(slots=True)
class Source:
    """The lines of a file, or the documents (path and text) of a file or folder; ``kind``: a format, or "bare"."""

    path: Path
    lines: list[Line] = field(default_factory=list)
    documents: list[tuple[Path, str]] = field(default_factory=list)
    kind: str = "bare"

    @property
    def is_empty(self) -> bool:
        """Whether nothing could be read."""
        return not self.lines and not self.documents


def read_source(path: Path, faults: list[str]) -> Source:
    """Read a file, or the ``.json`` or ``.txt`` files of a folder and its folders; faults go to ``faults``."""
    if path.is_dir():
        return _read_folder(path, faults)
    content = _content(path, faults)
    if content is None:
        return Source(path)
    # parted at line feeds only: a transcript may hold U+2028 and its kin
    pieces = content.removesuffix(b"\n").split(b"\n")
    lines = [_decode(path, number, piece, faults) for number, piece in enumerate(pieces, start=1)]
    if not filled(lines):
        faults.append(f"{path}: is empty; it must hold a text per line")
        return Source(path)
    whole = "\n".join(line.text for line in lines)
    if _is_transcript(lines, whole):
        return Source(path, documents=[(path, whole)], kind="whisper")
    if _is_json_over_lines(lines, whole):
        faults.append(f"{path}: is one JSON document over several lines; write one object per line (JSON Lines)")
        return Source(path)
    return Source(path, lines=lines, kind=detect(lines))


def as_document(source: Source) -> Source:
    """A file of lines as one document, where a person says that it is one."""
    text = "\n".join(line.text for line in source.lines)
    return Source(source.path, documents=source.documents or [(source.path, text)])


def _read_folder(folder: Path, faults: list[str]) -> Source:
    found = {
        suffix: sorted(path for path in folder.rglob(f"*{suffix}") if path.is_file()) for suffix in DOCUMENT_SUFFIXES
    }
    present = [suffix for suffix, paths in found.items() if paths]
    if len(present) != 1:
        counts = " and ".join(f"{len(paths)} {suffix}" for suffix, paths in found.items())
        faults.append(f"{folder}: is a folder with {counts} files; it must hold transcripts of one of these kinds")
        return Source(folder)
    source = Source(folder, kind=DOCUMENT_SUFFIXES[present[0]])
    for path in found[present[0]]:
        content = _content(path, faults)
        if content is not None:
            pieces = content.split(b"\n")
            lines = [_decode(path, number, piece, faults).text for number, piece in enumerate(pieces, start=1)]
            source.documents.append((path, "\n".join(lines)))
    return source


def _content(path: Path, faults: list[str]) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror or error}")
        return None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        faults.append(f"{path}: is UTF-16; save it as UTF-8")
        return None
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        faults.append(f"{path}:{line}: holds a zero byte, as UTF-16 and binary files do; save it as text in UTF-8")
        return None
    return content.removeprefix(codecs.BOM_UTF8)


def _decode(path: Path, number: int, piece: bytes, faults: list[str]) -> Line:
    try:
        return Line(number, piece.removesuffix(b"\r").decode("utf-8"))
    except UnicodeDecodeError as error:
        faults.append(f"{path}:{number}: is not UTF-8 (byte 0x{piece[error.start]:02x} at position {error.start + 1})")
        return Line(number, piece.removesuffix(b"\r").decode("utf-8", errors="replace"))


def _is_transcript(lines: Sequence[Line], whole: str) -> bool:
    if not filled(lines)[0].text.lstrip().startswith("{"):
        return False
    try:
        return is_document(json.loads(whole))
    except (ValueError, RecursionError):
        return False


def _is_json_over_lines(lines: Sequence[Line], whole: str) -> bool:
    texts = [line.text.strip() for line in filled(lines)]
    if texts[0][0] not in "[{" or (detect(lines) == "jsonl" and texts[0] != "{"):
        return False
    try:
        return isinstance(json.loads(whole), (list, dict))
    except (ValueError, RecursionError):
        return False
