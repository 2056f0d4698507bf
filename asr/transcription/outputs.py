"""Where transcripts are written, and which are up to date: names that never clash, files that are never overwritten.

In: the inputs, formats and settings. Out: for each input a `PlannedTranscript` that is to be made, is up to date, or is
refused; and the files, written atomically.

The index of an output folder is a hidden file with a line for the transcripts of one recording. A line is added before
its files are written and holds their SHA-256: after a crash at any moment every file of ours is known, and a file of
somebody else's, such as a corrected transcript, is never overwritten.
"""

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from asr.files import append_line, remove_leftovers, sha256_file, write_text
from asr.transcription import EXTENSIONS, TIER_FORMATS
from asr.transcription.inputs import STDIN, Input, is_audio_name

NAME_BYTES = 255  # of a file name on Linux and macOS
INDEX_NAME = ".asr-transcripts.jsonl"
State = Literal["absent", "current", "outdated", "foreign"]


@dataclass(frozen=True, slots=True)
class Entry:
    """``input``: the recording's identity; ``key``: what decided on the transcripts; ``files``: name to SHA-256."""

    input: str
    key: Mapping[str, Any]
    files: Mapping[str, str]


class TranscriptIndex:
    """What is known of the transcripts in one output folder. Names are relative to it, with "/"."""

    def __init__(self, folder: Path) -> None:
        """Read the index of ``folder``; lines that a crash cut short are skipped.

        ``problem`` says why it cannot be read: its transcripts are refused then.
        """
        self.folder = folder
        self.problem: str | None = None
        self.path = folder / INDEX_NAME
        self._entries: dict[str, Entry] = {}
        self._ours: dict[str, set[str]] = {}
        self._owners: dict[str, str] = {}
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self.problem = f"{self.path}: cannot be read ({error.strerror or error}); check the folder's permissions"
            return
        for line in content.splitlines():
            self._add(_entry(line))

    def owner(self, name: str) -> str | None:
        """The recording whose transcript the file ``name`` was last."""
        return self._owners.get(name)

    def state(self, identity: str, name: str) -> State:
        """Whether the file ``name`` is this recording's last transcript, an older one of ours, or not ours."""
        path = self.folder / name
        if not os.path.isfile(path):
            return "foreign" if os.path.lexists(path) else "absent"
        try:
            digest = sha256_file(path)
        except OSError:
            return "foreign"
        entry = self._entries.get(identity)
        if entry is not None and entry.files.get(name) == digest:
            return "current"
        return "outdated" if digest in self._ours.get(name, ()) else "foreign"

    def is_up_to_date(self, identity: str, key: Mapping[str, Any], names: list[str]) -> bool:
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
        self.folder.mkdir(parents=True, exist_ok=True)
        append_line(self.path, json.dumps({"input": entry.input, "key": entry.key, "files": entry.files}))
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


@dataclass(frozen=True, slots=True)
class PlannedTranscript:
    """One input with its output files: format to name in the index's folder."""

    input: Input
    key: Mapping[str, Any]
    index: TranscriptIndex
    names: Mapping[str, str]


