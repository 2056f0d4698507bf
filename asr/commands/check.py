"""`asr check MANIFEST...`: what is in a manifest, what is wrong with it, and a cleaned one.

In: manifests, or a folder of them; several are taken for the splits of one corpus and compared too; with `--model`, a
trained model that judges the transcripts. Out: a summary and the findings on stdout (or JSON), suspects as JSONL and as
a page to listen to, a cleaned manifest; exit code 1 if there is an error among the findings, 0 if there are warnings at
most. What is read is never changed.
"""

import argparse
import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.commands.options import count, number, whole_number
from asr.commands.parser import Parser
from asr.data.alphabet import TokenUse, alphabet_table, alphabet_to_train
from asr.data.quality import CheckedManifest, CheckObserver, CheckOptions, CheckResult, Finding, check_manifests
from asr.data.quality.check import manifest_paths, summarize
from asr.data.quality.clean import Cleaned, check_replaceable, clean, removed_list, write_cleaned
from asr.data.quality.findings import choose_kinds
from asr.errors import AsrError, UsageError
from asr.shipped import model_directory
from asr.terminal import Progress, printable, shorten, styled, table
from asr.text.normalize import get_normalizer
from asr.text.tokenizer import TokenizerConfig

if TYPE_CHECKING:
    from asr.recognition import Recognizer
    from asr.recognition.suspects import Ranking

