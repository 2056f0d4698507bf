"""What a folder's transcripts were made of: a hidden file in which every line is one recording's transcripts.

In: an output folder. Out: which transcripts stand, which are out of date, and which files are not ours. A line is added
before its files are written and holds their fingerprints, so that a crash at any moment leaves no file of ours that we
do not know, and never makes us overwrite a file of somebody else's, such as a transcript that a person corrected.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asr.files import sha256_file

NAME = ".asr-transcripts.jsonl"
State = Literal["absent", "current", "outdated", "foreign"]


@dataclass(frozen=True, slots=True)
class Entry:
    """``input``: the recording's identity; ``key``: what decided on the transcripts; ``files``: name to SHA-256."""

    input: str
    key: Mapping[str, Any]
    files: Mapping[str, str]


class Ledger:
    """The ledger of one output folder. Names are relative to it, with "/"."""

    def __init__(self, folder: Path) -> None:
        """Read what is known of ``folder``; lines that a crash cut short are passed over."""
        self.folder = folder
        self.path = folder / NAME
        self._entries: dict[str, Entry] = {}
        self._ours: dict[str, set[str]] = {}
        self._owners: dict[str, str] = {}
        self._whole = True
        if self.path.is_file():
            content = self.path.read_bytes()
            self._whole = content.endswith(b"\n") or not content
            for line in content.splitlines():
                self._add(_entry(line))

    def entry(self, identity: str) -> Entry | None:
        """The last transcripts of this recording."""
        return self._entries.get(identity)

    def owner(self, name: str) -> str | None:
        """The recording whose transcript the file ``name`` was last."""
        return self._owners.get(name)

    def state(self, identity: str, name: str) -> State:
        """Whether the file ``name`` is this recording's last transcript, an older one of ours, or not ours."""
        path = self.folder / name
        if not path.is_file():
            return "foreign" if os.path.lexists(path) else "absent"
        digest = sha256_file(path)
        entry = self._entries.get(identity)
        if entry is not None and entry.files.get(name) == digest:
            return "current"
        return "outdated" if digest in self._ours.get(name, ()) else "foreign"

    def stands(self, identity: str, key: Mapping[str, Any], names: list[str]) -> bool:
        """Whether all of ``names`` are there, made of the same input by the same settings, or corrected since."""
        entry = self._entries.get(identity)
        if entry is None or entry.key != key or not entry.files.keys() >= set(names):
            return False
        return all(self.state(identity, name) in ("current", "foreign") for name in names)

    def record(self, identity: str, key: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """Note, on disk, that the files ``texts`` are about to be written. Raises OSError."""
        files = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        known = self._entries.get(identity)
        if known is not None and known.key == key:
            files = dict(known.files) | files  # the same transcript in further formats
        entry = Entry(identity, key, files)
        line = json.dumps({"input": entry.input, "key": entry.key, "files": entry.files}) + "\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line if self._whole else f"\n{line}")
            stream.flush()
            os.fsync(stream.fileno())
        self._whole = True
        self._add(entry)

    def _add(self, entry: Entry | None) -> None:
        if entry is None:
            return
        self._entries[entry.input] = entry
        for name, digest in entry.files.items():
            self._ours.setdefault(name, set()).add(digest)
            self._owners[name] = entry.input


def _entry(line: bytes) -> Entry | None:
    try:
        value = json.loads(line)
        return Entry(str(value["input"]), dict(value["key"]), {str(k): str(v) for k, v in value["files"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
