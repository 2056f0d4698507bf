"""The work of `asr transcribe`: what stands is left out, the rest is recognised and written, failures are kept apart.

In: options and inputs. Out: lines on stdout or files; failures on stderr and in failures.jsonl; counts.
"""

import dataclasses
import errno
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.commands._inputs import STDIN, Fault, Input
from asr.commands._recognition import build_recognizer, transcribe_all
from asr.commands._transcribe_options import ON_TERMINAL, TranscribeOptions
from asr.commands._transcripts import Job, OutputFiles
from asr.errors import AsrError, InternalError, UsageError
from asr.files import sha256_file
from asr.formats import Provenance, render_transcript
from asr.formats.json_format import render_json
from asr.terminal import Progress, is_live

if TYPE_CHECKING:
    from asr.recognition import Recognizer
    from asr.recognition.hypothesis import Hypothesis

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
            self._progress.say(line)
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
