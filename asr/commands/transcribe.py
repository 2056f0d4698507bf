"""``asr transcribe [MODEL] PATHS...``: audio files, folders or standard input to transcripts, printed or in files; with
``--stream`` one recording, pipe or microphone to words as they settle.

In: a model directory, or none for the one that comes with the package, and recordings. Out: each transcript as soon as
it is ready, in the order of the recordings. One that cannot be read is named on stderr (and in
OUTPUT_DIR/failures.jsonl), the others are still transcribed, and the exit code is 1. Safe to interrupt: rerun with
--skip-existing to resume.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

from asr.commands.options import (
    add_decoding,
    add_device,
    count,
    decoder_options,
    formats,
    naming_options,
    number,
    seconds,
    whole_number,
)
from asr.commands.parser import Parser
from asr.errors import ConfigError, Interrupted, UsageError
from asr.terminal import Progress, RewrittenLine, is_live
from asr.transcription import CUE_FORMATS, FORMATS, TIER_FORMATS, TIMED_FORMATS, CueLimits
from asr.transcription.cues import DEFAULT_LIMITS
from asr.transcription.inputs import MICROPHONE, STDIN, find_inputs, split_model
from asr.transcription.job import TranscriptionJob
from asr.transcription.options import TranscribeOptions
from asr.transcription.streaming import StreamingOptions, event_line, stream_events

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Channel

JSONL = "jsonl"  # an event of a stream a line


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr transcribe``."""
    parser = Parser(
        prog="asr transcribe",
        description="Transcribe audio files.",
        epilog="The first argument is the model if it is a model directory or `english`, else a recording. A file name "
        "that begins with '-' is given as ./-name. Exit code: 0, or 1 if a recording failed.",
    )
    parser.add_argument(
        "model", nargs="?", metavar="MODEL",
        help="a model directory, such as runs/fsdd/model (default: english, which comes with the package)",
    )  # fmt: skip
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="audio files, folders, - for standard input, or, with --stream, microphone",
    )
    _add_outputs(parser.add_argument_group("input and output"))
    _add_cues(parser.add_argument_group("subtitles (srt, vtt, json)"))
    _add_stream(parser.add_argument_group("live sound"))
    add_decoding(parser.add_argument_group("decoding"), where="json")
    _add_machine(parser.add_argument_group("performance"))
    return parser


def _add_outputs(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("-r", "--recursive", action="store_true", help="search subfolders too")
    group.add_argument(
        "--format",
        type=_formats,
        default=("txt",),
        metavar="LIST",
        help=f"one or several of {','.join(FORMATS)}; with --stream txt or {JSONL} (default: txt)",
    )
    place = group.add_mutually_exclusive_group()
    place.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="write files to this folder, in the same tree of subfolders"
    )
    place.add_argument("--beside", action="store_true", help="write each file next to its recording")
    group.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip up-to-date outputs: made from the same recording by the same model and options",
    )
    group.add_argument("--overwrite", action="store_true", help="also replace files that this command did not write")
    group.add_argument(
        "--keep-tiers",
        action="store_true",
        help="eaf, textgrid: copy the eaf or TextGrid beside the recording, with the new tiers behind its own",
    )
    group.add_argument(
        "--channel", "--channels", type=_channel, metavar="N",
        help="the channel to transcribe, from 0; split: each by itself, with labels; or mix (default: mix)",
    )  # fmt: skip
    group.add_argument(
        "--track", type=whole_number, metavar="N", help="the audio track of a video, from 0 (default: the best)"
    )
    group.add_argument("--no-words", dest="words", action="store_false", help="text only: no word times, no confidence")
    group.add_argument(
        "--no-speech-gate", dest="speech_gate", action="store_false", help="decode silence and noise too"
    )


# For each of ``CueLimits``: its type, unit and meaning.
_CUES: dict[str, tuple[Callable[[str], float], str, str]] = {
    "max_line_width": (count, "N", "most characters on a line"),
    "max_lines": (count, "N", "most lines of a subtitle"),
    "max_cue_s": (seconds, "S", "longest time that one is shown"),
    "min_cue_s": (number, "S", "shortest, where there is room"),
    "reading_speed": (number, "N", "characters a second; one is shown until it can be read, where there is room"),
    "cue_pause_s": (seconds, "S", "a pause that ends a subtitle"),
    "close_gaps_s": (number, "S", "one stays until the next, where no more time than this is between them"),
}


def _add_cues(group: "argparse._ArgumentGroup") -> None:
    for name, (kind, unit, meaning) in _CUES.items():
        usual = f"{meaning} (default: {getattr(DEFAULT_LIMITS, name):g})"
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=unit, help=usual)


