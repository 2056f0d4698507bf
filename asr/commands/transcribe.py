"""``asr transcribe MODEL FILE...``: the text of audio files, one line each on stdout.

In: a model directory and audio files. Out: the text alone for one file, ``FILE<TAB>text`` for several, as each is
ready. A file that cannot be read is named on stderr, the others go on, and the exit code is 1.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AudioError
from asr.terminal import Progress

if TYPE_CHECKING:
    from asr.recognition import Recognizer


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr transcribe``."""
    parser = argparse.ArgumentParser(prog="asr transcribe", description="Print the text of audio files.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model directory, such as runs/fsdd/model")
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio: wav, flac, mp3, ogg, opus, ...")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    return parser


def run(arguments: list[str]) -> int:
    """Transcribe; returns 0, or 1 when a file could not be read. Raises ModelError for the model."""
    options = build_parser().parse_args(arguments)
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(options.model, device=options.device)
    progress = None if sys.stdout.isatty() else Progress(len(options.files), "transcribing", "files")
    failures = sum(not _transcribe_file(recognizer, file, len(options.files) > 1, progress) for file in options.files)
    if progress is not None:
        progress.close()
    return 1 if failures else 0


def _transcribe_file(recognizer: "Recognizer", file: str, named: bool, progress: Progress | None) -> bool:
    """Print one file's text, or its error; True where there was a text."""
    try:
        text = recognizer.transcribe(file).text
    except AudioError as error:
        message = f"asr: error: {error}"
        progress.say(message) if progress else print(message, file=sys.stderr)
        return False
    finally:
        if progress is not None:
            progress.update()
    print(f"{file}\t{text}" if named else text, flush=True)
    return True
