"""What `asr check` shows: text for a person as the work goes on, or one JSON object at its end.

In: what was checked and found. Out: stdout, and the number of errors as an exit code.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr.audio import AudioInfo
from asr.commands._check_work import Checked
from asr.data.check_texts import describe_character
from asr.data.doctor.mend import Mended, slug
from asr.data.doctor.sound import bandwidths, counted, heard_only
from asr.data.findings import Finding
from asr.data.utterance import Utterance
from asr.errors import AsrError
from asr.terminal import styled, table

_CHARACTERS_SHOWN = 120
_SUSPECTS_SHOWN = 20
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


class Shown:
    """Prints as it is told, or keeps for `finish` to print as JSON.

    ``most``: findings of each kind, 0 for all.
    """

    def __init__(self, most: int, as_json: bool) -> None:
        self._most, self._json = most, as_json
        self._errors = 0
        self._value: dict[str, Any] = {"manifests": [], "across": []}

    def unreadable(self, path: Path, error: AsrError) -> None:
        """A manifest with faults."""
        self._errors += 1
        self._value["manifests"].append({"path": str(path), "error": str(error)})
        self._print(f"{error}\n")

    def manifest(self, one: Checked) -> None:
        """One manifest's summary and findings."""
        rows = summary(one)
        entry = {"path": str(one.path), "summary": dict(rows), "findings": [_plain(f) for f in one.findings]}
        self._value["manifests"].append(entry)
        self._print(str(one.path))
        for name, value in rows:
            self._print(f"  {name + ':':<12} {value}")
        self._findings(one.findings)

    def across(self, names: Sequence[str], findings: Sequence[Finding]) -> None:
        """What several manifests share."""
        self._value["across"] = [_plain(finding) for finding in findings]
        self._print(f"{', '.join(names)} held against each other")
        self._findings(findings)

    def suspects(self, ranked: Sequence[Any], failed: Sequence[tuple[Utterance, AsrError]], path: Path) -> None:
        """The head of the ranked list."""
        from asr.commands._check_suspects import fields
        from asr.recognition.suspects import clear_threshold

        limit = clear_threshold(ranked)
        beyond = sum(one.score > limit for one in ranked)
        most = len(ranked) if self._most == 0 else max(_SUSPECTS_SHOWN, self._most)
        self._value["suspects"] = {
            "path": str(path),
            "stand_apart": beyond,
            "threshold": limit,
            "first": [fields(place, one) for place, one in enumerate(ranked[:most], start=1)],
            "unheard": {utterance.id: str(error) for utterance, error in failed},
        }
        self._print(f"transcripts by suspicion: {beyond:,} of {len(ranked):,} stand apart (score above {limit:.2f})")
        rows = [
            [place, one.utterance.id, f"{one.score:.2f}", _cut(one.utterance.text), _cut(one.heard or one.note)]
            for place, one in enumerate(ranked[: max(1, min(most, max(beyond, 5)))], start=1)
        ]
        self._print(table(rows, ["", "id", "score", "text", "the model reads"]))
        if failed:
            self._print(f"  {len(failed):,} could not be heard; see the errors above")
        self._print(f"all, ranked: {path}\n")

    def wrote(self, what: str, path: Path) -> None:
        """A file that was written besides."""
        self._value[what] = str(path)
        self._print(f"{what}: {path}\n")

    def fixed(self, path: Path, removed: Path, hours: float, mended: Mended) -> None:
        """What the cleaned manifest holds and lacks."""
        out = sum(map(len, mended.removed.values()))
        self._value["fixed"] = {
            "path": str(path), "kept": len(mended.kept), "hours": hours, "removed": mended.removed,
        }  # fmt: skip
        self._print(
            f"cleaned: {path}: {len(mended.kept):,} utterances, {hours:.2f} h; {out:,} left out (see {removed})"
        )
        for kind, ids in mended.removed.items():
            head = ids[: self._most] if self._most else ids
            self._print(f"  {kind} ({len(ids):,}): {', '.join(head)}{', ...' if len(head) < len(ids) else ''}")

    def finish(self) -> int:
        """Print the JSON, if that was asked for; returns the exit code."""
        self._value["errors"] = self._errors
        if self._json:
            print(json.dumps(self._value, ensure_ascii=False, indent=2))
        return 1 if self._errors else 0

    def _findings(self, findings: Sequence[Finding]) -> None:
        groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in findings:
            groups[finding.severity, finding.kind].append(finding)
        for (severity, kind), group in groups.items():
            self._print(f"  {styled(severity, _COLOURS[severity])}: {kind} ({len(group):,})")
            for finding in group[: self._most] if self._most > 0 else group:
                self._print(f"    {finding.where}: {finding.message}" if finding.where else f"    {finding.message}")
            if 0 < self._most < len(group):
                self._print(f"    ... and {len(group) - self._most:,} more (--show 0 shows all)")
        if all(finding.severity == "note" for finding in findings):
            self._print("  nothing found that is wrong")
        self._print("")
        self._errors += sum(finding.severity == "error" for finding in findings)

    def _print(self, line: str) -> None:
        if not self._json:
            print(line)


def summary(one: Checked) -> list[tuple[str, str]]:
    """Name and value of each line."""
    utterances = one.utterances
    lengths_s = sorted(utterance.duration_s for utterance in utterances)
    infos = [info for info in one.recordings.values() if isinstance(info, AudioInfo)]
    speakers = {utterance.speaker for utterance in utterances} - {None}
    unnamed = sum(utterance.speaker is None for utterance in utterances)
    characters = sorted(set("".join(utterance.text for utterance in utterances)))
    shown = " ".join("space" if c == " " else describe_character(c) for c in characters[:_CHARACTERS_SHOWN])
    words = sum(len(utterance.text.split()) for utterance in utterances)
    audio = Counter(f"{info.format} {info.subtype} {info.sample_rate} Hz {info.channels} ch" for info in infos)
    return [
        ("utterances", f"{len(utterances):,} in {len(one.recordings):,} recordings"),
        (
            "length",
            f"{sum(lengths_s) / 3600:.2f} h; {lengths_s[0]:.2f} to {lengths_s[-1]:.2f} s, "
            f"median {lengths_s[len(lengths_s) // 2]:.2f} s",
        ),
        ("speakers", f"{len(speakers):,}" + (f"; unknown for {unnamed:,} utterances" if unnamed else "")),
        ("words", f"{words:,}"),
        ("characters", f"{len(characters)}: {shown}" + (" ..." if len(characters) > _CHARACTERS_SHOWN else "")),
        ("audio", (next(iter(audio)) if len(audio) == 1 else counted(audio)) or "none readable"),
        ("heard", _heard(one)),
    ]


def _heard(one: Checked) -> str:
    if not one.sounds:
        return "nothing (--listen)"
    frequencies = bandwidths(heard_only(one.sounds)).most_common()
    shown = ", ".join(f"{hz:,.0f} Hz ({count:,})" for hz, count in frequencies[:5])
    return f"{len(one.sounds):,} utterances; sound up to {shown}" + (", ..." if len(frequencies) > 5 else "")


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "slug": slug(finding.kind),
        "where": finding.where,
        "message": finding.message,
        "ids": list(finding.ids),
    }


def _cut(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
