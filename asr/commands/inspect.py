"""`asr inspect MODEL AUDIO [--html FILE] [--npz FILE]`: the gates and states of a model on one recording.

In: a model directory and a recording, or a part of at most 30 s of one. Out: what each layer's units do, as a table on
stdout; as a page (the gate viewer); as arrays.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.options import MODEL_HELP, count, number, seconds
from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.files import check_output_folder
from asr.shipped import model_directory
from asr.terminal import styled, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asr.inspection import Inspection

LONGEST_S = 30.0  # asr.inspection.LONGEST_S, which imports torch
_ARRAYS = "the arrays in --npz (read it with numpy.load)"


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectOptions:
    """The arguments of `asr inspect`; ``start`` and ``duration`` in seconds, ``layer`` from 1."""

    model: Path
    audio: Path
    html: Path | None
    npz: Path | None
    layer: int | None
    start: float
    duration: float | None
    title: str | None


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr inspect`."""
    parser = Parser(
        prog="asr inspect",
        description="Show the gates and states of a model while it transcribes a recording.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=model_directory, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("audio", type=Path, metavar="AUDIO", help="a recording")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="an HTML page that opens from disk: gates and states as images, unit by unit",
    )
    parser.add_argument(
        "--npz", type=Path, metavar="FILE", help="all arrays, for your own plots; --arrays lists their names"
    )
    parser.add_argument("--layer", type=count, metavar="N", help="this layer only, from 1 (default: all)")
    parser.add_argument(
        "--start", type=number, default=0.0, metavar="S", help="start of the part, in seconds (default: 0)"
    )
    parser.add_argument(
        "--duration", type=seconds, metavar="S",
        help=f"length of the part in seconds, at most {LONGEST_S:g} (default: to the end, at most {LONGEST_S:g})",
    )  # fmt: skip
    parser.add_argument("--title", metavar="TEXT", help="the page's title")
    parser.add_argument(
        "--arrays", action=_ShowArrays, nargs=0, dest=argparse.SUPPRESS, help=f"list {_ARRAYS} and exit"
    )
    return parser


class _ShowArrays(argparse.Action):
    """Prints the names and shapes of the arrays and exits, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from asr.inspection.inspect import NAMES

        print(f"{_ARRAYS}:\n{NAMES}")
        parser.exit()


def run(arguments: list[str]) -> int:
    """Inspect; returns 0. Raises an AsrError for what cannot be read, inspected or written."""
    options = InspectOptions(**vars(build_parser().parse_args(arguments)))
    _check(options)
    from asr.inspection import inspect_waveform
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(
        options.model, device="cpu", backend="torch"
    )  # where readable cells agree best
    waveform, notes = _load(options, recognizer.sample_rate)
    inspection = inspect_waveform(recognizer, waveform, layer=options.layer)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if options.npz is not None:
        from asr.inspection.inspect import named_arrays

        _write_npz(options.npz, named_arrays(inspection, waveform, recognizer.features))
    if options.html is not None:
        from asr.files import write_text
        from asr.pages.inspection_input import gate_viewer_page, render_small_enough

        page = gate_viewer_page(
            inspection, recognizer, waveform,
            model=options.model, audio=options.audio, start_s=options.start, title=options.title, notes=notes,
        )  # fmt: skip
        content, note = render_small_enough(page)
        write_text(options.html, content)
        print(f"{options.html}: {options.html.stat().st_size / 1e6:.2f} MB{note and f'; {note}'}", file=sys.stderr)
    _print_summary(inspection)
    return 0


def _check(options: InspectOptions) -> None:
    if options.start < 0:
        raise UsageError(f"--start {options.start:g} must not be negative")
    if options.duration is not None and options.duration > LONGEST_S:
        raise UsageError(
            f"--duration {options.duration:g} is too long: at most {LONGEST_S:g} s can be inspected at once; give "
            "--start and a shorter --duration"
        )
    written = [path for path in (options.html, options.npz) if path is not None]
    for path in written:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; give a file")
        if path.resolve() == options.audio.resolve():
            raise UsageError(f"{path} is the recording and cannot be written; give another file")
        if path.exists() and path.resolve().parent == options.model.resolve():
            raise UsageError(f"{path} is a file of the model and would be overwritten; give another file")
        check_output_folder(path.parent)
    if len(written) == 2 and written[0].resolve() == written[1].resolve():
        raise UsageError("--html and --npz have the same file; give each its own")


def _load(options: InspectOptions, sample_rate: int) -> "tuple[NDArray[np.float32], list[str]]":
    """The waveform of the part to inspect, and notes on the choice."""
    from asr.audio import load_audio, probe

    duration_s = options.duration
    notes = []
    if duration_s is None:
        left_s = probe(options.audio).duration_s - options.start
        if left_s > LONGEST_S:
            duration_s = LONGEST_S
            notes.append(
                f"of the {left_s:.1f} s from there, the first {LONGEST_S:g} s are inspected; --start and --duration "
                "select another part"
            )
    waveform = load_audio(options.audio, sample_rate=sample_rate, start_s=options.start, duration_s=duration_s)
    return waveform, notes


def _write_npz(path: Path, arrays: "dict[str, NDArray[np.generic]]") -> None:
    import numpy as np

    from asr.files import atomic_path

    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {len(arrays)} arrays", file=sys.stderr)


def _print_summary(inspection: "Inspection") -> None:
    from asr.inspection import inspect as summary

    print(f"{styled('text', 'bold')}  {inspection.hypothesis.text or '(none)'}")
    print(
        f"{inspection.kind}, {inspection.duration_s:.2f} s in {inspection.frames} frames of "
        f"{1000 * inspection.frame_s:g} ms; gates recomputed, within {inspection.deviation:.1g} of the model's output"
    )
    for (header, rows), note in (
        (
            summary.layer_rows(inspection),
            "half-lives: medians over units; open/closed: share of frames in which a gate is above 0.9 / below 0.1",
        ),
        (
            summary.followed_rows(inspection),
            "r: correlation of the unit's state with the signal, above what chance gives",
        ),
        (
            summary.head_rows(inspection),
            "distance: mean over frames; before/itself/after: shares of attention on earlier frames, the frame "
            "itself, later frames",
        ),
    ):
        if rows:
            print(f"\n{table(rows, header)}\n{styled(note, 'dim')}")
    if inspection.traces and not any(tracking.best() for tracking in inspection.tracking):
        print("\nno unit correlates with a signal more than chance allows in so short a recording")
