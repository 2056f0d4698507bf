"""A recogniser that hears text files, and the files and commands around it: for the tests of `asr transcribe`."""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from asr import cli
from asr.decoding.config import DecodingConfig
from asr.errors import AsrError, AudioError
from asr.recognition.hypothesis import Hypothesis, Word
from asr.transcription.outputs import INDEX_NAME


class Stub:
    """A recogniser that reads a "recording" as its text; "BAD" cannot be read; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Path] = []
        self.options: dict[str, Any] = {}
        self.decoding = DecodingConfig(name="beam", beam_width=7)  # as decoding.json in the model directory may ask
        self.backend = "torch"
        self.before: Any = lambda path: None

    def transcribe_files(
        self, paths: Iterable[Path], *, progress: Any = None, **options: Any
    ) -> Generator[tuple[Path, Hypothesis | AsrError], None, None]:
        self.options = options
        for path in paths:
            self.asked.append(path)
            self.before(path)
            progress(len(self.asked), len(self.asked))
            yield path, self._hear(path)

    def _hear(self, path: Path) -> Hypothesis | AsrError:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return AudioError(f"{path}: no such file")
        except OSError as error:
            return AudioError(f"{path}: cannot be opened ({error.strerror})")
        if text == "BAD":
            return AudioError(f"{path}: is damaged")
        words = tuple(Word(word, index * 0.5, index * 0.5 + 0.4, 0.9) for index, word in enumerate(text.split()))
        return Hypothesis(text=text, score=-1.0, duration_s=1.0 + len(words), words=words, confidence=0.9)

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.asked]


def recordings(folder: Path, **texts: str) -> Path:
    """Files such as a.wav for a_wav="text"."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text, encoding="utf-8")
    return folder


def asr(model: Path, *words: Any) -> int:
    return cli.main(["transcribe", str(model), *map(str, words)])


def tree(folder: Path) -> list[str]:
    """All files below ``folder`` but the indexes."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != INDEX_NAME)
    return sorted(path.relative_to(folder).as_posix() for path in found)
