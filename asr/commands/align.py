"""``asr align [MODEL] AUDIO TEXT``: a text without times to the times of its words; an audiobook to a corpus.

In: a recording of any length, its text, and a model or none for the one that comes with the package. Out: the words
with their times, printed or in files; with ``--segments`` a manifest to train on. What of the text is missing from the
sound, and what of the sound from the text, is listed on stderr.
"""

import argparse
import os
import sys
from pathlib import Path

from asr.commands.options import add_device, channel, formats, number, seconds
from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.files import check_output_folder
from asr.shipped import STARTER, is_model, model_directory, starter_directory, weights_sha256
from asr.terminal import Progress, printable
from asr.transcription import FORMATS, Provenance
from asr.transcription.alignment import describe, read_text_file, render_alignment
from asr.transcription.inputs import Input
from asr.transcription.outputs import OutputFiles, PlannedTranscript
from asr.transcription.segments import MANIFEST, SegmentOptions, add_to_corpus, cut_segments, read_corpus

_USAGE = "asr align [MODEL] AUDIO TEXT"


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr align``."""
    parser = Parser(
        prog="asr align",
        description="Find the times of a text's words in its recording, which may hold more or less than the text.",
        epilog="Of three arguments the first is the model. Passages that do not fit are listed on stderr.",
    )
    parser.add_argument(
        "model", nargs="?", metavar="MODEL",
        help="a model directory, such as runs/mine/model (default: english, which comes with the package)",
    )  # fmt: skip
    parser.add_argument("audio", metavar="AUDIO", type=Path, help="a recording, of any length")
    parser.add_argument("text", metavar="TEXT", type=Path, help="its text, in UTF-8")
    group = parser.add_argument_group("output")
    group.add_argument(
        "--format", type=formats, default=("tsv",), metavar="LIST",
        help=f"one or several of {','.join(FORMATS)} (default: tsv)",
    )  # fmt: skip
    group.add_argument("--output-dir", type=Path, metavar="DIR", help="write files to this folder")
    group.add_argument("--overwrite", action="store_true", help="also replace files that this command did not write")
    corpus = parser.add_argument_group("a corpus to train on")
    corpus.add_argument(
        "--segments", type=Path, metavar="DIR",
        help=f"cut the recording into utterances: DIR/{MANIFEST} and DIR/left-out.json; adds to what is there",
    )  # fmt: skip
    default = SegmentOptions()
    corpus.add_argument(
        "--min-confidence", type=number, default=default.min_confidence, metavar="X",
        help=f"leave out utterances of less, 0 to 1 (default: {default.min_confidence})",
    )  # fmt: skip
    corpus.add_argument(
        "--max-s", type=seconds, default=default.max_s, metavar="S",
        help=f"longest utterance (default: {default.max_s:g})",
    )  # fmt: skip
    corpus.add_argument("--speaker", metavar="NAME", help="who speaks, for the manifest")
    machine = parser.add_argument_group("input and machine")
    machine.add_argument("--channel", type=channel, metavar="N", help="the channel, from 0, or mix (default: mix)")
    add_device(machine)
    return parser


def run(arguments: list[str]) -> int:
    """Align; returns 0. Raises an AsrError where that is impossible."""
    found = build_parser().parse_intermixed_args(arguments)
    model, audio, text_file = _model(found), found.audio, found.text
    if found.output_dir is None and len(found.format) > 1:
        raise UsageError("several formats need files; give --output-dir DIR too")
    if found.overwrite and found.output_dir is None:
        raise UsageError("--overwrite applies to files; give --output-dir DIR too")
    segments = SegmentOptions(min_confidence=found.min_confidence, max_s=found.max_s, speaker=found.speaker)
    for folder in (found.output_dir, found.segments):
        if folder is not None:
            check_output_folder(folder)
    outputs, planned = _plan(found, audio)
    text = read_text_file(text_file)
    if found.segments is not None:
        read_corpus(found.segments)  # what is wrong there is told before the work

    from asr.recognition import Recognizer
    from asr.recognition.alignment import align_text
    from asr.recognition.reading import file_source

    recognizer = Recognizer.from_pretrained(model, device=found.device, backend=found.backend)
    source = file_source(audio, recognizer.sample_rate, channel=found.channel)
    with Progress(None, "aligning", "s of audio") as line:

        def progress(done_s: float, total_s: float) -> None:
            line.total = total_s
            line.update(max(0.0, done_s - line.done))

        aligned = align_text(recognizer, source, text, progress=progress)
    provenance = Provenance(
        audio=str(audio),
        channel=found.channel,
        model=str(model),
        model_sha256=weights_sha256(model),
        settings={"text": str(text_file), "backend": recognizer.backend},
    )
    if planned is not None:
        outputs.write(planned, {name: render_alignment(aligned, name, provenance) for name in found.format})
    elif found.segments is None:
        print(render_alignment(aligned, found.format[0], provenance), end="", flush=True)
    if found.segments is not None:
        kept, left_out = cut_segments(aligned, os.path.abspath(audio), segments, found.channel)
        add_to_corpus(found.segments, os.path.abspath(audio), found.channel, kept, left_out)
        hours = sum(one.duration_s for one in kept) / 3600
        print(
            f"{found.segments / MANIFEST}: {len(kept):,} utterances, {hours:.2f} of {aligned.duration_s / 3600:.2f} h;"
            f" {len(left_out):,} parts left out (left-out.json)"
        )
    for one in describe(aligned):
        print(f"asr: note: {printable(one)}", file=sys.stderr)
    return 0


def _model(found: argparse.Namespace) -> Path:
    """The model directory. Raises UsageError or ModelError where there is none of that name."""
    if found.model is None:
        if is_model(found.audio):
            raise UsageError(f"{found.audio} is a model, and a recording and its text go after it: {_USAGE}")
        return starter_directory()
    if found.model != STARTER and not is_model(found.model):
        raise UsageError(f"{found.model}: not a model directory (no config.json): {_USAGE}")
    return model_directory(found.model)


def _plan(found: argparse.Namespace, audio: Path) -> tuple[OutputFiles, PlannedTranscript | None]:
    """Where files go. Raises UsageError where one that is not ours is there."""
    outputs = OutputFiles(found.output_dir, found.format, {"verb": "align"}, overwrite=found.overwrite)
    if found.output_dir is None:
        return outputs, None
    (planned,) = outputs.plan([Input(audio, str(audio), Path(audio.name))])
    if (refusal := outputs.refusal(planned)) is not None:
        raise UsageError(refusal)
    return outputs, planned
