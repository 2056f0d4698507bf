"""`asr check MANIFEST...`: what is in a manifest, what is wrong with it, and a cleaned one.

In: manifests, or a folder of them; several are taken for the splits of one corpus and held against each other too; with
`--model`, a trained model that judges the transcripts. Out: a summary and the findings on stdout (or JSON), suspects as
JSONL and as a page to listen through, a cleaned manifest; exit code 1 if there is an error among the findings, 0 if
there are warnings at most. What is read is never changed.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands._arguments import count, number, whole_number
from asr.errors import AsrError, UsageError

if TYPE_CHECKING:
    from asr.commands._check_show import Shown
    from asr.commands._check_work import Checked
    from asr.data.findings import Finding
    from asr.data.utterance import Utterance
    from asr.recognition import Recognizer

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
    from asr.commands._check_show import Shown
    from asr.commands._check_work import check_across, check_path, manifest_paths
    from asr.data.doctor.mend import choose_kinds

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
    from asr.commands._check_suspects import load_judge

    return load_judge(options.model, options.device)


def _suspects(
    options: argparse.Namespace, judge: "Recognizer", checked: "list[Checked]", shown: "Shown"
) -> "list[Finding]":
    """Rank, write and show; returns what a cleaned manifest is to leave out."""
    from asr.commands._check_suspects import rank, write_suspects
    from asr.data.findings import Finding
    from asr.recognition.suspects import suspicious

    ranked, failed = rank(judge, checked)
    write_suspects(options.suspects, ranked)
    shown.suspects(ranked, failed, options.suspects)
    if options.html:
        from asr.commands._suspects_page import write_page

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
    from asr.commands._check_work import about
    from asr.data.doctor.mend import mend
    from asr.data.manifest import write_manifest
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
