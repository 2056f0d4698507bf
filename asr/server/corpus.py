"""A folder of recordings that nobody has transcribed: its segments, their drafts, and what people made of them.

In: the folder. Out: a queue of segments; corrections, each on disk before it is acknowledged (``corpus_log``), of which
nobody overwrites another's; and ``corrected.jsonl``, a manifest to train on. Recordings are known by their content, so
that a renamed one keeps its segments. Drafts are files below ``corrections/``: a restart does not make them again.
"""

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock, RLock
from typing import Any, Literal

from asr.data.manifest import Utterance, write_manifest
from asr.errors import AsrError, UsageError
from asr.files import sha256_file, write_text
from asr.recognition.suggestions import Candidate
from asr.server.corpus_files import DraftFile, DraftSegment, Failure, Recording, find_recordings, log, read_draft_file
from asr.server.corpus_log import Correction, CorrectionLog
from asr.server.corpus_order import Known, Order
from asr.transcription.formats import recording_id

FOLDER, DRAFTS, MANIFEST = "corrections", "drafts", "corrected.jsonl"
_FAILURES = 20  # told to clients
_FILES_KEPT = 8  # draft files in memory


@dataclass(slots=True)
class Segment:
    """One segment with the draft that is newest, and its corrections so far."""

    id: str
    recording: Recording
    sha256: str
    key: str
    model: str
    place: int  # in the draft file
    start_s: float
    end_s: float
    draft: str
    confidence: float | None
    lines: list[Correction]

    @property
    def version(self) -> int:
        """0: a draft only."""
        return self.lines[-1].version if self.lines else 0

    @property
    def status(self) -> str:
        """open, corrected or skipped."""
        return self.lines[-1].status if self.lines else "open"

    @property
    def text(self) -> str:
        """What is known best."""
        return self.draft if self.status == "open" else self.lines[-1].text

    def holding(self) -> list[Correction]:
        """The changes that no undo has taken back."""
        found: list[Correction] = []
        for line in self.lines:
            if line.undo:
                found.pop()
            else:
                found.append(line)
        return found


@dataclass(slots=True)
class Progress:
    """Of drafting, in recordings; ``done`` counts those that failed, too."""

    done: int = 0
    total: int = 0
    recording: str | None = None
    failed: list[Failure] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """For clients."""
        failed = [{"recording": name, "message": message} for name, message in self.failed[:_FAILURES]]
        return {"done": self.done, "total": self.total, "recording": self.recording, "failed": failed}


class StaleError(Exception):
    """Somebody else has changed the segment since; or there is nothing to undo (``nothing``)."""

    def __init__(self, message: str, *, nothing: bool = False) -> None:
        super().__init__(message)
        self.message, self.nothing = message, nothing


def segment_id(sha256: str, start_s: float, end_s: float) -> str:
    """16 hexadecimal digits: the same sound has the same id in every run, whatever its file is called."""
    return hashlib.sha256(f"{sha256}:{start_s:.3f}:{end_s:.3f}".encode()).hexdigest()[:16]


