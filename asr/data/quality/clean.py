"""A manifest without the utterances that checks found wrong.

In: a checked manifest, findings, and the kinds of finding to act on. Out: a new manifest, and next to it the list of
the utterances left out, each with the reason. The manifest that was checked and the recordings are not changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.data.manifest import Utterance, write_manifest
from asr.data.quality.findings import Finding
from asr.errors import DataError, UsageError
from asr.files import write_text


@dataclass(frozen=True, slots=True)
class Cleaned:
    """``kept`` utterances in their order; ``removed``: ids by kind, each id under the first kind that named it."""

    kept: list[Utterance]
    removed: dict[str, list[str]]

    @property
    def hours(self) -> float:
        """Hours that are kept."""
        return sum(utterance.duration_s for utterance in self.kept) / 3600

    @property
    def removed_count(self) -> int:
        """Utterances that were left out."""
        return sum(map(len, self.removed.values()))


def clean(utterances: Sequence[Utterance], findings: Iterable[Finding], kinds: Iterable[str]) -> Cleaned:
    """Leave out what findings of these kinds name; of equal recordings with one text the first is kept."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in kinds}
    present = {utterance.id for utterance in utterances}
    gone: set[str] = set()
    for finding in findings:
        if finding.kind in by_kind:
            new = [one for one in dict.fromkeys(finding.ids) if one in present and one not in gone]
            by_kind[finding.kind] += new
            gone.update(new)
    kept = [utterance for utterance in utterances if utterance.id not in gone]
    return Cleaned(kept, {kind: ids for kind, ids in by_kind.items() if ids})


def write_cleaned(path: Path, cleaned: Cleaned) -> None:
    """Write the manifest and, as ``removed_list(path)``, a line ``ID<tab>KIND`` for each utterance left out.

    Raises:
        DataError: no utterance is left.
    """
    if not cleaned.kept:
        raise DataError(f"--fix: no utterance would be left in {path}. Choose fewer kinds with --fix-kinds.")
    # The list first: it marks a manifest as one that may be replaced.
    rows = [f"{one}\t{kind}\n" for kind, ids in cleaned.removed.items() for one in ids]
    write_text(removed_list(path), "".join(rows))
    write_manifest(path, cleaned.kept)


def removed_list(path: Path) -> Path:
    """The list of removed utterances that belongs to a cleaned manifest."""
    return path.with_suffix(".removed.tsv")


def check_replaceable(path: Path) -> None:
    """Raise UsageError if ``path`` exists and ``write_cleaned`` did not write it."""
    if path.exists() and not removed_list(path).exists():
        raise UsageError(f"--fix: {path} exists and was not written by an earlier --fix; choose another name")
