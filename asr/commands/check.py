"""`asr check MANIFEST...`: what is in a manifest, and what is wrong with it.

In: manifests; several are taken for the splits of one corpus and held against each other too. Out: a summary and the
findings on stdout; exit code 1 if there is an error among them, 0 if there are warnings at most.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AsrError

if TYPE_CHECKING:
    from asr.data.check import Recordings
    from asr.data.findings import Finding
    from asr.data.utterance import Utterance

_CHARACTERS_SHOWN = 120


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr check`."""
    parser = argparse.ArgumentParser(
        prog="asr check",
        description="Say what is in manifests and what is wrong with them. Every recording is opened, none is decoded. "
        "Several manifests are also searched for sound, speakers and ids that they share.",
    )
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST", help="a .jsonl file")
    parser.add_argument(
        "--show", type=int, default=5, metavar="N", help="findings shown of each kind (default: 5; 0 shows all)"
    )
    return parser


def run(arguments: list[str]) -> int:
    """Check manifests; returns 1 if anything is wrong with them, else 0."""
    options = build_parser().parse_args(arguments)
    from asr.data.check import check_splits
    from asr.data.manifest import read_manifest

    errors = 0
    splits: dict[str, Sequence[Utterance]] = {}
    for path in dict.fromkeys(options.manifests):
        try:
            utterances = read_manifest(path)
        except AsrError as error:
            print(f"{error}\n")
            errors += 1
            continue
        splits[path.stem if path.stem not in splits else str(path)] = utterances
        errors += _check_one(path, utterances, options.show)
    if len(splits) > 1:
        findings = check_splits(splits)
        print(f"{', '.join(splits)} held against each other")
        errors += _print_findings(findings, options.show)
    return 1 if errors else 0


def _check_one(path: Path, utterances: "Sequence[Utterance]", most: int) -> int:
    """Print one manifest's summary and findings; returns the number of errors."""
    from asr.data.check import check_manifest, probe_all
    from asr.terminal import Progress

    files = {utterance.audio for utterance in utterances}
    with Progress(len(files), f"opening the recordings of {path.name}", "files") as progress:
        recordings = probe_all(sorted(files), on_file=progress.update)
    print(path)
    for name, value in _summary(utterances, recordings):
        print(f"  {name + ':':<12} {value}")
    return _print_findings(check_manifest(utterances, recordings), most)


def _summary(utterances: "Sequence[Utterance]", recordings: "Recordings") -> list[tuple[str, str]]:
    from asr.audio import AudioInfo
    from asr.data.check_texts import describe_character

    lengths_s = sorted(utterance.duration_s for utterance in utterances)
    infos = [info for info in recordings.values() if isinstance(info, AudioInfo)]
    speakers = {utterance.speaker for utterance in utterances} - {None}
    unnamed = sum(utterance.speaker is None for utterance in utterances)
    characters = sorted(set("".join(utterance.text for utterance in utterances)))
    shown = " ".join("space" if c == " " else describe_character(c) for c in characters[:_CHARACTERS_SHOWN])
    words = sum(len(utterance.text.split()) for utterance in utterances)
    return [
        ("utterances", f"{len(utterances):,} in {len(recordings):,} recordings"),
        (
            "length",
            f"{sum(lengths_s) / 3600:.2f} h; {lengths_s[0]:.2f} to {lengths_s[-1]:.2f} s, "
            f"median {lengths_s[len(lengths_s) // 2]:.2f} s",
        ),
        ("speakers", f"{len(speakers):,}" + (f"; unknown for {unnamed:,} utterances" if unnamed else "")),
        ("words", f"{words:,}"),
        ("characters", f"{len(characters)}: {shown}" + (" ..." if len(characters) > _CHARACTERS_SHOWN else "")),
        ("audio", _counted(f"{info.format} {info.subtype} {info.sample_rate} Hz {info.channels} ch" for info in infos)),
    ]


def _counted(values: "Iterable[str]") -> str:
    counts = Counter(values).most_common()
    return (
        ", ".join(value if len(counts) == 1 else f"{value} ({count:,})" for value, count in counts) or "none readable"
    )


def _print_findings(findings: "list[Finding]", most: int) -> int:
    """Print findings kind by kind; returns the number of errors."""
    from asr.terminal import styled

    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.kind].append(finding)
    for (severity, kind), group in groups.items():
        print(f"  {styled(severity, 'red' if severity == 'error' else 'yellow')}: {kind} ({len(group):,})")
        for finding in group[:most] if most > 0 else group:
            print(f"    {finding.where}: {finding.message}" if finding.where else f"    {finding.message}")
        if 0 < most < len(group):
            print(f"    ... and {len(group) - most:,} more (--show 0 shows all)")
    if not findings:
        print("  nothing found that is wrong")
    print()
    return sum(finding.severity == "error" for finding in findings)
