"""`asr check MANIFEST...`: what is in a manifest, what is wrong with it, and a cleaned one.

In: manifests, or a folder of them; several are taken for the splits of one corpus and held against each other too; with
`--model`, a trained model that judges the transcripts. Out: a summary and the findings on stdout (or JSON), suspects as
JSONL and as a page to listen through, a cleaned manifest; exit code 1 if there is an error among the findings, 0 if
there are warnings at most. What is read is never changed.

What `asr check` shows: text for a person as the work goes on, or one JSON object at its end.

In: what was checked and found. Out: stdout, and the number of errors as an exit code.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.audio import AudioInfo
from asr.commands.options import count, number, whole_number
from asr.data.manifest import Utterance
from asr.data.quality import Finding
from asr.data.quality.checks import Checked
from asr.data.quality.clean import Mended, slug
from asr.data.quality.sound import bandwidths, counted, heard_only
from asr.data.quality.texts import describe_character
from asr.errors import AsrError, UsageError
from asr.terminal import styled, table

if TYPE_CHECKING:
    from asr.data.manifest import Utterance
    from asr.data.quality import Finding
    from asr.data.quality.checks import Checked
    from asr.recognition import Recognizer


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
        from asr.recognition.suspects import clear_threshold, fields

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


_LISTEN = 5_000


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr check`."""
    parser = argparse.ArgumentParser(
        prog="asr check",
        description="Say what is in manifests and what is wrong with them: recordings, transcripts, and what several "
        "manifests share. With a model, also which transcripts are likely wrong.",
    )
    parser.add_argument(
        "manifests", nargs="+", type=Path, metavar="MANIFEST", help="a .jsonl file, or a folder of them"
    )
    parser.add_argument(
        "--show", type=whole_number, default=5, metavar="N", help="findings shown of each kind (default: 5; 0: all)"
    )
    parser.add_argument(
        "--listen", type=_listen, default=_LISTEN, metavar="N|all|none",
        help="utterances of each manifest to decode and hear, spread evenly (default: 5000)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of text")
    suspects = parser.add_argument_group("likely wrong transcripts")
    suspects.add_argument("--model", type=Path, metavar="MODEL", help="a model directory; ranks all transcripts")
    suspects.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    suspects.add_argument(
        "--suspects", type=Path, default=Path("suspects.jsonl"), metavar="FILE.jsonl",
        help="where the ranked list goes (default: suspects.jsonl)",
    )  # fmt: skip
    suspects.add_argument("--html", type=Path, metavar="FILE.html", help="a page to listen through the first of them")
    suspects.add_argument(
        "--html-count", type=count, default=100, metavar="N", help="transcripts on the page (default: 100)"
    )
    fix = parser.add_argument_group("a cleaned manifest")
    fix.add_argument("--fix", type=Path, metavar="OUT.jsonl", help="write the first manifest without what is wrong")
    fix.add_argument(
        "--fix-kinds", default="default", metavar="KIND,...",
        help="kinds of finding to leave out, such as default,clipped,no-silent; all; (default: default)",
    )  # fmt: skip
    fix.add_argument(
        "--fix-suspects", type=_share, metavar="SHARE", help="leave out the most suspicious share, such as 5%%"
    )
    fix.add_argument("--fix-score", type=number, metavar="SCORE", help="leave out suspects of at least this score")
    return parser


def run(arguments: list[str]) -> int:
    """Check manifests; returns 1 if anything is wrong with them, else 0."""
    options = build_parser().parse_args(arguments)
    from asr.data.quality.checks import check_across, check_path, manifest_paths
    from asr.data.quality.clean import choose_kinds

    paths = manifest_paths(options.manifests)
    _check_options(options, paths)
    kinds = choose_kinds(word for word in options.fix_kinds.replace(" ", "").split(",") if word)
    judge = _judge(options)
    shown = Shown(options.show, options.json)
    checked: list[Checked] = []
    for path in paths:
        try:
            one = check_path(path, {other.name for other in checked}, options.listen)
        except AsrError as error:
            shown.unreadable(path, error)
            continue
        checked.append(one)
        shown.manifest(one)
    across: list[Finding] = []
    if len(checked) > 1:
        across = check_across(checked)
        shown.across([one.name for one in checked], across)
    suspected = _suspects(options, judge, checked, shown) if judge and checked else []
    if options.fix:
        if not checked or checked[0].path != paths[0]:
            raise UsageError(f"--fix: {paths[0]} cannot be read; mend what is said about it above first")
        _fix(options, checked[0], [*checked[0].findings, *across, *suspected], kinds, shown)
    return shown.finish()