def _cue_limits(found: argparse.Namespace) -> CueLimits:
    given = {name: getattr(found, name) for name in _CUES if getattr(found, name) is not None}
    options = {name: f"--{name.replace('_', '-')}" for name in given}
    if given and not set(found.format) & set(CUE_FORMATS):
        raise UsageError(
            f"{next(iter(options.values()))} is for subtitles; give --format with {' or '.join(CUE_FORMATS)}"
        )
    try:
        return CueLimits(**given)
    except ConfigError as error:
        text = str(error).removeprefix("config: ")
        for name, option in options.items():
            text = text.replace(f"{name}=", f"{option} ")
        raise UsageError(text) from None


def _add_stream(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--stream",
        action="store_true",
        help="write words as they settle, of one file, pipe (-) or microphone; --format txt or jsonl (default: txt)",
    )
    group.add_argument("--rate", type=count, metavar="HZ", help="standard input is raw 16-bit mono sound at this rate")
    group.add_argument("--chunk-s", type=seconds, metavar="S", help="sound computed at a time (default: 1)")
    group.add_argument(
        "--look-ahead-s", type=number, metavar="S", help="sound behind a chunk that is heard before it (default: 1)"
    )
    group.add_argument("--pause-s", type=seconds, metavar="S", help="a pause that ends a segment (default: 1)")


