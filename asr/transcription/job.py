"""The work of `asr transcribe`: what stands is left out, the rest is recognised and written, failures are kept apart.

In: options and inputs. Out: lines on stdout or files; failures on stderr and in failures.jsonl; counts.

The two seams between `asr transcribe` and the recogniser: how it is built, and how it is given many files.

In: options and paths. Out: a recogniser; hypotheses or errors in the order of the paths.

The command line of `asr transcribe` as typed, checked values.

In: words. Out: `TranscribeOptions`, or one message that says which of them do not go together.

The options of decoding that several verbs share, as typed, checked values.

In: words. Out: `DecoderOptions`, or one message that says which of them do not go together.
"""

import dataclasses
import errno
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import AsrError, InternalError, UsageError
from asr.files import sha256_file
from asr.terminal import Progress, is_live
from asr.transcription import Provenance, render_transcript
from asr.transcription.formats import render_json
from asr.transcription.inputs import STDIN, Fault, Input
from asr.transcription.outputs import Job, OutputFiles

if TYPE_CHECKING:
    from asr.recognition import Hypothesis, Recognizer


NONE = Path("none")
DEFAULT_BOOST = 5.0  # nats a hotword earns


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderOptions:
    """How to decode; None leaves the default. The name is "beam" where only a beam search can do what is asked."""

    name: str | None = None  # "greedy" or "beam"
    beam_width: int | None = None
    language_model: Path | None = None  # Path("none"): without one, whatever the model directory holds
    lm_weight: float | None = None
    word_score: float | None = None
    lexicon: Path | None = None
    hotwords: tuple[tuple[str, float], ...] = ()
    n_best: int = 1

    def given(self) -> dict[str, Any]:
        """The keys of `asr.decoding.DecodingConfig` that were asked for, with their values."""
        values: dict[str, Any] = {
            "beam_width": self.beam_width,
            "language_model": None if self.language_model in (None, NONE) else str(self.language_model),
            "lm_weight": self.lm_weight,
            "word_score": self.word_score,
            "lexicon": None if self.lexicon is None else str(self.lexicon),
            "hotwords": dict(self.hotwords) or None,
            "n_best": self.n_best if self.n_best > 1 else None,
        }
        given = {key: value for key, value in values.items() if value is not None}
        if self.language_model == NONE:
            given["language_model"] = None
        name = self.name or ("beam" if given else None)
        return given if name is None else {"name": name, **given}


def check_lm_weight(lm_weight: float | None, language_model: str | None) -> None:
    """Raise UsageError where a weight was asked for and, all read, there is no ``language_model`` to weigh."""
    if lm_weight is not None and language_model is None:
        raise UsageError("--lm-weight: the model directory holds no language model; give one with --lm FILE")


ON_TERMINAL = frozenset({"txt", "json", "ctm"})  # of several recordings; the others are files of one recording


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """All that `asr transcribe` was asked; ``formats`` in the order given, without repetitions."""

    model: Path
    paths: tuple[str, ...]
    recursive: bool
    formats: tuple[str, ...]
    output_dir: Path | None
    beside: bool
    skip_existing: bool
    overwrite: bool
    channel: int | None
    words: bool
    speech_gate: bool
    batch_s: float
    workers: int | None
    device: str
    decoder: DecoderOptions

    @property
    def to_files(self) -> bool:
        """Whether transcripts go to files rather than to the terminal."""
        return self.beside or self.output_dir is not None

    def settings(self) -> dict[str, Any]:
        """What decides on a transcript besides the recording and the model; for json and for --skip-existing."""
        return {
            "decoding": self.decoder.given(),
            "channel": self.channel,
            "words": self.words,
            "speech_gate": self.speech_gate,
        }


def build_recognizer(options: TranscribeOptions) -> "Recognizer":
    """The model on its device, with the decoder that was asked for. Raises ModelError, ConfigError or UsageError."""
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(
        options.model,
        device=options.device,
        speech_gate=options.speech_gate,
        words=options.words,
        decoding=options.decoder.given(),
    )
    check_lm_weight(options.decoder.lm_weight, recognizer.decoding.language_model)
    return recognizer


