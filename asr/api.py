"""What ``import asr`` offers: transcribe, train, evaluate, score and compare as functions, a call for each verb.

In: paths, recordings, texts. Out: typed results; files only where a folder is asked for. Each function imports what it
needs when it is called, and raises the errors of asr/errors.py, as the command line does.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from asr.errors import ConfigError, UsageError
from asr.shipped import model_directory

if TYPE_CHECKING:
    from asr.recognition import Hypothesis, Recognizer
    from asr.recognition.alignment import AlignedText
    from asr.recognition.given import AudioInput
    from asr.recognition.hypothesis import Channel
    from asr.scoring import ScoreReport
    from asr.scoring.compare import Comparison
    from asr.scoring.counts import ErrorCounts
    from asr.scoring.match import Extra, Missing
    from asr.scoring.score_files import Alignment
    from asr.text.normalize import Normalizer

AnyPath: TypeAlias = str | os.PathLike[str]
Texts: TypeAlias = Mapping[str, str] | Iterable[str]  # a list, an array or a column of a table
_NOT_TEXT = ("true", "false", "null", "nan", "inf")  # what Hydra would read as something else
_loaded: dict[tuple[Any, ...], "Recognizer"] = {}  # the last model that ``transcribe`` loaded


def transcribe(
    audio: "AudioInput",
    model: "AnyPath | Recognizer" = "english",
    *,
    sample_rate: float | None = None,
    channel: "Channel" = None,
    track: int | None = None,
) -> "Hypothesis":
    """The text of one recording: ``asr.transcribe("recording.wav").text``.

    Args:
        audio: a path, the bytes of an audio file or an open one, samples, or a mapping with ``array`` and
            ``sampling_rate`` (see ``asr.Recognizer.transcribe``).
        model: a model directory, which is kept for the next call, or what ``asr.load_model`` returned.
        sample_rate: of samples, in Hz.
        channel: the one to transcribe, from 0; None averages them; "split" transcribes each by itself: see
            ``turns()`` and ``channels`` of the result.
        track: which audio track of a video or other container, from 0; None is the one that FFmpeg finds best.

    Raises:
        AudioError: the recording cannot be read, or has no such channel or track.
        ConfigError: the rate is missing or impossible.
        ModelError: the model directory is absent, damaged, or does not fit.
    """
    return _recognizer(model).transcribe(audio, sample_rate, channel=channel, track=track)


def align(
    audio: "AudioInput", text: str, model: "AnyPath | Recognizer" = "english", *, sample_rate: float | None = None
) -> "AlignedText":
    """When each word of a text is said in its recording: ``asr.align("talk.wav", text).words``.

    The text may be longer or shorter than the sound: see ``passages`` of the result.

    Args:
        audio: as for ``transcribe``, of any length.
        text: what is said, with line ends where it has lines; not a path.
        model: as for ``transcribe``.
        sample_rate: of samples, in Hz.

    Raises:
        AudioError: the recording cannot be read.
        ConfigError: the rate is missing or impossible.
        ModelError: the model directory is absent, damaged, or does not fit.
        TextError: the model's tokens spell no word of the text.
    """
    if not isinstance(text, str):
        raise UsageError(f"align: text must be the text itself, not {type(text).__name__}; read a file of it first")
    from asr.recognition.alignment import align_text
    from asr.recognition.given import given_sources

    recognizer = _recognizer(model)
    with given_sources(audio, sample_rate, recognizer.sample_rate) as (source,):
        return align_text(recognizer, source, text)


def _recognizer(model: "AnyPath | Recognizer") -> "Recognizer":
    from asr.recognition import Recognizer

    if isinstance(model, Recognizer):
        return model
    if not isinstance(model, str | os.PathLike):
        raise UsageError(
            f"transcribe: model must be a model directory or 'english', not {model!r}; the rate of samples is given as"
            " sample_rate=..."
        )
    directory = model_directory(os.fspath(model))
    changed = [file.stat().st_mtime_ns for file in sorted(directory.glob("*.json"))]
    key = (os.path.abspath(directory), *changed)
    if key not in _loaded:
        found = Recognizer.from_pretrained(directory)
        _loaded.clear()
        _loaded[key] = found
    return _loaded[key]


def train(
    recipe: AnyPath,
    run_dir: AnyPath,
    *,
    corpus: AnyPath | None = None,
    data: AnyPath | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Train by a recipe, or resume the training in ``run_dir``; progress goes to stderr. Returns the model directory.

    Args:
        recipe: such as ``recipes/folder/bilstm.yaml``.
        run_dir: for the model, checkpoints and records.
        corpus: recordings to prepare into ``run_dir/data`` first; or
        data: a folder with the manifests ``train.jsonl`` and ``dev.jsonl``.
        settings: keys of the configuration, e.g. ``{"training.epochs": 20, "prepare.dev": 0.2}``.

    Raises:
        UsageError: the arguments do not go together.
        ConfigError: a setting is unknown or wrong.
        DataError: a recording or transcript cannot be used.
        TrainingError: no finite loss, a full disk, ...
    """
    if data is not None and corpus is not None:
        raise UsageError("train: both a corpus (to prepare) and data (prepared) are given; give one of the two")
    if settings is not None and not isinstance(settings, Mapping):
        raise UsageError(f"train: settings must be keys and values, {{'training.epochs': 20}}, not {settings!r}")
    from asr.commands.run import run
    from asr.config.compose import FOLDERS

    given = {"run_dir": run_dir, "data.dir": data, "corpus": corpus, **(settings or {})}
    words = [_override(key, value) for key, value in given.items() if key not in FOLDERS or value is not None]
    words.append(f"stages=[{'prepare,train' if data is None else 'train'}]")
    run([os.fspath(recipe), *words])
    return Path(run_dir) / "model"


