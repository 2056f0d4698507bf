"""Scored utterances as files: results.jsonl (a line per utterance) and summary.json (the figures), and back.

In: a ``ScoreReport``. Out: JSON that other tools read, written atomically. ``extras`` is for what is known beyond the
texts, and is kept in the line under its own keys: where an utterance is, how noisy it is, words with times and
confidence and which of them are right, so that reports need neither manifest, audio nor normaliser.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.data.records import json_object
from asr.errors import AudioError, DataError
from asr.files import read_json_object, write_text
from asr.scoring.changes import summarize_changes
from asr.scoring.counts import NO_COUNTS, ErrorCounts, count_word_errors
from asr.scoring.intervals import summarize_intervals
from asr.scoring.measures import measures_in
from asr.scoring.report import COUNTS, ScoreReport, UtteranceScore, build_report
from asr.terminal import few_of_each_kind
from asr.text.normalize import Normalizer

if TYPE_CHECKING:
    from asr.data.manifest import Utterance

_COUNTS = {
    "word_errors": "words",
    "character_errors": "characters",
    "raw_word_errors": "raw_words",
    "raw_character_errors": "raw_characters",
}
_MORE_COUNTS = {"mixed_errors": "mixed", "punctuation_errors": "punctuation", "capitalization_errors": "capitals"}
_TEXTS = ("id", "reference", "hypothesis", "reference_normalized", "hypothesis_normalized")
_OWN_KEYS = {*_TEXTS, *_COUNTS, *_MORE_COUNTS, "normalizer", "speaker", "duration_s"}


@dataclass(frozen=True, slots=True)
class Results:
    """What a results.jsonl holds: the report, and by id the keys that are not the report's own."""

    report: ScoreReport
    extras: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_results(path: Path, report: ScoreReport, extras: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write one JSON line per utterance, in the report's order; ``extras`` by id must not use the report's own keys."""
    lines = []
    for utterance in report.utterances:
        more = dict((extras or {}).get(utterance.id, {}))
        if taken := _OWN_KEYS & more.keys():
            raise ValueError(f"extras of {utterance.id!r} would overwrite {sorted(taken)}")
        lines.append(json.dumps(_row(utterance, report.normalizer) | more, ensure_ascii=False, allow_nan=False))
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_results(path: Path) -> Results:
    """Read a results.jsonl; raises DataError listing every line that is not as ``write_results`` writes it."""
    utterances: list[UtteranceScore] = []
    extras: dict[str, dict[str, Any]] = {}
    labels: dict[str, None] = {}
    problems: list[str] = []
    for number, line in enumerate(_content(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json_object(line)
            utterance, label = _utterance(row)
            if utterance.id in extras:
                raise ValueError(f"the id {utterance.id!r} comes twice")
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
            continue
        utterances.append(utterance)
        labels[label] = None
        extras[utterance.id] = {key: value for key, value in row.items() if key not in _OWN_KEYS}
    if len(labels) > 1:
        problems.append(
            f"{path}: mixes normalisers ({', '.join(labels)}); score it again with `asr score {path} {path}`"
        )
    if problems or not utterances:
        raise DataError("\n  ".join(["results cannot be read:", *few_of_each_kind(problems or [f"{path}: is empty"])]))
    return Results(build_report(utterances, next(iter(labels))), extras)


def summary_beside(results: Path) -> dict[str, Any]:
    """The summary.json in the folder of a results.jsonl; empty where it is absent or not a JSON object."""
    return read_json_object(results.parent / "summary.json")


def summarize(report: ScoreReport) -> dict[str, Any]:
    """The report's figures as plain JSON values: rates in percent, null where there is no reference to divide by."""
    audio_s = report.audio_s
    return {
        "normalizer": report.normalizer,
        "utterances": len(report.utterances),
        "utterances_without_reference_words": len(report.without_reference_words),
        "audio_hours": None if audio_s is None else round(audio_s / 3600, 6),
        **{one.key: one.percent(getattr(report, one.counts)) for one in measures_in("json")},
        "intervals": summarize_intervals(report),
        **{name: _counts(getattr(report, name)) for name in COUNTS},
        "by_speaker": {
            speaker: {
                "utterances": group.utterances,
                **{one.key: one.percent(getattr(group, one.counts)) for one in measures_in("group")},
                "words": _counts(group.words),
                "characters": _counts(group.characters),
            }
            for speaker, group in report.by_speaker.items()
        },
        "normalization_changes": summarize_changes(report.changes),
    }


def _counts(counts: ErrorCounts) -> dict[str, int]:
    return asdict(counts) | {"errors": counts.errors, "reference_length": counts.reference_length}


def _row(utterance: UtteranceScore, normalizer: str) -> dict[str, Any]:
    row: dict[str, Any] = {key: getattr(utterance, key) for key in _TEXTS} | {"normalizer": normalizer}
    row |= {key: asdict(getattr(utterance, name)) for key, name in _COUNTS.items()}
    more = {key: getattr(utterance, name) for key, name in _MORE_COUNTS.items()}
    row |= {key: asdict(counts) for key, counts in more.items() if counts != NO_COUNTS}  # most texts have none
    return row | {"speaker": utterance.speaker, "duration_s": utterance.duration_s}


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # split at line feeds only, below
    except OSError as error:
        what = "give the folder or file that asr evaluate or asr score wrote (--out)"
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; {what}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 (byte {error.start})") from None


def _utterance(row: Mapping[str, Any]) -> tuple[UtteranceScore, str]:
    """Raises ValueError with what is wrong in the row."""
    missing = [key for key in (*_TEXTS, *_COUNTS, "normalizer") if key not in row]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}; `asr score` and `asr evaluate` write such lines")
    for key in (*_TEXTS, "normalizer"):
        if not isinstance(row[key], str):
            raise ValueError(f"{key!r} must be text")
    speaker, duration_s = row.get("speaker"), row.get("duration_s")
    if not (speaker is None or isinstance(speaker, str)):
        raise ValueError("'speaker' must be text or null")
    if not (duration_s is None or (isinstance(duration_s, (int, float)) and 0 <= duration_s < math.inf)):
        raise ValueError("'duration_s' must be a number of seconds or null")
    counts = {name: _read_counts(row[key], key) for key, name in (_COUNTS | _MORE_COUNTS).items() if key in row}
    values: dict[str, Any] = {key: row[key] for key in _TEXTS} | counts
    return UtteranceScore(**values, speaker=speaker, duration_s=duration_s), row["normalizer"]