def _add_machine(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--batch-s", type=seconds, metavar="S", help="most seconds of audio in a batch (default: 60)")
    workers = "threads (default: one per core); with --engine ray in each process (default: 1)"
    group.add_argument("--workers", type=count, metavar="N", help=workers)
    engine = "ray: on a Ray cluster (default: local, on this machine)"
    group.add_argument("--engine", choices=("local", "ray"), default="local", help=engine)
    add_device(group)


def _check(options: TranscribeOptions, paths: Sequence[str]) -> None:
    timed = [name for name in options.formats if name in TIMED_FORMATS]
    if timed and not options.words:
        raise UsageError(f"--no-words: {', '.join(timed)} needs word times; leave out one or the other")
    _check_tiers(options)
    if not options.to_files:
        _check_terminal(options)
    elif options.beside and "-" in paths:
        raise UsageError("--beside cannot be used with standard input; use --output-dir, or neither")


def _check_tiers(options: TranscribeOptions) -> None:
    if not options.keep_tiers:
        return
    if not TIER_FORMATS & set(options.formats):
        raise UsageError("--keep-tiers is for files with tiers; give --format eaf or textgrid too")
    if options.beside:
        raise UsageError("--keep-tiers writes a copy; give --output-dir DIR in place of --beside")


def _check_terminal(options: TranscribeOptions) -> None:
    for name, given in (("--skip-existing", options.skip_existing), ("--overwrite", options.overwrite)):
        if given:
            raise UsageError(f"{name} applies to files; give --output-dir DIR or --beside too")
    if len(options.formats) > 1:
        raise UsageError("several formats need files; give --output-dir DIR or --beside too")


def _formats(text: str) -> tuple[str, ...]:
    return formats(text, JSONL)


def _channel(text: str) -> "Channel":
    if text in ("mix", "split"):
        return None if text == "mix" else "split"
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a channel number (0, 1, ...) nor mix nor split")
    return int(text)


def run(arguments: list[str]) -> int:
    """Transcribe; returns 0, or 1 when a recording failed. Raises an AsrError for what concerns them all."""
    found = build_parser().parse_intermixed_args(arguments)
    options = transcribe_options(found)
    stopped_by: list[int] = []
    if found.stream:
        with _sigterm_as_ctrl_c(stopped_by):
            return _stream(found, options, stopped_by)
    with (
        tempfile.TemporaryDirectory(prefix="asr-") as spool,
        _sigterm_as_ctrl_c(stopped_by),
        naming_options(options.decoder.given()),
        _Console(quiet=not options.to_files and is_live(sys.stdout)) as console,
    ):
        job = TranscriptionJob(options, console)
        try:
            inputs, problems, left_out = find_inputs(found.paths, Path(spool), recursive=found.recursive)
            job.run(inputs, problems, several=len(inputs) > 1 or any(os.path.isdir(path) for path in found.paths))
        except KeyboardInterrupt:
            raise Interrupted(_interrupted(job), (stopped_by or [signal.SIGINT])[0]) from None
    if options.to_files:
        print(job.summary(), file=sys.stderr, flush=True)
    for note in (left_out, job.note()):
        if note is not None:
            print(f"asr: note: {note}", file=sys.stderr, flush=True)
    return 1 if job.failed else 0


def _stream(found: argparse.Namespace, options: TranscribeOptions, stopped_by: Sequence[int]) -> int:
    """Print the events of one recording, pipe or microphone; Ctrl-C is how the microphone ends."""
    streaming = StreamingOptions(
        chunk_s=found.chunk_s, look_ahead_s=found.look_ahead_s, pause_s=found.pause_s, raw_rate=found.rate
    )
    (path,) = found.paths
    line = RewrittenLine(sys.stdout)
    settled = ""
    try:
        for event in stream_events(path, options, streaming):
            if options.formats == (JSONL,):
                print(event_line(event), flush=True)
            elif event.kind == "segment":
                line.end(event.text)
                settled = ""
            elif event.kind == "words":
                settled = f"{settled} {event.text}".strip()
                line.show(settled)
            else:
                line.show(f"{settled} {event.text}".strip())
    except KeyboardInterrupt:
        if path != MICROPHONE or stopped_by:
            raise Interrupted("stopped before the end of the sound", (stopped_by or [signal.SIGINT])[0]) from None
    return 0


def _check_stream(found: argparse.Namespace, options: TranscribeOptions) -> None:
    """After the model has been told from the recordings. Raises UsageError."""
    given = {"--rate": found.rate, "--chunk-s": found.chunk_s, "--look-ahead-s": found.look_ahead_s}
    if not found.stream:
        for name, value in {**given, "--pause-s": found.pause_s}.items():
            if value is not None:
                raise UsageError(f"{name} is for live sound; give --stream too")
        if JSONL in options.formats or MICROPHONE in found.paths:
            raise UsageError(
                f"{JSONL if JSONL in options.formats else MICROPHONE} is for live sound; give --stream too"
            )
        return
    if len(found.paths) != 1 or os.path.isdir(found.paths[0]):
        raise UsageError("--stream transcribes one recording: a file, - for standard input, or microphone")
    if options.to_files or options.formats not in (("txt",), (JSONL,)):
        raise UsageError(f"--stream writes to the terminal, as txt or {JSONL}; leave out other formats and folders")
    if found.rate is not None and found.paths[0] != STDIN:
        raise UsageError("--rate is for raw sound on standard input; a file says its own")
    _check_whole(found, options)
    for name, asked in (("--channel", options.channel), ("--track", options.track)):
        if asked is not None and (found.rate is not None or found.paths[0] == MICROPHONE):
            raise UsageError(f"{name} is for files; raw sound and the microphone have one channel")


def _check_whole(found: argparse.Namespace, options: TranscribeOptions) -> None:
    """Raise UsageError for options that would change nothing in live sound."""
    if options.channel == "split":
        raise UsageError("--channels split is for whole recordings; leave out --stream, or choose one with --channel N")
    if options.backend.startswith("onnx"):
        raise UsageError(f"--backend {options.backend}: live sound is computed by torch; leave out one or the other")
    whole = {"--recursive": found.recursive, "--batch-s": found.batch_s, "--workers": found.workers}
    whole |= {"--n-best": found.n_best > 1, "--engine ray": found.engine == "ray"}
    for name, asked in whole.items():
        if asked:
            raise UsageError(f"{name} is for whole recordings; leave out one or the other of it and --stream")


def _interrupted(job: TranscriptionJob) -> str:
    text = f"stopped with {job.transcribed + job.up_to_date} of {job.total} recordings done"
    return f"{text}; rerun the command with --skip-existing to resume" if job.options.to_files else text


class _Console:
    """Transcripts on stdout; failures and, unless ``quiet``, a line of progress on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._line: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finished()

    def started(self) -> None:
        """Begins the line of progress."""
        self._line = None if self._quiet else Progress(None, "transcribing", "s of audio")

    def progress(self, done_s: float, total_s: float) -> None:
        """Moves it."""
        if self._line is not None:
            self._line.total = total_s
            self._line.update(max(0.0, done_s - self._line.done))

    def transcript(self, text: str) -> None:
        """On stdout, at once."""
        print(text, end="", flush=True)

    def failed(self, label: str, message: str, error_id: str) -> None:
        """A line of its own on stderr."""
        line = f"asr: error[{error_id}]: {message}"
        if self._line is not None:
            self._line.write_line(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def finished(self) -> None:
        """Ends the line of progress; safe to repeat."""
        if self._line is not None:
            self._line.close()
            self._line = None


def transcribe_options(found: argparse.Namespace) -> TranscribeOptions:
    """The parsed arguments as options, with ``found.paths`` the recordings alone.

    Raises UsageError for options that do not go together, ModelError where no model is given and none is shipped.
    """
    words = [*([] if found.model is None else [found.model]), *found.paths]
    options = TranscribeOptions(
        model=Path(words[0]),
        formats=found.format,
        output_dir=found.output_dir,
        beside=found.beside,
        skip_existing=found.skip_existing,
        overwrite=found.overwrite,
        keep_tiers=found.keep_tiers,
        channel=found.channel,
        track=found.track,
        cue_limits=_cue_limits(found),
        words=found.words,
        speech_gate=found.speech_gate,
        batch_s=found.batch_s or 60.0,
        workers=found.workers,
        device=found.device,
        backend=found.backend,
        engine=found.engine,
        decoder=decoder_options(found),
    )
    _check(options, words)
    model, found.paths = split_model(words, recursive=found.recursive)
    _check_stream(found, options)
    return replace(options, model=model)


@contextlib.contextmanager
def _sigterm_as_ctrl_c(stopped_by: list[int]) -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, and note it in ``stopped_by``."""
    if threading.current_thread() is not threading.main_thread():  # where Python sets no handlers
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        stopped_by.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
