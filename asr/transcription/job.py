"""Transcription of many recordings: up-to-date outputs are skipped, the rest is recognised, failures are recorded.

In: options, inputs and an observer. Out: transcripts in files or to the observer; failures to the observer and in
failures.jsonl; counts. A recording that fails does not stop the others.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asr.errors import OF_THE_DISK, AsrError, AudioMissingError, InternalError, UsageError
from asr.files import append_line, check_output_folder, sha256_file
from asr.shipped import weights_sha256
from asr.terminal import printable
from asr.transcription import TIER_FORMATS, CueLimits, Provenance, render_transcript
from asr.transcription.formats import render_json
from asr.transcription.inputs import STDIN, Input, InputProblem
from asr.transcription.options import TranscribeOptions, check_lm_weight
from asr.transcription.outputs import OutputFiles, PlannedTranscript, tier_file

if TYPE_CHECKING:
    from asr.recognition import Hypothesis, Recognizer

SEVERAL_IN_ONE = frozenset({"txt", "json", "ctm"})  # formats of several recordings; the others are files of one
FAILURES = "failures.jsonl"


class TranscriptionObserver(Protocol):
    """Receives the events of a job; `asr transcribe` prints them."""

    def started(self) -> None:
        """The model is loaded and recognition begins."""

    def progress(self, done_s: float, total_s: float) -> None:
        """Seconds of audio recognised, of those known so far."""

    def transcript(self, text: str) -> None:
        """A transcript in the format asked for, with its newline, where no files are written."""

    def failed(self, label: str, message: str, error_id: str) -> None:
        """A recording has no transcript, why, and the ``id`` of the error."""

    def finished(self) -> None:
        """Recognition is over."""


class TranscriptionJob:
    """One job. ``transcribed``, ``up_to_date`` and ``failed`` count its recordings, of ``total``, and ``empty`` those
    transcribed without a word.
    """

    def __init__(self, options: TranscribeOptions, observer: TranscriptionObserver) -> None:
        """Raises UsageError where the output folder cannot be written to."""
        self.options, self.observer = options, observer
        self.transcribed = self.up_to_date = self.failed = self.total = self.empty = 0
        self.failures: Path | None = None  # once the output folder is there
        self._several = True
        if options.output_dir is not None:
            check_output_folder(options.output_dir)
        self._provenance = Provenance()  # once the model is loaded

    def run(self, inputs: Sequence[Input], problems: Sequence[InputProblem], *, several: bool) -> None:
        """Transcribe ``inputs`` and record ``problems`` as failures. ``several``: label texts that go to the observer.

        Raises an AsrError for what concerns all recordings, OSError where no output can be written.
        """
        options, self._several = self.options, several
        if not options.to_files and several and options.formats[0] not in SEVERAL_IN_ONE:
            raise UsageError(
                f"{options.formats[0]} is a format of one recording; give --output-dir DIR or --beside for several"
            )
        if options.output_dir is not None and (inputs or options.output_dir.exists()):
            _prepare_folder(options.output_dir)
            self.failures = options.output_dir / FAILURES
        for problem in problems:
            self._fail(problem.label, problem.message, AudioMissingError.id)
        self.total = len(inputs) + len(problems)
        if options.to_files:
            outputs = OutputFiles(
                options.output_dir,
                options.formats,
                _settings(options),
                overwrite=options.overwrite,
                keep_tiers=options.keep_tiers,
            )
            todo = self._outdated(outputs, outputs.plan(inputs))
            self._recognise([one.input for one in todo], lambda n, found: self._write(outputs, todo[n], found))
        else:
            self._recognise(inputs, lambda n, found: self._send(inputs[n], found))

    def summary(self) -> str:
        """``7 transcribed, 2 already up to date, 1 failed (see out/failures.jsonl)``."""
        parts = [f"{self.transcribed} transcribed"]
        if self.up_to_date:
            parts.append(f"{self.up_to_date} already up to date")
        if self.failed:
            parts.append(f"{self.failed} failed" + (f" (see {self.failures})" if self.failures else ""))
        return ", ".join(parts)

    def note(self) -> str | None:
        """Why no word may have been recognised in any recording; None where one was, or none was transcribed."""
        if not self.transcribed or self.empty < self.transcribed:
            return None
        what = "the recording" if self.transcribed == 1 else f"any of the {self.transcribed:,} recordings"
        gate = "there is no speech by the speech gate (--no-speech-gate decodes all sound), "
        return (
            f"no word was recognised in {what}: {gate if self.options.speech_gate else ''}the model is trained too"
            " little (see dev_wer in its config.json), or on another language or kind of sound"
        )

    def _outdated(self, outputs: OutputFiles, planned: Sequence[PlannedTranscript]) -> list[PlannedTranscript]:
        todo = []
        for one in planned:
            if self.options.skip_existing and outputs.is_up_to_date(one):
                self.up_to_date += 1
            elif (refusal := outputs.refusal(one)) is not None:
                self._fail(one.input.label, refusal, AsrError.id)
            else:
                todo.append(one)
        return todo

    def _recognise(self, inputs: Sequence[Input], use: "Callable[[int, Hypothesis], None]") -> None:
        """Hand each input's hypothesis to ``use(number, hypothesis)`` in order."""
        if not inputs:
            return
        recognizer = build_recognizer(self.options)
        self._provenance = provenance_of(self.options, recognizer)
        self.observer.started()
        paths = [one.path for one in inputs]
        if self.options.engine == "ray":
            from asr.transcription.cluster import transcribe_on_cluster

            found = transcribe_on_cluster(paths, self.options, build_recognizer, transcribe_all, self.observer.progress)
        else:
            found = transcribe_all(recognizer, paths, self.options, self.observer.progress)
        with closing(found) as results:
            for number, result in enumerate(results):
                label = inputs[number].label
                try:
                    if isinstance(result, AsrError):
                        raise result
                    use(number, result)
                    self.transcribed += 1
                    self.empty += not result.text.strip()
                except AsrError as error:
                    message = str(error).replace(str(paths[number]), label) if label == STDIN else str(error)
                    self._fail(label, message, error.id)
        self.observer.finished()

    def _write(self, outputs: OutputFiles, planned: PlannedTranscript, hypothesis: "Hypothesis") -> None:
        limits = self.options.cue_limits
        texts = {
            name: _rendered(hypothesis, name, self._provenance_of(planned.input, name), limits)
            for name in self.options.formats
        }
        try:
            outputs.write(planned, texts)
        except OSError as error:
            if error.errno in OF_THE_DISK:
                raise  # every further transcript would fail the same way
            place = planned.index.folder / next(iter(planned.names.values()))
            raise AsrError(
                f"{place}: cannot be written ({error.strerror or error}); check the folder's permissions"
            ) from None

    def _send(self, one: Input, hypothesis: "Hypothesis") -> None:
        (name,) = self.options.formats
        provenance = self._provenance_of(one, name)
        if name == "json":
            text = render_json(hypothesis, provenance, self.options.cue_limits, indent=None)
        else:
            text = _rendered(hypothesis, name, provenance, self.options.cue_limits)
        if name == "txt" and self._several:
            text = "".join(f"{printable(one.label)}\t{line}\n" for line in text[:-1].split("\n"))
        self.observer.transcript(text)

    def _provenance_of(self, one: Input, format_name: str) -> Provenance:
        audio = "stdin" if one.label == STDIN else one.label
        wanted = self.options.keep_tiers and format_name in TIER_FORMATS
        tiers = tier_file(one, format_name) if wanted else None
        return dataclasses.replace(self._provenance, audio=audio, channel=self.options.channel, tiers=tiers)

    def _fail(self, label: str, message: str, error_id: str) -> None:
        """Report what failed, and add it to failures.jsonl. Raises OSError."""
        self.failed += 1
        self.observer.failed(printable(label), printable(message), error_id)
        if self.failures is None:
            return
        time = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"path": label, "id": error_id, "message": message, "time": time}
        append_line(self.failures, json.dumps(record, ensure_ascii=False))


