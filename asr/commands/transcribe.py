"""``asr transcribe MODEL PATHS...``: audio files, folders or standard input to transcripts, printed or in files.

In: a model directory and recordings. Out: each transcript as soon as it is ready, in the order of the recordings. One
that cannot be read is named on stderr (and in OUTPUT_DIR/failures.jsonl), the others go on, and the exit code is 1.
What is done stays done: after Ctrl-C the same command with --skip-existing goes on.

The command line of `asr transcribe` as typed, checked values.

In: words. Out: `TranscribeOptions`, or one message that says which of them do not go together.
"""

import argparse
import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from asr.commands.options import add_decoding, count, decoder_options, seconds
from asr.errors import Interrupted, UsageError
from asr.transcription import FORMATS, TIMED_FORMATS
from asr.transcription.inputs import find_inputs
from asr.transcription.job import TranscribeOptions, Work


def parse_options(arguments: list[str]) -> TranscribeOptions:
    """The options in ``arguments``.

    Raises:
        UsageError: options that do not go together. What argparse itself refuses ends in SystemExit.
    """
    found = build_parser().parse_intermixed_args(arguments)
    options = TranscribeOptions(
        model=found.model,
        paths=tuple(found.paths),
        recursive=found.recursive,
        formats=found.format,
        output_dir=found.output_dir,
        beside=found.beside,
        skip_existing=found.skip_existing,
        overwrite=found.overwrite,
        channel=found.channel,
        words=found.words,
        speech_gate=found.speech_gate,
        batch_s=found.batch_s,
        workers=found.workers,
        device=found.device,
        decoder=decoder_options(found),
    )
    _check(options)
    return options


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr transcribe``."""
    parser = argparse.ArgumentParser(
        prog="asr transcribe",
        description="Write down what is said in audio files.",
        epilog="A file name that begins with '-' is given as ./-name. Exit code: 0, or 1 where a recording failed.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model directory, such as runs/fsdd/model")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="audio files, folders, or - for standard input")
    _add_outputs(parser.add_argument_group("what is read, what is written"))
    add_decoding(parser.add_argument_group("decoding"))
    _add_machine(parser.add_argument_group("the machine"))
    return parser


def _add_outputs(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("-r", "--recursive", action="store_true", help="look into folders within folders")
    group.add_argument(
        "--format", type=_formats, default=("txt",), metavar="LIST", help=f"{','.join(FORMATS)} (default: txt)"
    )
    place = group.add_mutually_exclusive_group()
    place.add_argument("--output-dir", type=Path, metavar="DIR", help="write files there, the folders' tree kept")
    place.add_argument("--beside", action="store_true", help="write each file beside its recording")
    group.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out what stands, made of the same recording by the same model",
    )
    group.add_argument("--overwrite", action="store_true", help="also replace files that this command did not write")
    group.add_argument(
        "--channel", type=_channel, metavar="N", help="the channel to hear, from 0, or mix (default: mix)"
    )
    group.add_argument("--no-words", dest="words", action="store_false", help="text only: no word times, no confidence")
    group.add_argument(
        "--no-speech-gate", dest="speech_gate", action="store_false", help="look for words in silence and noise too"
    )


def _add_machine(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--batch-s", type=seconds, default=60.0, metavar="S", help="seconds in a batch (default: 60)")
    group.add_argument("--workers", type=count, metavar="N", help="threads (default: one a core)")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")


def _check(options: TranscribeOptions) -> None:
    timed = [name for name in options.formats if name in TIMED_FORMATS]
    if timed and not options.words:
        raise UsageError(f"--no-words: {', '.join(timed)} is made of word times; leave out one or the other")
    if not options.to_files:
        _check_terminal(options)
    elif options.beside and "-" in options.paths:
        raise UsageError("--beside: standard input lies beside nothing; use --output-dir, or neither")


def _check_terminal(options: TranscribeOptions) -> None:
    for name, given in (("--skip-existing", options.skip_existing), ("--overwrite", options.overwrite)):
        if given:
            raise UsageError(f"{name} is about files; give --output-dir DIR or --beside too")
    if len(options.formats) > 1:
        raise UsageError("several formats go to files; give --output-dir DIR or --beside too")


def _formats(text: str) -> tuple[str, ...]:
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or text!r}; choose from {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(names))


def _channel(text: str) -> int | None:
    if text == "mix":
        return None
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a channel's number, from 0, nor mix")
    return int(text)


def run(arguments: list[str]) -> int:
    """Transcribe; returns 0, or 1 when a recording failed. Raises an AsrError for what concerns them all."""
    options = parse_options(arguments)
    stopped_by: list[int] = []
    with tempfile.TemporaryDirectory(prefix="asr-") as spool, _sigterm_as_ctrl_c(stopped_by):
        work = Work(options)
        try:
            inputs, faults = find_inputs(options.paths, Path(spool), recursive=options.recursive)
            work.transcribe(inputs, faults)
        except KeyboardInterrupt:
            raise Interrupted(work.stopped(), (stopped_by or [signal.SIGINT])[0]) from None
        finally:
            work.close()
    return 1 if work.failed else 0


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