def _override(key: str, value: Any) -> str:
    """``key=value`` as Hydra reads it: text in quotes, None as null, lists and mappings inside brackets."""
    if not isinstance(key, str) or "=" in key:
        raise ConfigError(f"train: settings: {key!r} is no key, such as 'training.epochs'")
    from asr.config.compose import FOLDERS

    return f"{key}={os.fspath(value) if key in FOLDERS else _literal(value)}"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_literal, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    if text.replace("_", "").isalpha() and text.lower() not in _NOT_TEXT:
        return text  # as a choice of a config group must be
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def evaluate(
    model: AnyPath,
    manifest: AnyPath,
    *,
    out: AnyPath | None = None,
    normalizer: "str | Normalizer" = "basic",
    decoding: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> "ScoreReport":
    """Transcribe a test set and count the errors.

    Args:
        model: a model directory, or "english".
        manifest: the test set, such as ``runs/mine/data/test.jsonl``.
        out: folder for results.jsonl, summary.json and report.md; None writes nothing.
        normalizer: what counts as the same text: "none", "basic", "english", or one of your own.
        decoding: as for ``asr.load_model``.
        device: as for ``asr.load_model``.
    """
    import tempfile

    from asr.pipeline.evaluation import EvaluateOptions
    from asr.pipeline.evaluation import evaluate as run

    with contextlib.nullcontext(out) if out is not None else tempfile.TemporaryDirectory(prefix="asr-") as folder:
        options = EvaluateOptions(
            model=model_directory(os.fspath(model)),
            manifest=Path(manifest),
            out=Path(folder),
            normalizer=_normalizer(normalizer),
            decoding=decoding or {},
            device=device,
        )
        return run(options).report


def score(
    references: AnyPath | Texts,
    hypotheses: AnyPath | Texts,
    *,
    normalizer: "str | Normalizer" = "basic",
    speakers: Texts | None = None,
    format: str = "auto",
    missing: "Missing" = "error",
    extra: "Extra" = "error",
    alignment: "Alignment" = "fewest-errors",
    out: AnyPath | None = None,
) -> "ScoreReport":
    """Score any system's output: two files, or two collections of texts.

    Args:
        references: a path (trn, stm, ctm, Kaldi text, JSONL, CSV, ... as `asr score` reads); or texts by id, or in a
            list, where item n belongs to item n of ``hypotheses``.
        hypotheses: the same of what was recognised.
        normalizer: as for ``evaluate``.
        speakers: who spoke, by id or in the texts' order, for texts; files say so themselves.
        format: for files, as the option of `asr score`; so are the others.
        missing: what becomes of references without a hypothesis.
        extra: what becomes of hypotheses without a reference.
        alignment: fewest-errors or sclite.
        out: a folder for the report.

    Raises:
        ScoringError: the ids do not fit, or there is nothing to score.
        DataError: a file cannot be read.
    """
    sides = references, hypotheses
    if all(isinstance(one, str) and not os.path.exists(one) for one in sides) and any(" " in str(one) for one in sides):
        raise UsageError(
            f"score: {references!r} and {hypotheses!r} are no files; give texts in lists: score([text], [recognised])"
        )
    paths = [isinstance(side, str | os.PathLike) for side in (references, hypotheses)]
    if paths[0] != paths[1]:
        raise UsageError("score: one side is a path and the other texts; give two paths, or two lists or mappings")
    if isinstance(references, str | os.PathLike) and isinstance(hypotheses, str | os.PathLike):
        from asr.scoring.score_files import ScoreOptions, score_files

        return score_files(
            ScoreOptions(
                references=Path(references),
                hypotheses=Path(hypotheses),
                normalizer=_normalizer(normalizer),
                format_name=format,
                missing=missing,
                extra=extra,
                alignment=alignment,
                out=None if out is None else Path(out),
            )
        ).report
    from asr.scoring.report import score_texts

    first, second = _pair(references, hypotheses)
    names = None if speakers is None else _speakers(speakers, first)
    return score_texts(first, second, normalizer=_normalizer(normalizer), speakers=names)


def _speakers(given: Any, texts: Mapping[str, str]) -> dict[str, str]:
    """Speakers by the texts' ids. Raises UsageError where they belong to other texts."""
    if isinstance(given, Mapping):
        speakers = {str(key): name for key, name in given.items()}
        if not speakers.keys() & texts.keys():
            ids = f"{list(speakers)[:3]}, and those of the texts {list(texts)[:3]}"
            raise UsageError(f"score: speakers are by other ids than the texts: {ids}")
        return speakers
    names = [given] if isinstance(given, str) else list(given)
    if len(names) != len(texts):
        raise UsageError(f"score: {len(names)} speakers for {len(texts)} texts; give one for each, or a mapping by id")
    return dict(zip(texts, names, strict=True))


def wer(reference: str | Texts, hypothesis: str | Texts, *, normalizer: "str | Normalizer" = "basic") -> float:
    """The word error rate (S + D + I) / N of a text, or of a corpus of texts, as a fraction: 0.25 is 25 %.

    NaN where the references hold no word. ``asr.score`` gives counts and intervals. Raises ScoringError where the
    two sides do not belong together.
    """
    return _errors(reference, hypothesis, normalizer, characters=False).rate


def cer(reference: str | Texts, hypothesis: str | Texts, *, normalizer: "str | Normalizer" = "basic") -> float:
    """The character error rate, single spaces between words included; otherwise as ``wer``."""
    return _errors(reference, hypothesis, normalizer, characters=True).rate


def compare(
    systems: "Mapping[str, AnyPath | ScoreReport]",
    *,
    normalizer: "str | Normalizer | None" = None,
    out: AnyPath | None = None,
) -> "Comparison":
    """Which of two or more systems is better on the same references, and how surely.

    Args:
        systems: by name, folders or results.jsonl files of `asr evaluate` and `asr score`, or the reports that
            ``evaluate`` and ``score`` returned; all of one kind.
        normalizer: score all again with it; None compares them as they were scored.
        out: folder for compare.md and compare.json, for files.

    Raises:
        ScoringError: fewer than two systems, or they were not scored on the same references.
    """
    from asr.scoring.compare import SystemResults
    from asr.scoring.compare import compare as compare_results
    from asr.scoring.compare_files import CompareOptions, compare_files
    from asr.scoring.output import RESULTS

    paths = {name: Path(one) for name, one in systems.items() if isinstance(one, str | os.PathLike)}
    if not paths:
        reports = {name: one for name, one in systems.items() if not isinstance(one, str | os.PathLike)}
        if normalizer is not None or out is not None:
            raise UsageError("compare: normalizer and out are for results files; score the texts again instead")
        return compare_results([SystemResults(name, report) for name, report in reports.items()])
    if len(paths) < len(systems):
        raise UsageError("compare: some systems are paths and some reports; give all of one kind")
    options = CompareOptions(
        systems={name: path / RESULTS if path.is_dir() else path for name, path in paths.items()},
        normalizer=None if normalizer is None else _normalizer(normalizer),
        out=None if out is None else Path(out),
    )
    return compare_files(options).comparison


def _errors(
    reference: str | Texts, hypothesis: str | Texts, normalizer: "str | Normalizer", *, characters: bool
) -> "ErrorCounts":
    from asr.scoring.counts import ErrorCounts, count_character_errors, count_word_errors

    if isinstance(reference, str) and isinstance(hypothesis, str):
        reference, hypothesis = [reference], [hypothesis]
    elif isinstance(reference, str) or isinstance(hypothesis, str):
        other = hypothesis if isinstance(reference, str) else reference
        raise UsageError(
            f"one side is a text and the other {type(other).__name__}; give two texts, or two lists of them"
        )
    count = count_character_errors if characters else count_word_errors
    first, second = _pair(reference, hypothesis)
    if first.keys() != second.keys():
        from asr.errors import ScoringError

        raise ScoringError(f"{len(first)} references and {len(second)} hypotheses do not hold the same ids")
    same = _normalizer(normalizer)
    return ErrorCounts.total(count(same(text), same(second[key])) for key, text in first.items())


def _pair(references: Any, hypotheses: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Both sides by id. Raises UsageError for what is neither a mapping nor a list of texts."""
    kinds = [isinstance(side, Mapping) for side in (references, hypotheses)]
    if kinds[0] != kinds[1]:
        raise UsageError("one side is a mapping (texts by id) and the other is not; give two mappings or two lists")
    sides: list[dict[str, str]] = []
    for name, side in (("references", references), ("hypotheses", hypotheses)):
        texts_in_order = isinstance(side, Iterable) and not isinstance(side, str | bytes | Set)
        if not texts_in_order or getattr(side, "ndim", 1) != 1:  # a data frame would give the names of its columns
            raise UsageError(f"{name} must be texts in a list, or by id in a mapping, not {type(side).__name__}")
        texts = {str(key): text for key, text in (side.items() if isinstance(side, Mapping) else enumerate(side, 1))}
        if wrong := [text for text in texts.values() if not isinstance(text, str)]:
            raise UsageError(f"{name} must hold texts; one is {wrong[0]!r}")
        sides.append(texts)
    return sides[0], sides[1]


def _normalizer(given: "str | Normalizer") -> "Normalizer":
    from asr.text.normalize import get_normalizer

    if not isinstance(given, str) and not callable(given):
        raise UsageError(f"normalizer must be a name ('none' changes nothing) or a function of a text, not {given!r}")
    return get_normalizer(given) if isinstance(given, str) else given
