"""``asr suggest MODEL PATH...``: which untranscribed recordings to transcribe next.

In: a model, recordings, folders or manifests, and manifests of what is transcribed. Out: a table with the reasons, the
most useful recording first; with ``--out`` a manifest. Exit code 1 where a recording could not be read.
"""

import argparse
import sys
from pathlib import Path

from asr.commands.options import MODEL_HELP, add_device, number, whole_number
from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.files import check_output_folder
from asr.shipped import model_directory
from asr.terminal import Progress, printable, shorten, table
from asr.transcription.suggest import SuggestOptions, SuggestResult, suggest, write_suggestions

_EPILOG = """\
Lines of a manifest that have a text count as transcribed, as all of --transcribed do. Fill in the texts of --out and
train on it; the same command with it then ranks what is left.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr suggest``."""
    parser = Parser(
        prog="asr suggest",
        description="Rank untranscribed recordings by what transcripts of them would teach the model: doubtful drafts,"
        " sounds and speakers that the transcribed texts have little of, no near-duplicates. Long ones are cut.",
        epilog=_EPILOG,
    )
    parser.add_argument("model", type=model_directory, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help='audio files, folders, manifests (.jsonl) with lines of "text": ""'
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="search subfolders too")
    parser.add_argument(
        "--transcribed", type=Path, action="append", default=[], metavar="MANIFEST",
        help="what is transcribed, such as the training data; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--second", type=model_directory, metavar="MODEL", help="another model; where both differ, drafts are doubtful"
    )
    parser.add_argument("--minutes", type=_minutes, metavar="M", help="choose so many minutes of audio (default: all)")
    parser.add_argument("--show", type=whole_number, default=20, metavar="N", help="rows shown (default: 20; 0: all)")
    parser.add_argument("--out", type=Path, metavar="FILE.jsonl", help="manifest of what is chosen, with the reasons")
    add_device(parser)
    return parser


def run(arguments: list[str]) -> int:
    """Rank; returns 0, or 1 when a recording could not be read. Raises an AsrError for what concerns them all."""
    found = build_parser().parse_intermixed_args(arguments)
    _check_out(found)
    options = SuggestOptions(
        model=found.model,
        paths=found.paths,
        transcribed=found.transcribed,
        second=found.second,
        minutes=found.minutes,
        recursive=found.recursive,
        device=found.device,
        backend=found.backend,
    )
    with Progress(None, "recognising", "s of audio") as line:

        def progress(done_s: float, total_s: float) -> None:
            line.total = total_s
            line.update(done_s - line.done)

        result = suggest(options, progress)
    for note in result.notes:
        print(f"asr: note: {printable(note)}", file=sys.stderr)
    for message in result.failed:
        print(f"asr: error: {printable(message)}", file=sys.stderr)
    if found.out is not None and result.chosen:
        write_suggestions(found.out, result)
    _print(result, found.show, found.out)
    return 1 if result.failed else 0


def _print(result: SuggestResult, most: int, out: Path | None) -> None:
    chosen = result.chosen
    if not chosen:
        print("nothing to transcribe")
        return
    rows = []
    for rank, one in enumerate(chosen[: most or None], start=1):
        utterance = result.utterances[one.candidate.id]
        cells = [rank, utterance.id, f"{utterance.duration_s:.1f}", f"{one.score:.3g}", "; ".join(one.reasons)]
        rows.append([*cells, shorten(one.candidate.text, 40)])
    print(table(rows, ["", "recording", "s", "score", "why", "draft"]))
    minutes, of = (sum(one.candidate.duration_s for one in some) / 60 for some in (chosen, result.suggestions))
    more = f" (the first {len(rows):,} are shown)" if len(rows) < len(chosen) else ""
    print(f"{len(chosen):,} of {len(result.suggestions):,} recordings, {minutes:.1f} of {of:.1f} minutes{more}")
    if out is not None:
        print(f"manifest: {out}")


def _check_out(found: argparse.Namespace) -> None:
    """Raise UsageError where --out cannot be written, or would replace what is read."""
    if found.out is None:
        return
    if found.out.is_dir() or found.out.suffix != ".jsonl":
        raise UsageError(f"--out {found.out}: give a file whose name ends in .jsonl")
    if found.out.resolve() in {Path(one).resolve() for one in [*found.paths, *found.transcribed]}:
        raise UsageError(f"--out {found.out} is one of the manifests that are read; choose another name")
    check_output_folder(found.out.parent)


def _minutes(text: str) -> float:
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be more than 0 minutes")
    return value
