"""What was taken of annotated recordings and what was left out: counts, minutes, examples, and a table of all."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from asr.data.annotation.segments import TimedSegment
from asr.terminal import shorten

TABLE = "left-out.tsv"
_NAMES_SHOWN = 5


@dataclass(slots=True)
class AnnotationReport:
    """``segments`` by annotation file; ``without``: recordings and files that nothing was taken of, by why."""

    segments: list[tuple[str, TimedSegment]] = field(default_factory=list)
    without: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def lines(self) -> list[str]:
        """The report to show; empty where no annotation was read."""
        if not self.segments and not any(self.without.values()):
            return []
        taken = [one for _, one in self.segments if one.reason is None]
        count = sum(one.annotations for one in taken)
        rows = [f"Annotations: {count:,} taken as {len(taken):,} segments, {_minutes(taken)}."]
        reasons = Counter(one.reason for _, one in self.segments if one.reason is not None)
        for reason, number in reasons.most_common():
            group = [(file, one) for file, one in self.segments if one.reason == reason]
            file, first = group[0]
            rows.append(
                f"  left out, {reason}: {number:,}, {_minutes([one for _, one in group])}; e.g."
                f" {file} {clock(first.start_s)} {shorten(first.text, 40)!r}"
            )
        if reasons:
            rows.append(f"  Every one is in {TABLE}.")
        for why, names in ((why, names) for why, names in self.without.items() if names):
            more = f", and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
            rows.append(f"{why}: {len(names):,} ({', '.join(names[:_NAMES_SHOWN])}{more}).")
        return rows

    def table(self) -> str:
        """The annotations that were left out, a row each, tab-separated with a header; "" where there is none."""
        rows = [
            "\t".join(
                (file, one.tier, one.speaker or "", f"{one.start_s:.3f}", f"{one.end_s:.3f}", one.reason, one.text)
            )
            for file, one in self.segments
            if one.reason is not None
        ]
        return "\n".join(["file\ttier\tspeaker\tstart_s\tend_s\treason\ttext", *rows, ""]) if rows else ""


def clock(seconds: float) -> str:
    """``0:01:02.5``, as annotation programs show a time."""
    minutes, rest = divmod(round(max(0.0, seconds), 1), 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{rest:04.1f}"


def _minutes(segments: Sequence[TimedSegment]) -> str:
    return f"{sum(max(0.0, one.duration_s) for one in segments) / 60:.1f} min"