def _judge(options: argparse.Namespace) -> "Recognizer | None":
    if not options.model:
        return None
    from asr.recognition.suspects import load_judge

    return load_judge(options.model, options.device)


def _suspects(
    options: argparse.Namespace, judge: "Recognizer", checked: "list[Checked]", shown: "Shown"
) -> "list[Finding]":
    """Rank, write and show; returns what a cleaned manifest is to leave out."""
    from asr.data.quality import Finding
    from asr.recognition.suspects import rank, suspicious, write_suspects

    ranked, failed = rank(judge, checked)
    write_suspects(options.suspects, ranked)
    shown.suspects(ranked, failed, options.suspects)
    if options.html:
        from asr.pages.suspects import write_page

        write_page(options.html, ranked[: options.html_count], len(ranked), str(options.model))
        shown.wrote("page", options.html)
    if options.fix_suspects is None and options.fix_score is None:
        return []
    own = {utterance.id: utterance for utterance in checked[0].utterances}
    first = [one for one in ranked if own.get(one.utterance.id) is one.utterance]
    return [
        Finding(
            severity="warning",
            kind="likely wrong transcript",
            where=one.utterance.id,
            message=f"score {one.score:.2f}; the model reads: {one.heard}",
            ids=(one.utterance.id,),
        )
        for one in suspicious(first, options.fix_suspects, options.fix_score)
    ]


def _fix(
    options: argparse.Namespace, first: "Checked", findings: "list[Finding]", kinds: list[str], shown: "Shown"
) -> None:
    from asr.data.manifest import write_manifest
    from asr.data.quality.checks import about
    from asr.data.quality.clean import mend
    from asr.errors import DataError
    from asr.files import write_text

    mended = mend(first.utterances, about(first.name, findings), kinds)
    if not mended.kept:
        raise DataError(f"--fix: nothing of {first.path} would be left. Choose fewer kinds with --fix-kinds.")
    removed = _removed(options.fix)  # first: by it a manifest is known as one of ours
    write_text(removed, "".join(f"{one}\t{kind}\n" for kind, ids in mended.removed.items() for one in ids))
    write_manifest(options.fix, mended.kept)
    shown.fixed(options.fix, removed, _hours(mended.kept), mended)


def _removed(fix: Path) -> Path:
    """The list of what was taken out, beside a cleaned manifest."""
    return fix.with_suffix(".removed.tsv")


def _hours(utterances: "list[Utterance]") -> float:
    return sum(utterance.duration_s for utterance in utterances) / 3600


def _check_options(options: argparse.Namespace, paths: list[Path]) -> None:
    if not options.model and (options.html or options.fix_suspects is not None or options.fix_score is not None):
        raise UsageError("--html, --fix-suspects and --fix-score are about suspects: name the MODEL that finds them")
    if not options.fix and (options.fix_suspects is not None or options.fix_score is not None):
        raise UsageError("--fix-suspects and --fix-score choose what --fix leaves out: add --fix OUT.jsonl")
    written = [path for path in (options.fix, options.html, options.model and options.suspects) if path]
    read = {path.resolve() for path in paths}
    for path in written:
        if path.resolve() in read:
            raise UsageError(f"{path} is one of the manifests to check, which are never changed; choose another name")
        if path.is_dir():
            raise UsageError(f"{path} is a folder; give a file")
    if options.fix and options.fix.exists() and not _removed(options.fix).exists():
        raise UsageError(f"--fix: {options.fix} is there and no earlier --fix wrote it; choose another name")
    if len({path.resolve() for path in written}) < len(written):
        raise UsageError("--fix, --suspects and --html would write the same file; choose other names")


def _listen(text: str) -> int | None:
    """How many to hear; None: all."""
    return None if text == "all" else 0 if text == "none" else whole_number(text)


def _share(text: str) -> float:
    value = number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, such as 0.05 or 5%")
    return value