def _read_counts(value: Any, key: str) -> ErrorCounts:
    names = [one.name for one in fields(ErrorCounts)]
    whole = isinstance(value, dict) and all(type(value.get(name)) is int and value[name] >= 0 for name in names)
    if not whole:
        raise ValueError(f"{key!r} must hold whole numbers for {', '.join(names)}")
    return ErrorCounts(**{name: value[name] for name in names})


_RATE_HZ = 16_000
MEASURED_S = 60.0  # of a longer utterance its middle is measured: noise changes slowly, and the cost stays bounded


def describe_utterances(
    utterances: "Sequence[Utterance]", metadata: Mapping[str, dict[str, Any]], normalizer: Normalizer
) -> dict[str, dict[str, Any]]:
    """By id: ``audio``, ``start_s``, ``fields``, ``snr_db``, ``speech_s``; and the ``metadata`` with outcomes."""
    from asr.terminal import Progress

    described = {}
    with Progress(len(utterances), "measuring noise", "utterances") as progress:
        for utterance in utterances:
            more = metadata[utterance.id]
            described[utterance.id] = (
                _place(utterance) | _sound(utterance) | add_outcomes(more, utterance.text, normalizer)
            )
            progress.update()
    return described


def count_training_words(paths: Sequence[Path], normalizer: Normalizer) -> dict[str, int] | None:
    """How often each normalised word is in the texts (manifests, text files, folders of them); None without any."""
    if not paths:
        return None
    from asr.lm.text import TextOptions, find_texts, read_sentences

    plain = TextOptions(normalizer="none", split_sentences=False)
    counts: Counter[str] = Counter()
    for path in find_texts(paths):
        for words in read_sentences(path, plain):
            counts.update(normalizer(" ".join(words)).split())
    return dict(counts)


def _place(utterance: "Utterance") -> dict[str, Any]:
    channel = {} if utterance.channel is None else {"channel": utterance.channel}
    place = {"audio": utterance.audio, "start_s": utterance.start_s} | channel
    return place | {"fields": dict(utterance.extra)}


def _sound(utterance: "Utterance") -> dict[str, Any]:
    """Noise and speech, as far as they can be measured; ``speech_s`` only where the whole utterance was measured."""
    from asr.audio import load_audio
    from asr.audio.noise import measure_sound

    measured_s = min(utterance.duration_s, MEASURED_S)
    start_s = utterance.start_s + (utterance.duration_s - measured_s) / 2
    try:
        waveform = load_audio(
            utterance.audio,
            sample_rate=_RATE_HZ,
            start_s=start_s,
            duration_s=measured_s,
            channel=utterance.channel,
        )
    except AudioError:  # the recogniser has read it: a file that was removed since is no reason to lose the report
        return {}
    found = measure_sound(waveform, _RATE_HZ)
    speech_s = found.speech_s if measured_s == utterance.duration_s else None
    values = {"snr_db": (found.snr_db, 1), "speech_s": (speech_s, 3)}
    return {key: round(value, digits) for key, (value, digits) in values.items() if value is not None}


def add_outcomes(metadata: Mapping[str, Any], reference: str, normalizer: Normalizer) -> dict[str, Any]:
    """``right`` for each of the words (null: nothing is left of it once normalised), ``word_errors`` for the n-best.

    Words and n-best without texts, as another tool may write them, stay as they are.
    """
    from asr.scoring.confidence import words_correct

    described = dict(metadata)
    words, n_best = metadata.get("words", []), metadata.get("n_best", [])
    if words and _have_texts(words):
        outcomes = words_correct([word["text"] for word in words], reference, normalizer)
        described["words"] = [word | {"right": right} for word, right in zip(words, outcomes, strict=True)]
    if n_best and _have_texts(n_best):
        compared = normalizer(reference)
        described["n_best"] = [
            one | {"word_errors": asdict(count_word_errors(compared, normalizer(one["text"])))} for one in n_best
        ]
    return described


def _have_texts(metadata: Sequence[Mapping[str, Any]]) -> bool:
    return all(isinstance(one.get("text"), str) for one in metadata)