def build_recognizer(options: TranscribeOptions) -> "Recognizer":
    """The model on its device, with the decoder that was asked for. Raises ModelError, ConfigError or UsageError."""
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(
        options.model,
        device=options.device,
        speech_gate=options.speech_gate,
        words=options.words,
        decoding=options.decoder.given(),
        backend=options.backend,
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
        paths,
        progress=progress,
        workers=options.workers,
        batch_s=options.batch_s,
        channel=options.channel,
        track=options.track,
    )
    with closing(results):
        for _, result in results:
            yield result


def _rendered(hypothesis: "Hypothesis", name: str, provenance: Provenance, limits: CueLimits) -> str:
    """The transcript in a format; an internal error in it fails this recording only."""
    try:
        return render_transcript(hypothesis, name, provenance, limits)
    except (AsrError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InternalError(
            f"{provenance.audio}: internal error in writing {name}: {type(error).__name__}: {reason}; please report it"
        ) from error


def _prepare_folder(folder: Path) -> None:
    """Make the output folder, and remove failures.jsonl of the job before."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURES).unlink(missing_ok=True)
    except OSError as error:
        if error.errno in OF_THE_DISK:
            raise
        raise UsageError(f"--output-dir {folder}: {error.strerror}; choose another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--output-dir {folder}: cannot be written to; check its permissions or choose another folder")


def _settings(options: TranscribeOptions) -> dict[str, Any]:
    """What a transcript depends on besides the recording: the model's files, the options, and the files they name."""
    decoder = options.decoder
    given = decoder.language_model, decoder.lexicon, decoder.pronunciations
    files = [*sorted(options.model.glob("*.json")), *given]
    fingerprints: dict[str, str] = {}
    for path in files:
        if path is not None and path.is_file():
            fingerprints[str(path) if path.name in fingerprints else path.name] = sha256_file(path)
    plain: dict[str, Any] = json.loads(json.dumps({"files": fingerprints, "settings": options.settings()}))
    return plain


def provenance_of(options: TranscribeOptions, recognizer: "Recognizer") -> Provenance:
    """The model, and the settings: what was asked for together with the model directory's own. Names no recording."""
    settings = {**options.settings(), "decoding": recognizer.decoding.described(), "backend": recognizer.backend}
    return Provenance(model=str(options.model), model_sha256=weights_sha256(options.model), settings=settings)
