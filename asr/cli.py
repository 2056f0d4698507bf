"""The ``asr`` command: parses the verb, imports its module only then, and turns every error into one line.

In: the arguments. Out: an exit code: what the verb returns; 2 for a usage or configuration error; 1 for an error in
data, files or the machine; 130 after Ctrl-C; 141 when the reader of the output went away; 70 for an internal error.
 ASR_DEBUG=1 adds the traceback. Neither torch nor hydra nor librosa is imported here, so that
``asr --help`` is instant.
"""

import contextlib
import difflib
import importlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from asr import __version__
from asr.errors import DISK_FULL, AsrError, DiskFullError, InternalError, Interrupted, RecordingNote, UsageError, reason
from asr.terminal import SafeStream, is_live, styled

VERBS: dict[str, str] = {
    "run": "run a whole recipe: prepare, train, evaluate, report; up-to-date stages are skipped",
    "prepare": "turn a corpus folder into train/dev/test.jsonl",
    "train": "train a model, or resume a run exactly where it stopped",
    "transcribe": "transcribe audio files",
    "align": "find the times of a text's words in its recording; an audiobook and its book to a corpus",
    "serve": "transcribe over HTTP, in the form of OpenAI's API",
    "evaluate": "transcribe a manifest and report the errors",
    "export": "write a model as an ONNX file, in float32 or int8",
    "lm": "build, inspect and mix n-gram language models",
    "suggest": "rank untranscribed recordings by what transcripts of them would teach",
    "calibrate": "calibrate word confidence on a dev manifest",
    "score": "report WER and CER between two files of transcripts",
    "compare": "compare systems: differences, significance, where they differ",
    "inspect": "inspect a model on a recording: gates, memory, what each unit correlates with",
    "report": "show errors on a page with audio and filters; several systems side by side",
    "check": "find problems in a manifest",
    "learning-curve": "train on parts of a corpus: WER against minutes, and what more speech would bring",
    "probe": "run experiments on the LSTM: gradients, memory, time, gates",
    "doctor": "what is installed, what works on this machine, and what to do where it does not",
}

_MOST_NOTES = 3

_EXAMPLES = """\
examples:
  asr run recipes/digits/bilstm.yaml run_dir=runs/digits
  asr transcribe runs/digits/model FILE...
  asr score REFERENCES HYPOTHESES

See `asr VERB --help`. ASR_DEBUG=1 shows the traceback of an error."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; never raises."""
    with _safe_streams(), _recording_notes(), _compiling_shown():
        try:
            code = _dispatch(sys.argv[1:] if arguments is None else arguments)
            _flush()
        except BaseException as error:
            return _report(error)
        return code


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        print(_help(), file=sys.stderr)
        return 2
    verb, rest = arguments[0], arguments[1:]
    if verb in ("-V", "--version"):
        print(f"asr {__version__}")
        return 0
    if verb == "help" and rest:
        verb, rest = rest[0], ["--help"]
    if verb in ("-h", "--help", "help"):
        print(_help())
        return 0
    return _run_verb(verb, rest)


def _run_verb(verb: str, arguments: list[str]) -> int:
    if verb not in VERBS:
        kind = "option" if verb.startswith("-") else "verb"
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean `asr {close[0]}`?" if close else "."
        raise UsageError(f"unknown {kind} {verb!r}{hint} The verbs are: {', '.join(VERBS)}; see `asr --help`")
    module = importlib.import_module(f"asr.commands.{verb.replace('-', '_')}")
    try:
        code = module.run(arguments)
    except SystemExit as end:  # argparse and Hydra end this way
        code = _exit_code(end)
    return int(code or 0)


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {styled(verb.ljust(width), 'bold')}  {line}" for verb, line in VERBS.items())
    return f"usage: asr VERB ...\n\nTrain a speech recogniser on your own recordings.\n\n{verbs}\n\n{_EXAMPLES}"