def transcribe_all(
    recognizer: "Recognizer",
    paths: Sequence[Path],
    options: TranscribeOptions,
    progress: Callable[[float, float], None],
) -> Generator["Hypothesis | AsrError", None, None]:
    """A hypothesis, or the error that says why there is none, for each path in order.

    ``progress(done_s, total_s)`` in seconds of audio. Closing the iterator stops the work.
    """
    results = recognizer.transcribe_files(
        paths, progress=progress, workers=options.workers, batch_s=options.batch_s, channel=options.channel
    )
    with closing(results):
        for _, result in results:
            yield result


FAILURES = "failures.jsonl"
_HOPELESS = {errno.ENOSPC, errno.EDQUOT}  # every further transcript would fail the same way


class Work:
    """One run. ``done``, ``stood`` and ``failed`` count its recordings."""

    def __init__(self, options: TranscribeOptions) -> None:
        """Prepare the output folder. Raises UsageError where it cannot be written to."""
        self.options = options
        self.done = self.stood = self.failed = self.total = 0
        self.failures = None if options.output_dir is None else options.output_dir / FAILURES
        self._several = True
        self._progress: Progress | None = None
        if options.output_dir is not None:
            _prepare_folder(options.output_dir)
        self._provenance = _provenance(options)

    def transcribe(self, inputs: Sequence[Input], faults: Sequence[Fault]) -> None:
        """All of it. Raises an AsrError for what concerns all recordings, OSError where no output can be written."""
        self._check_terminal(inputs)
        for label, message in faults:
            self._fail(label, message)
        self.total = len(inputs) + len(faults)
        if self.options.to_files:
            outputs = OutputFiles(
                self.options.output_dir, self.options.formats, _settings(self.options), overwrite=self.options.overwrite
            )
            todo = self._pending(outputs, outputs.plan(inputs))
            self._recognise([job.input for job in todo], lambda n, found: self._write(outputs, todo[n], found))
        else:
            self._recognise(inputs, lambda n, found: self._print(inputs[n], found))
        if self.options.to_files:
            self._say(self._summary())

    def stopped(self) -> str:
        """What to tell where a signal ended the work."""
        text = f"stopped with {self.done + self.stood} of {self.total} recordings done"
        return f"{text}; the same command with --skip-existing goes on" if self.options.to_files else text

    def close(self) -> None:
        """End the line of progress; safe to repeat."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def _check_terminal(self, inputs: Sequence[Input]) -> None:
        options = self.options
        self._several = len(inputs) > 1 or any(os.path.isdir(path) for path in options.paths)
        if not options.to_files and self._several and options.formats[0] not in ON_TERMINAL:
            raise UsageError(
                f"{options.formats[0]} holds one recording only; give --output-dir DIR or --beside for several"
            )

    def _pending(self, outputs: OutputFiles, jobs: Sequence[Job]) -> list[Job]:
        todo = []
        for job in jobs:
            if self.options.skip_existing and outputs.stands(job):
                self.stood += 1
            elif (refusal := outputs.refusal(job)) is not None:
                self._fail(job.input.label, refusal)
            else:
                todo.append(job)
        return todo

    def _recognise(self, inputs: Sequence[Input], use: Any) -> None:
        """Hand each input's hypothesis to ``use(number, hypothesis)`` in order."""
        if not inputs:
            return
        recognizer = build_recognizer(self.options)
        self._tell_decoding(recognizer)
        if self.options.to_files or not is_live(sys.stdout):
            self._progress = Progress(None, "transcribing", "s of audio")
        paths = [one.path for one in inputs]
        with closing(transcribe_all(recognizer, paths, self.options, self._show_progress)) as results:
            for number, result in enumerate(results):
                label = inputs[number].label
                try:
                    if isinstance(result, AsrError):
                        raise result
                    use(number, result)
                    self.done += 1
                except AsrError as error:
                    self._fail(label, str(error).replace(str(paths[number]), label) if label == STDIN else str(error))
        self.close()

    def _tell_decoding(self, recognizer: "Recognizer") -> None:
        """Let json say how it is decoded in fact: what was asked for together with the model directory's own."""
        settings = {**self._provenance.settings, "decoding": recognizer.decoding.described()}
        self._provenance = dataclasses.replace(self._provenance, settings=settings)

    def _write(self, outputs: OutputFiles, job: Job, hypothesis: "Hypothesis") -> None:
        provenance = self._provenance_of(job.input)
        texts = {name: _rendered(hypothesis, name, provenance) for name in self.options.formats}
        try:
            outputs.write(job, texts)
        except OSError as error:
            if error.errno in _HOPELESS:
                raise
            place = job.ledger.folder / next(iter(job.names.values()))
            raise AsrError(
                f"{place}: cannot be written ({error.strerror or error}); check the folder's rights"
            ) from None

    def _print(self, one: Input, hypothesis: "Hypothesis") -> None:
        (name,) = self.options.formats
        provenance = self._provenance_of(one)
        if name == "json":
            text = render_json(hypothesis, provenance, indent=None)
        else:
            text = _rendered(hypothesis, name, provenance)
        if name == "txt" and self._several:
            text = f"{_one_line(one.label)}\t{text}"
        print(text, end="", flush=True)

    def _provenance_of(self, one: Input) -> Provenance:
        model = self._provenance
        return Provenance(
            audio="stdin" if one.label == STDIN else one.label,
            channel=self.options.channel,
            model=model.model,
            model_sha256=model.model_sha256,
            settings=model.settings,
        )

    def _fail(self, label: str, message: str) -> None:
        """Say what failed, and keep it in failures.jsonl. Raises OSError."""
        self.failed += 1
        self._say(f"asr: error: {message}")
        if self.failures is None:
            return
        record = {"path": label, "message": message, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")
        with self.failures.open("ab") as stream:
            stream.write(line + b"\n")

    def _say(self, line: str) -> None:
        if self._progress is not None:
            self._progress.write_line(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def _show_progress(self, done_s: float, total_s: float) -> None:
        if self._progress is not None:
            self._progress.total = total_s
            self._progress.update(max(0.0, done_s - self._progress.done))

    def _summary(self) -> str:
        parts = [f"{self.done} transcribed"]
        if self.stood:
            parts.append(f"{self.stood} stood already")
        if self.failed:
            parts.append(f"{self.failed} failed" + (f" (see {self.failures})" if self.failures else ""))
        return ", ".join(parts)


def _rendered(hypothesis: "Hypothesis", name: str, provenance: Provenance) -> str:
    """The transcript in a format; a fault of our own in it is this recording's alone."""
    try:
        return render_transcript(hypothesis, name, provenance)
    except (AsrError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InternalError(
            f"{provenance.audio}: internal error in writing {name}: {type(error).__name__}: {reason}; please report it"
        ) from error


def _prepare_folder(folder: Path) -> None:
    """Make the output folder, and forget the failures of the run before."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURES).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"--output-dir {folder}: {error.strerror}; choose another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--output-dir {folder}: may not be written to; change its rights or choose another folder")


def _settings(options: TranscribeOptions) -> dict[str, Any]:
    """What decides on a transcript besides the recording: the model's files, the options, and the files they name."""
    files = [*sorted(options.model.glob("*.json")), options.decoder.language_model, options.decoder.lexicon]
    fingerprints = {path.name: sha256_file(path) for path in files if path is not None and path.is_file()}
    plain: dict[str, Any] = json.loads(json.dumps({"files": fingerprints, "settings": options.settings()}))
    return plain


def _provenance(options: TranscribeOptions) -> Provenance:
    """The model and the settings; whether the model is whole is for its loading to say."""
    try:
        config = json.loads((options.model / "config.json").read_text(encoding="utf-8"))
        digest = config["sha256"]["model.safetensors"]
    except (OSError, ValueError, KeyError, TypeError):
        digest = None
    return Provenance(model=str(options.model), model_sha256=digest, settings=options.settings())


def _one_line(label: str) -> str:
    return label.translate({9: "\\t", 10: "\\n", 13: "\\r"})