class OutputFiles:
    """The files of one job, below ``folder``, or next to their inputs where it is None.

    ``settings``: what decides on a transcript besides the recording. ``overwrite``: also files that are not ours.
    ``keep_tiers``: it depends on the annotation files beside the recording, too.
    """

    def __init__(
        self,
        folder: Path | None,
        formats: Sequence[str],
        settings: Mapping[str, Any],
        *,
        overwrite: bool,
        keep_tiers: bool = False,
    ) -> None:
        self.folder, self.formats, self.settings, self.overwrite = folder, formats, settings, overwrite
        self.keep_tiers = keep_tiers
        self._indexes: dict[Path, TranscriptIndex] = {}
        self._stems: dict[Path, Counter[str]] = {}  # of the recordings in a folder

    def plan(self, inputs: Sequence[Input]) -> list[PlannedTranscript]:
        """A plan for each input, in order."""
        places = [self._place(one) for one in inputs]
        counts = Counter(_plain_name(folder / stem) for folder, stem in places)
        for place in {place for folder, stem in places for place in (folder, folder / stem.parent)}:
            with contextlib.suppress(OSError):
                remove_leftovers(place)  # of a job that was killed
        taken: dict[str, str] = {}
        planned_all = []
        for one, (folder, stem) in zip(inputs, places, strict=True):
            index = self._index(folder)
            alone = counts[_plain_name(folder / stem)] == 1 and not self._has_namesake(one)
            name = self._free_name(one, index, stem, alone, taken)
            names = {format_name: f"{name}{EXTENSIONS[format_name]}" for format_name in self.formats}
            kept = {"tiers": self._tier_files(one)} if self.keep_tiers else {}
            planned_all.append(PlannedTranscript(one, _key(one, {**self.settings, **kept}), index, names))
        return planned_all

    def is_up_to_date(self, planned: PlannedTranscript) -> bool:
        """Whether all of the files are there and up to date."""
        return planned.index.is_up_to_date(planned.input.identity, planned.key, list(planned.names.values()))

    def refusal(self, planned: PlannedTranscript) -> str | None:
        """Why the transcript may not be written (a file of its name is not ours, the folder is unreadable), or None."""
        if planned.index.problem is not None:
            return planned.index.problem
        for name in [] if self.overwrite else planned.names.values():
            if planned.index.state(planned.input.identity, name) == "foreign":
                why = "was not written by this command, or has changed since"
                return f"{planned.index.folder / name}: {why}; --overwrite replaces it"
        return None

    def write(self, planned: PlannedTranscript, texts: Mapping[str, str]) -> None:
        """Write the texts, format to text; atomically. Raises OSError."""
        named = {planned.names[format_name]: text for format_name, text in texts.items()}
        planned.index.record(planned.input.identity, planned.key, named)
        for name, text in named.items():
            write_text(planned.index.folder / name, text)

    def _tier_files(self, one: Input) -> dict[str, str]:
        found = {name: tier_file(one, name) for name in self.formats if name in TIER_FORMATS}
        return {name: sha256_file(path) for name, path in found.items() if path is not None}

    def _index(self, folder: Path) -> TranscriptIndex:
        if folder not in self._indexes:
            self._indexes[folder] = TranscriptIndex(folder)
        return self._indexes[folder]

    def _place(self, one: Input) -> tuple[Path, Path]:
        """The folder of the index, and the transcript's path in it without any extension."""
        if self.folder is None:
            return one.path.parent, Path(one.path.stem)
        return self.folder, one.relative.with_suffix("") if one.relative.suffix else one.relative

    def _has_namesake(self, one: Input) -> bool:
        """Whether the input's folder has another recording of the same stem."""
        if self.folder is not None:
            return False
        folder = one.path.parent
        if folder not in self._stems:
            self._stems[folder] = Counter(
                _plain_name(Path(name).stem) for name in _listing(folder) if is_audio_name(name)
            )
        return self._stems[folder][_plain_name(one.path.stem)] > is_audio_name(one.path.name)

    def _free_name(self, one: Input, index: TranscriptIndex, stem: Path, alone: bool, taken: dict[str, str]) -> str:
        """The stem where it is one recording's alone, else the whole file name, else that with a number."""
        full = stem.with_name(one.path.name if one.label != STDIN else stem.name)
        numbered = (full.with_name(f"{full.name}-{number}") for number in range(2, 1_000_000))
        endings = [EXTENSIONS[format_name] for format_name in self.formats]
        had = any(index.owner(f"{stem.as_posix()}{ending}") == one.identity for ending in endings)
        for long in chain([stem] if alone or had else [], [full], numbered):
            candidate = long.with_name(_short_name(long.name, endings)) if long.name else long
            name = candidate.as_posix()
            owners = {index.owner(f"{name}{ending}") for ending in endings}
            owners = {owner for owner in owners if owner is not None and (owner == STDIN or os.path.exists(owner))}
            slot = _plain_name(index.folder / candidate)
            if owners <= {one.identity} and taken.setdefault(slot, one.identity) == one.identity:
                return name
        raise AssertionError("a million names are taken")


def tier_file(one: Input, format_name: str) -> Path | None:
    """The annotation file beside a recording in the format, ``talk.eaf`` beside ``talk.wav``, if there is one."""
    if one.label == STDIN:
        return None
    wanted = f"{one.path.stem}{EXTENSIONS[format_name]}".casefold()
    return next(
        (one.path.parent / name for name in sorted(_listing(one.path.parent)) if name.casefold() == wanted), None
    )


def _key(one: Input, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a transcript depends on; a recording that cannot be looked at has a key that no transcript has."""
    try:
        if one.label == STDIN:
            return {"sha256": sha256_file(one.path), **settings}
        status = os.stat(one.path)
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, **settings}
    except (OSError, ValueError):
        return {"size": None, **settings}


def _short_name(name: str, endings: Sequence[str]) -> str:
    """``name``; where it is too long for a file system with one of ``endings``, its end is a hash of it."""
    room = NAME_BYTES - max(map(len, endings))
    if len(os.fsencode(name)) <= room:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
    kept = name
    while len(os.fsencode(kept)) > room - len(digest) - 1:
        kept = kept[:-1]
    return f"{kept}-{digest}"


def _plain_name(path: str | Path) -> str:
    """Equal for names that some file systems take for the same."""
    return str(path).casefold()


def _listing(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