def _report(error: BaseException) -> int:
    """Write one line about ``error`` to stderr and return the exit code."""
    _flush_or_silence(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 141
    message, code, error_id = _explain(error)
    if os.environ.get("ASR_DEBUG") == "1":
        import traceback

        message = "".join(traceback.format_exception(error)) + message
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if message:
            lines = re.sub(r"\n(?! )", "\n  ", message)  # what a message quotes cannot look like a line of ours
            begin = styled(f"asr: error[{error_id}]:", "red", stream=sys.stderr)
            print(f"{begin} {lines}", file=sys.stderr, flush=True)
    return code


def _explain(error: BaseException) -> tuple[str, int, str]:
    """The message, the exit code, and the id that docs/reliability.md explains."""
    if isinstance(error, AsrError):
        return str(error), error.exit_code, error.id
    if isinstance(error, KeyboardInterrupt):
        return "", 130, Interrupted.id
    if isinstance(error, SystemExit):
        return "", _exit_code(error), UsageError.id
    if isinstance(error, MemoryError) or _is_torch_out_of_memory(error):
        return "out of memory; close other programs, or use smaller batches or a smaller model", 1, "memory"
    if isinstance(error, ModuleNotFoundError) and not (error.name or "asr").startswith("asr"):
        return f"the Python package {error.name!r} is not installed; `make` sets everything up", 1, "package"
    if isinstance(error, OSError):
        return _explain_os_error(error), 1, DiskFullError.id if error.errno in DISK_FULL else AsrError.id
    text = " ".join(str(error).split())
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    package = _being_imported(error)
    advice = "look at the variable, limit or file that this is about, or install it again: `make`"
    loading = f"the Python package {package!r} does not load: {named}; {advice}", 1, "package"
    reporting = f"internal error: {named}; please report it, with what the same command prints under ASR_DEBUG=1"
    return loading if package else (reporting, InternalError.exit_code, InternalError.id)


def _being_imported(error: BaseException) -> str:
    """The package, not one of ours, whose import ended in ``error``; "" where nothing was imported."""
    trace = error.__traceback__
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        if trace.tb_frame.f_code.co_name == "<module>" and package not in ("asr", "__main__"):
            return package
        trace = trace.tb_next
    return ""


def _explain_os_error(error: OSError) -> str:
    names = [repr(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    if isinstance(error, FileNotFoundError) and not names:
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the folder in which the command runs was removed; change to one that exists (cd), and run it again"
    return f"{' -> '.join(names)}: {reason(error)}" if names else reason(error)


def _is_torch_out_of_memory(error: BaseException) -> bool:
    """Recognised by name and text, so that torch is not imported; the CPU allocator raises a plain RuntimeError."""
    if not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


@contextlib.contextmanager
def _safe_streams() -> Iterator[None]:
    """Standard output and error as ``SafeStream``s; streams that are not the process's own (of tests) stay as they are.

    They are copies of the descriptors: libraries write to the originals, and can be silenced there. Those that were
    closed before the start lead nowhere: else print would write to the other, and libraries into a file of ours.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - gets the lowest number: that one
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    before = sys.stdout, sys.stderr
    for name, number in (("stdout", 1), ("stderr", 2)):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # closed, or none
            if getattr(sys, name).fileno() == number:
                setattr(sys, name, SafeStream(getattr(sys, name)))
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream not in before:
                _flush_or_silence(stream)
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _recording_notes() -> Iterator[None]:
    """Show the first notes about recordings that were read in spite of a fault, and count the rest."""
    before, shown = warnings.showwarning, 0

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        nonlocal shown
        if not issubclass(category, RecordingNote):
            before(message, category, *where, **more)
            return
        shown += 1
        if shown <= _MOST_NOTES:
            print(f"asr: note: {message}", file=sys.stderr, flush=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
        if shown > _MOST_NOTES:
            print(f"asr: note: {shown - _MOST_NOTES:,} more recordings were read in spite of a fault", file=sys.stderr)


@contextlib.contextmanager
def _compiling_shown() -> Iterator[None]:
    """A line on stderr before something is compiled that takes long (asr/compiling.py)."""
    log = logging.getLogger("asr.compiling")
    level, show = log.level, _OnStderr()
    log.setLevel(logging.INFO)
    log.addHandler(show)
    try:
        yield
    finally:
        log.removeHandler(show)
        log.setLevel(level)


class _OnStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, over one of a progress that is there."""
        over = "\r\x1b[K" if is_live(sys.stderr) else ""
        print(f"{over}asr: {record.getMessage()}", file=sys.stderr, flush=True)


def _flush() -> None:
    """Flush now, while a failure can still be reported."""
    if sys.stdout is not None:
        with contextlib.suppress(ValueError):  # closed
            sys.stdout.flush()


def _flush_or_silence(stream: TextIO | None) -> None:
    """Write out what is buffered; where that fails, drop it, so that the interpreter's last flush does not complain."""
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