_SUSPECTS_SHOWN = 20
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectOptions:
    """``model`` ranks all transcripts into ``ranked``; ``html``: a page with the first ``html_count`` of them."""

    model: Path
    device: str
    ranked: Path
    html: Path | None
    html_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOptions:
    """``out``: the cleaned manifest; ``kinds`` of finding, ``share`` and least ``score`` of suspects to leave out."""

    out: Path
    kinds: list[str]
    share: float | None
    score: float | None


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr check`."""
    parser = Parser(
        prog="asr check",
        description="Summarise manifests and report problems in their recordings and transcripts, and what several "
        "manifests share. With a model, also rank the transcripts that are likely wrong.",
    )
    parser.add_argument(
        "manifests", nargs="+", type=Path, metavar="MANIFEST", help="a .jsonl file, or a folder of them"
    )
    parser.add_argument(
        "--show", type=whole_number, default=5, metavar="N", help="findings shown per kind (default: 5; 0: all)"
    )
    parser.add_argument(
        "--decode", type=_decode, default=CheckOptions(manifests=()).decode, metavar="N|all|none",
        help="utterances of each manifest to decode and analyse, spread evenly (default: 5000)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    _add_alphabet(parser.add_argument_group("the alphabet"))
    suspects = parser.add_argument_group("likely wrong transcripts")
    suspects.add_argument(
        "--model", type=model_directory, metavar="MODEL",
        help="a model directory, or english; ranks all transcripts by how badly they fit what the model recognises",
    )  # fmt: skip
    suspects.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    suspects.add_argument(
        "--suspects", type=Path, default=Path("suspects.jsonl"), metavar="FILE.jsonl",
        help="file for the ranked list (default: suspects.jsonl)",
    )  # fmt: skip
    suspects.add_argument(
        "--html", type=Path, metavar="FILE.html", help="an HTML page to listen to the most suspicious ones"
    )
    suspects.add_argument(
        "--html-count", type=count, default=100, metavar="N", help="transcripts on the page (default: 100)"
    )
    _add_cleaning(parser.add_argument_group("a cleaned manifest"))
    return parser


def _add_alphabet(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--alphabet",
        action="store_true",
        help="list every token that a training would have, with its count, speakers and an example",
    )
    group.add_argument("--normalizer", default="letters", help="as data.normalizer (default: letters)")
    group.add_argument("--graphemes", action="store_true", help="as tokenizer.graphemes: letters with their marks")
    group.add_argument(
        "--units", metavar="FILE|ng,sh", default="", help="as tokenizer.units: letters of several characters"
    )


def _add_cleaning(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--fix",
        type=Path,
        metavar="OUT.jsonl",
        help="write the first manifest without the utterances that --fix-kinds selects",
    )
    group.add_argument(
        "--fix-kinds", default="default", metavar="KIND,...",
        help="leave out utterances with these findings, e.g. default,clipped,no-silent: default is a set of kinds, "
        "no- takes one out of it; all: every kind (default: default)",
    )  # fmt: skip
    group.add_argument(
        "--fix-suspects",
        type=_share,
        metavar="SHARE",
        help="also leave out the most suspicious transcripts, such as 5%%",
    )
    group.add_argument(
        "--fix-score", type=number, metavar="SCORE", help="also leave out transcripts with at least this score"
    )


def run(arguments: list[str]) -> int:
    """Check manifests; returns 1 if anything is wrong with them, else 0."""
    options = build_parser().parse_args(arguments)
    paths = manifest_paths(options.manifests)
    suspects, cleaning = _suspect_options(options), _clean_options(options)
    normalizer, tokens = get_normalizer(options.normalizer), _tokenizer(options)
    _check_outputs(paths, suspects, cleaning)
    judge = _load_judge(suspects)  # before anything is decoded: a wrong model is reported at once
    reporter = CheckReporter(options.show, options.json)
    result = check_manifests(CheckOptions(manifests=paths, decode=options.decode), reporter)
    if tokens:
        for manifest in result.manifests:
            reporter.alphabet(manifest.path, alphabet_to_train(manifest.utterances, normalizer, tokens))
    ranking = None
    if suspects and judge and result.manifests:
        ranking = _rank(suspects, judge, result, reporter)
    if cleaning:
        if paths[0] in result.unreadable:
            raise UsageError(f"--fix: {paths[0]} cannot be read; fix the errors above first")
        _clean(cleaning, result, ranking, reporter)
    return reporter.finish(result.errors)


def _rank(options: SuspectOptions, judge: "Recognizer", result: CheckResult, reporter: "CheckReporter") -> "Ranking":
    """Rank all transcripts of all manifests, and write the list and the page."""
    from asr.recognition.suspects import rank_transcripts, write_suspects

    utterances = [utterance for one in result.manifests for utterance in one.utterances]
    total_s = sum(utterance.duration_s for utterance in utterances)
    with reporter.task(round(total_s), "ranking transcripts", "s of audio") as advance:
        ranking = rank_transcripts(judge, utterances, advance)
    write_suspects(options.ranked, ranking.suspects)
    reporter.ranked(ranking, options.ranked)
    if options.html:
        from asr.pages.suspects import write_page

        write_page(options.html, ranking.suspects[: options.html_count], len(ranking.suspects), str(options.model))
        reporter.wrote("page", options.html)
    return ranking


def _clean(options: CleanOptions, result: CheckResult, ranking: "Ranking | None", reporter: "CheckReporter") -> None:
    """Write the first manifest without what was found."""
    first = result.manifests[0]
    findings = result.findings_about(first)
    if ranking and (options.share is not None or options.score is not None):
        from asr.recognition.suspects import most_suspicious, suspect_findings

        own = ranking.of(first.utterances).suspects
        findings += suspect_findings(most_suspicious(own, options.share, options.score))
    cleaned = clean(first.utterances, findings, options.kinds)
    write_cleaned(options.out, cleaned)
    reporter.cleaned(options.out, cleaned)


class CheckReporter(CheckObserver):
    """Prints as the checks go on, or keeps everything for `finish` to print as JSON.

    ``most``: findings of each kind, 0 for all.
    """

    def __init__(self, most: int, as_json: bool) -> None:
        self._most, self._json = most, as_json
        self._value: dict[str, Any] = {"manifests": [], "across": []}

    @contextlib.contextmanager
    def task(self, total: float, label: str, unit: str) -> Iterator[Callable[[float], None]]:
        """A line of progress on stderr."""
        with Progress(total, label, unit) as progress:
            yield progress.update

    def unreadable(self, path: Path, error: AsrError) -> None:
        """Why a manifest could not be read."""
        self._value["manifests"].append({"path": str(path), "error": str(error)})
        self._print(f"{error}\n")

    def checked(self, manifest: CheckedManifest) -> None:
        """One manifest's summary and findings."""
        rows = summarize(manifest)
        findings = [_finding_row(finding) for finding in manifest.findings]
        self._value["manifests"].append({"path": str(manifest.path), "summary": dict(rows), "findings": findings})
        self._print(str(manifest.path))
        for name, value in rows:
            self._print(f"  {name + ':':<12} {value}")
        self._print_findings(manifest.findings)

    def compared(self, names: Sequence[str], findings: Sequence[Finding]) -> None:
        """What several manifests share."""
        self._value["across"] = [_finding_row(finding) for finding in findings]
        self._print(f"{', '.join(names)} compared")
        self._print_findings(findings)

    def alphabet(self, path: Path, uses: Sequence[TokenUse]) -> None:
        """Every token of a manifest."""
        rows, header = alphabet_table(uses)
        self._value.setdefault("alphabets", {})[str(path)] = [dict(zip(header, row, strict=True)) for row in rows]
        self._print(f"{path}: {len(uses)} tokens in its texts")
        self._print(table(rows, header) + "\n")

    def ranked(self, ranking: "Ranking", path: Path) -> None:
        """The beginning of the ranked list."""
        from asr.recognition.suspects import suspect_row

        suspects, outliers, threshold = ranking.suspects, ranking.outliers, ranking.threshold
        most = len(suspects) if self._most == 0 else max(_SUSPECTS_SHOWN, self._most)
        self._value["suspects"] = {
            "path": str(path),
            "above_threshold": outliers,
            "threshold": threshold,
            "first": [suspect_row(rank, one) for rank, one in enumerate(suspects[:most], start=1)],
            "failed": {utterance.id: str(error) for utterance, error in ranking.failed},
        }
        self._print(
            f"most suspicious transcripts: {outliers:,} of {len(suspects):,} have a score above {threshold:.2f}"
        )
        rows = [
            [
                rank,
                one.utterance.id,
                f"{one.score:.2f}",
                shorten(one.utterance.text),
                shorten(one.hypothesis or one.note),
            ]
            for rank, one in enumerate(suspects[: max(1, min(most, max(outliers, 5)))], start=1)
        ]
        self._print(table(rows, ["", "id", "score", "text", "recognised"]))
        if ranking.failed:
            self._print(f"  {len(ranking.failed):,} could not be recognised; see the errors above")
        self._print(f"the whole list: {path}\n")

    def wrote(self, what: str, path: Path) -> None:
        """A further file that was written."""
        self._value[what] = str(path)
        self._print(f"{what}: {path}\n")

    def cleaned(self, path: Path, cleaned: Cleaned) -> None:
        """What the cleaned manifest holds, and what was left out."""
        self._value["fixed"] = {
            "path": str(path), "kept": len(cleaned.kept), "hours": cleaned.hours, "removed": cleaned.removed,
        }  # fmt: skip
        self._print(
            f"cleaned: {path}: {len(cleaned.kept):,} utterances, {cleaned.hours:.2f} h; "
            f"{cleaned.removed_count:,} left out (see {removed_list(path)})"
        )
        for kind, ids in cleaned.removed.items():
            head = ids[: self._most] if self._most else ids
            self._print(
                f"  {kind} ({len(ids):,}): {printable(', '.join(head))}{', ...' if len(head) < len(ids) else ''}"
            )

    def finish(self, errors: int) -> int:
        """Print the JSON, if --json was given; returns the exit code."""
        self._value["errors"] = errors
        if self._json:
            print(json.dumps(self._value, ensure_ascii=False, indent=2))
        return 1 if errors else 0

    def _print_findings(self, findings: Sequence[Finding]) -> None:
        groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in findings:
            groups[finding.severity, finding.kind].append(finding)
        for (severity, kind), group in groups.items():
            self._print(f"  {styled(severity, _COLOURS[severity])}: {kind} ({len(group):,})")
            for finding in group[: self._most] if self._most > 0 else group:
                where = f"{finding.where}: " if finding.where else ""
                self._print(f"    {printable(where + finding.message)}")
            if 0 < self._most < len(group):
                self._print(f"    ... and {len(group) - self._most:,} more (--show 0 shows all)")
        if all(finding.severity == "note" for finding in findings):
            self._print("  no errors or warnings")
        self._print("")

    def _print(self, line: str) -> None:
        if not self._json:
            print(line)


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "slug": finding.slug,
        "where": finding.where,
        "message": finding.message,
        "ids": list(finding.ids),
    }


def _tokenizer(options: argparse.Namespace) -> TokenizerConfig | None:
    """How --alphabet spells, or None without it."""
    if not options.alphabet:
        if options.graphemes or options.units:
            raise UsageError("--graphemes and --units say how --alphabet spells: add --alphabet")
        return None
    is_file = Path(options.units).suffix != "" or Path(options.units).is_file()
    units = options.units if is_file else [one for one in options.units.split(",") if one]
    return TokenizerConfig(units=units, graphemes=options.graphemes)


def _suspect_options(options: argparse.Namespace) -> SuspectOptions | None:
    if options.model:
        return SuspectOptions(
            model=options.model,
            device=options.device,
            ranked=options.suspects,
            html=options.html,
            html_count=options.html_count,
        )
    if options.html or options.fix_suspects is not None or options.fix_score is not None:
        raise UsageError("--html, --fix-suspects and --fix-score need a model that finds suspects: add --model MODEL")
    return None


def _clean_options(options: argparse.Namespace) -> CleanOptions | None:
    kinds = choose_kinds(word for word in options.fix_kinds.replace(" ", "").split(",") if word)
    if options.fix:
        return CleanOptions(out=options.fix, kinds=kinds, share=options.fix_suspects, score=options.fix_score)
    if options.fix_suspects is not None or options.fix_score is not None:
        raise UsageError("--fix-suspects and --fix-score choose what --fix leaves out: add --fix OUT.jsonl")
    return None


def _check_outputs(paths: Sequence[Path], suspects: SuspectOptions | None, cleaning: CleanOptions | None) -> None:
    """Raise UsageError where an output would replace what must stay."""
    named = [cleaning and cleaning.out, suspects and suspects.html, suspects and suspects.ranked]
    written = [path for path in named if path]
    read = {path.resolve() for path in paths}
    for path in written:
        if path.resolve() in read:
            raise UsageError(f"{path} is one of the manifests to check, which are never changed; choose another name")
        if path.is_dir():
            raise UsageError(f"{path} is a folder; give a file")
    if cleaning:
        check_replaceable(cleaning.out)
    if len({path.resolve() for path in written}) < len(written):
        raise UsageError("--fix, --suspects and --html would write the same file; choose other names")


def _load_judge(options: SuspectOptions | None) -> "Recognizer | None":
    if options is None:
        return None
    from asr.recognition.suspects import load_judge

    return load_judge(options.model, options.device)


def _decode(text: str) -> int | None:
    """How many utterances to decode; None: all."""
    return None if text == "all" else 0 if text == "none" else whole_number(text)


def _share(text: str) -> float:
    value = number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, such as 0.05 or 5%")
    return value