class Corpus:
    """The folder, opened for this process alone; its methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where the folder does not serve, DataError where the corrections are damaged."""
        self.folder = folder
        self.recordings, failed = find_recordings(folder)
        self.progress = Progress(len(failed), len(failed) + len(self.recordings), failed=failed)
        if (folder / MANIFEST).exists() and not (folder / FOLDER).is_dir():
            raise UsageError(
                f"{folder / MANIFEST}: was not written by asr serve --corpus, which would replace it; rename it, or"
                " give another folder"
            )
        self._log = CorrectionLog(folder / FOLDER)
        self._lock, self._writing = RLock(), Lock()
        self._lines: dict[str, list[Correction]] = {}
        for line in self._log.lines:
            self._lines.setdefault(line.segment, []).append(line)
        self._segments: dict[str, Segment] = {}
        self._known: dict[str, Recording] = {}  # by SHA-256
        self._drafted: dict[Recording, str] = {}  # the key of the model that has
        self.normalize: Callable[[str], str] = str  # as the model's texts are
        self._order = Order(self._candidates)
        self._changes, self._written = 0, -1
        self._left_out: set[str] = set()  # told already
        self._read_drafts = lru_cache(_FILES_KEPT)(self._read_file)
        self._load()
        self.refresh()

    def close(self) -> None:
        """Let other processes open it."""
        self._order.close()
        self.refresh()
        self._log.close()

    # What is drafted

    def stored(self, sha256: str) -> DraftFile | None:
        """The drafts of a recording, None where there are none that can be read."""
        return read_draft_file(self._draft_path(sha256))

    def spans(self, sha256: str) -> list[tuple[float, float]]:
        """Of a recording's segments that people have worked on, start and end in seconds."""
        with self._lock:
            lines = [lines[-1] for lines in self._lines.values() if lines and lines[-1].sha256 == sha256]
        return sorted({(line.start_s, line.end_s) for line in lines})

    def owner(self, sha256: str) -> Recording | None:
        """The file with this content, where it is known."""
        with self._lock:
            return self._known.get(sha256)

    def drafted_by(self, recording: Recording) -> str | None:
        """The key of the model whose drafts it has, None where it has none."""
        with self._lock:
            return self._drafted.get(recording)

    def keep(self, recording: Recording, drafts: DraftFile) -> None:
        """Write the drafts of a recording, and take its segments into the queue. Raises OSError."""
        write_text(self._draft_path(drafts.sha256), drafts.model_dump_json())
        self._add(recording, drafts)

    def _draft_path(self, sha256: str) -> Path:
        return self.folder / FOLDER / DRAFTS / f"{sha256[:32]}.json"

    def _load(self) -> None:
        """The drafts of recordings that have not been written since; of renamed ones those with corrections."""
        by_name = {recording.name: recording for recording in self.recordings}
        worked_on = {lines[-1].sha256 for lines in self._lines.values() if lines}
        moved: list[DraftFile] = []
        for path in sorted((self.folder / FOLDER / DRAFTS).glob("*.json")):
            drafts = read_draft_file(path)
            recording = by_name.get(drafts.recording) if drafts else None
            if drafts and recording and recording.is_same(drafts):
                self._add(recording, drafts)
            elif drafts and drafts.sha256 in worked_on:
                moved.append(drafts)
        content = cache(sha256_file)
        for drafts, recording in itertools.product(moved, self.recordings):
            with contextlib.suppress(OSError):  # drafting tells it
                if (
                    recording.size == drafts.size
                    and recording not in self._drafted
                    and drafts.sha256 not in self._known
                    and content(recording.path) == drafts.sha256
                ):
                    self._add(recording, drafts)
        known = {recording.name for recording in self._known.values()}
        for name in {lines[-1].recording for lines in self._lines.values() if lines} & by_name.keys() - known:
            with contextlib.suppress(OSError):  # drafting tells it
                self._known.setdefault(sha256_file(by_name[name].path), by_name[name])

    def _add(self, recording: Recording, drafts: DraftFile) -> None:
        with self._lock:
            self._known[drafts.sha256], self._drafted[recording] = recording, drafts.key
            for place, one in enumerate(drafts.segments):
                name = segment_id(drafts.sha256, one.start_s, one.end_s)
                self._segments[name] = Segment(
                    id=name, recording=recording, sha256=drafts.sha256, key=drafts.key, model=drafts.model, place=place,
                    start_s=one.start_s, end_s=one.end_s, draft=one.text, confidence=one.confidence,
                    lines=self._lines.setdefault(name, []),
                )  # fmt: skip
            self._order.drafted()
            self._changes += 1

    def _read_file(self, sha256: str, key: str) -> tuple[DraftSegment, ...]:
        found = self.stored(sha256)
        return found.segments if found and found.key == key else ()

    # What people see and change

    def queue(self, order: str, status: str, offset: int, limit: int) -> dict[str, Any]:
        """A page of the segments, most useful first or by recording, with counts and the progress of drafting."""
        self._order.refresh()
        with self._lock:
            counts = dict.fromkeys(("open", "corrected", "skipped"), 0)
            for one in self._segments.values():
                counts[one.status] += 1
            ranked = sorted(self._segments.values(), key=lambda one: (one.recording.name, one.start_s))
            if order == "useful":
                ranked.sort(key=lambda one: self._order.place(one.id))
            found = [one for one in ranked if status in ("all", one.status)]
            return {
                "total": len(found),
                "counts": counts,
                "drafting": self.progress.told(),
                "segments": [_brief(one) for one in found[offset : offset + limit]],
            }

    def _candidates(self) -> tuple[list[Candidate], list[Known]]:
        with self._lock:
            segments = list(self._segments.values())
            known = [(one.text, one.recording.speaker) for one in segments if one.status == "corrected"]
            open_ones = [one for one in segments if one.status == "open"]
        candidates = [
            Candidate(
                id=one.id, duration_s=one.end_s - one.start_s, text=one.draft, confidence=one.confidence,
                speaker=one.recording.speaker,
            )
            for one in open_ones
        ]  # fmt: skip
        return candidates, [(self.normalize(text), speaker) for text, speaker in known]

    def find(self, name: str) -> Segment | None:
        """The segment of that id."""
        with self._lock:
            return self._segments.get(name)

    def state(self, segment: Segment) -> dict[str, Any]:
        """All about one segment."""
        drafts = self._read_drafts(segment.sha256, segment.key)
        draft = drafts[segment.place] if segment.place < len(drafts) else None
        with self._lock:
            return {
                **_brief(segment),
                "words": [one.model_dump() for one in draft.words] if draft else [],
                "alternatives": [{"text": text} for text in draft.alternatives] if draft else [],
                "history": [
                    {"version": one.version, "text": one.text, "by": one.by, "at": one.at, "status": one.status}
                    for one in segment.lines
                ],
                "draft": {"text": segment.draft, "model": segment.model},
                "can_undo": bool(segment.holding()),
            }

    def save(
        self,
        segment: Segment,
        status: Literal["corrected", "skipped"],
        text: str,
        by: str,
        version: int,
        seconds: float,
    ) -> None:
        """Keep a correction. Raises StaleError where ``version`` is not the segment's, OSError where it is not kept.

        The same one again, whose answer was lost, changes nothing.
        """
        with self._lock:
            last = segment.lines[-1] if segment.lines else None
            if last and not last.undo and _was_asked(last, version, by) and (last.status, last.text) == (status, text):
                return
            self._keep(segment, version, status=status, text=text, by=by, seconds=seconds)

    def undo(self, segment: Segment, by: str, version: int, seconds: float) -> None:
        """Take back the last change that still holds. Raises as ``save``, and where there is none."""
        with self._lock:
            last = segment.lines[-1] if segment.lines else None
            if last and last.undo and _was_asked(last, version, by):
                return
            holding = segment.holding()
            if not holding and version == segment.version:
                raise StaleError("there is nothing to undo", nothing=True)
            before = holding[-2] if len(holding) > 1 else None
            status, text = (before.status, before.text) if before else ("open", "")
            self._keep(segment, version, status=status, text=text, by=by, seconds=seconds, undo=True)

    def _keep(self, segment: Segment, version: int, **what: Any) -> None:
        if version != segment.version:
            raise StaleError(
                f"version {version} of the segment is not the newest, which is {segment.version}: somebody else has"
                " changed it"
            )
        line = Correction(
            segment=segment.id, version=version + 1, at=datetime.now(UTC).isoformat(timespec="seconds"),
            recording=segment.recording.name, sha256=segment.sha256, start_s=segment.start_s, end_s=segment.end_s,
            draft=segment.draft, model=segment.model, **what,
        )  # fmt: skip
        self._log.append(line)
        segment.lines.append(line)
        self._order.corrected()
        self._changes += 1

    # What is trained on

    def refresh(self) -> None:
        """Write ``corrected.jsonl`` where anything has changed since; that it cannot be written is logged."""
        with self._writing:
            with self._lock:
                changes = self._changes
                if changes == self._written:
                    return
                utterances, left_out = self._utterances()
            try:
                if utterances:
                    write_manifest(self.folder / MANIFEST, utterances)
                else:
                    (self.folder / MANIFEST).unlink(missing_ok=True)
            except (OSError, AsrError) as error:
                log.error("%s: cannot be written (%s); the corrections are safe", self.folder / MANIFEST, error)
                return
            self._written = changes
            if left_out != self._left_out:
                self._left_out = left_out
                names = ", ".join(sorted(left_out)[:5]) or "none any more"
                log.warning("corrections of recordings that are gone or changed are not in %s: %s", MANIFEST, names)

    def _utterances(self) -> tuple[list[Utterance], set[str]]:
        """Those that are corrected, and the recordings that they cannot be of any more."""
        found: list[tuple[str, Utterance]] = []
        left_out = set()
        for lines in self._lines.values():
            if not lines or lines[-1].status != "corrected":
                continue
            recording = self._recording_of(lines[-1])
            if recording is None:
                left_out.add(lines[-1].recording)
            else:
                found.append((recording.name, _utterance(recording, lines)))
        found.sort(key=lambda one: (one[0], one[1].start_s))
        return [utterance for _, utterance in found], left_out

    def _recording_of(self, line: Correction) -> Recording | None:
        """By its content: a file of the same name may be another recording by now."""
        return self._known.get(line.sha256)


def _was_asked(last: Correction, version: int, by: str) -> bool:
    """Whether the same person has changed this version already: the answer was lost, and they ask again."""
    return version == last.version - 1 and by == last.by


def _brief(one: Segment) -> dict[str, Any]:
    return {
        "id": one.id,
        "recording": one.recording.name,
        "start_s": one.start_s,
        "end_s": one.end_s,
        "status": one.status,
        "text": one.text,
        "version": one.version,
        "confidence": one.confidence,
        "speaker": one.recording.speaker,
    }


def _utterance(recording: Recording, lines: Sequence[Correction]) -> Utterance:
    """``seconds``: of all work on the segment; the other extra fields are of the last line."""
    last = lines[-1]
    return Utterance(
        id=f"{recording_id(recording.name)}-{last.segment}",
        audio=str(recording.path),
        start_s=last.start_s,
        duration_s=round(last.end_s - last.start_s, 3),
        text=last.text,
        speaker=recording.speaker,
        extra={
            "by": last.by,
            "at": last.at,
            "seconds": round(sum(one.seconds for one in lines), 3),
            "draft": last.draft,
            "draft_model": last.model,
        },
    )
