"""What the page of a training run shows, read from the run's folder as plain values.

In: the folder, of a finished or unfinished run, of this version or an older one. Out: ``RunData``; what is missing or
cannot be read is left out and noted. Records are those of metrics.jsonl and dev_utterances.jsonl, unchecked.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.errors import DataError
from asr.files import finite, read_json_lines, read_json_object
from asr.terminal import format_duration


@dataclass(frozen=True, slots=True)
class RecognisedText:
    """The hypothesis for one dev utterance at the end of one epoch."""

    epoch: int
    reference: str
    hypothesis: str
    errors: int


@dataclass(frozen=True, slots=True)
class DevHistory:
    """Word errors of every dev utterance over the recorded epochs.

    ``errors[place][n]`` is of ``epochs[n]``; ``words`` in the references; ``texts`` by place, oldest first.
    """

    ids: Sequence[str]
    words: Sequence[int]
    epochs: Sequence[int]
    errors: Sequence[Sequence[int]]
    texts: Mapping[int, Sequence[RecognisedText]]


@dataclass(frozen=True, slots=True)
class TestScore:
    """A line of the results on a test set: WER and CER in percent."""

    name: str
    utterances: int
    wer: float
    cer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """One training. ``steps`` and ``epochs``: its records in order; ``config``: dotted keys to values as text.

    ``average``: the number of epochs whose mean is the model, and its dev WER (a fraction), if it is an average.
    ``resumed_at``: the steps at which it was resumed.
    """

    name: str
    state: str
    steps: Sequence[Mapping[str, Any]]
    epochs: Sequence[Mapping[str, Any]]
    facts: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    average: tuple[int, float] | None = None
    resumed_at: Sequence[int] = ()
    test_scores: Sequence[TestScore] = ()
    history: DevHistory | None = None
    notes: Sequence[str] = ()

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The record of the epoch that was the last to be the best so far, by training.select_by."""
        known = [one for one in self.epochs if number(one, "dev_wer") is not None]
        chosen = [one for one in known if one.get("best") is True]
        if chosen:
            return chosen[-1]
        return min(known, key=lambda one: (min(one["dev_wer"], 1.0), number(one, "dev_cer") or 0.0), default=None)


def number(record: Mapping[str, Any], key: str) -> float | None:
    """A finite number in a record, or None."""
    return finite(record.get(key))


READ_FILES = ("metrics.jsonl", "dev_utterances.jsonl", "config.yaml", "run.json")
_FACTS = ("command", "commit", "hardware")


def load_run(folder: Path, name: str) -> RunData:
    """Everything that the page shows of one run."""
    records = [one for one in _lines(folder / "metrics.jsonl") if _is_record(one)]
    if not records:
        raise DataError(
            f"{folder}: the training has recorded nothing yet (metrics.jsonl has no step and no epoch; the first record"
            " comes after 10 steps); repeat this later"
        )
    steps = [one for one in records if one["kind"] == "step"]
    epochs = [one for one in records if one["kind"] == "epoch"]
    notes: list[str] = []
    facts, starts = _model_facts(folder), _starts(folder)
    return RunData(
        name=name,
        state=_state(folder, records),
        steps=steps,
        epochs=epochs,
        facts=_facts(records, starts, facts),
        config=_config(folder / "config.yaml", notes),
        average=_average(facts),
        resumed_at=[int(one["from_step"]) for one in starts if (number(one, "from_step") or 0) > 0],
        test_scores=_test_scores(folder),
        history=_history(folder / "dev_utterances.jsonl", notes),
        notes=[*notes, *_skips(epochs)],
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [one for one in read_json_lines(path) if isinstance(one, dict)]
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); is it a training's file?") from None


def _is_record(one: Mapping[str, Any]) -> bool:
    places = [one.get("step"), one.get("epoch")]
    return one.get("kind") in ("step", "epoch") and all(isinstance(value, int) and value >= 0 for value in places)


def _starts(folder: Path) -> list[dict[str, Any]]:
    starts = read_json_object(folder / "run.json").get("starts")
    return [one for one in starts if isinstance(one, dict)] if isinstance(starts, list) else []


def _model_facts(folder: Path) -> dict[str, Any]:
    facts = read_json_object(folder / "model" / "config.json").get("facts")
    return facts if isinstance(facts, dict) else {}


def _average(facts: Mapping[str, Any]) -> tuple[int, float] | None:
    epochs, wer = number(facts, "averaged_epochs"), number(facts, "dev_wer")
    return (int(epochs), wer) if epochs is not None and wer is not None and epochs > 1 else None


def _state(folder: Path, records: Sequence[Mapping[str, Any]]) -> str:
    last = records[-1]
    ended = last["kind"] == "epoch"
    planned = last.get("epochs", "?")
    where = f"{last['epoch']} of {planned} epochs" if ended else f"in epoch {last['epoch']} of {planned}"
    seconds = number(last, "seconds")
    time = f", {format_duration(seconds)}" if seconds is not None else ""
    return f"{where}, step {last['step']:,}{time}{_process_state(folder, ended and last['epoch'] == planned)}"


def _process_state(folder: Path, finished: bool) -> str:
    """Whether it is training: the lock file holds the process id while it trains, and is emptied at its end."""
    try:
        words = (folder / ".lock").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        words = []
    if len(words) == 2 and words[1].isdigit():
        with contextlib.suppress(PermissionError):
            try:
                os.kill(int(words[1]), 0)
            except (ProcessLookupError, OverflowError):
                return "; killed or crashed" if not finished else ""
        return "; training now"
    return "; finished" if finished else "; stopped"


def _facts(
    records: Sequence[Mapping[str, Any]], starts: Sequence[Mapping[str, Any]], model: Mapping[str, Any]
) -> dict[str, str]:
    first, last = (starts[0], starts[-1]) if starts else ({}, {})
    facts = {key.capitalize(): str(first[key]) for key in _FACTS if first.get(key)}
    if first.get("time"):
        facts["Started"] = str(first["time"])
    if len(starts) > 1:
        facts["Resumed"] = f"{len(starts) - 1} times, last at {last.get('time')}"
    for one in (key for key in _FACTS if key != "command" and last.get(key) != first.get(key)):
        facts[f"{one.capitalize()} of the last start"] = str(last.get(one))
    audio_s = number(records[-1], "audio_s")
    if audio_s is not None:
        facts["Audio"] = f"{audio_s / 3600:.2f} h"
    labels = {"seed": "Seed", "normalizer_label": "Normaliser", "init_from": "Initial weights"}
    for key, label in (labels | {"ema_decay": "Moving average of the weights, decay"}).items():
        if model.get(key) is not None:
            facts[label] = str(model[key])
    versions = last.get("versions")
    if isinstance(versions, dict):
        facts["Versions"] = ", ".join(f"{key} {value}" for key, value in versions.items())
    return facts


def _skips(epochs: Sequence[Mapping[str, Any]]) -> list[str]:
    skipped = int(number(epochs[-1], "skipped") or 0) if epochs else 0
    return [f"{skipped} steps were skipped because their gradient was not finite"] if skipped else []


def _config(path: Path, notes: list[str]) -> dict[str, str]:
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        value = None
    if not isinstance(value, dict):
        notes.append("config.yaml is missing or cannot be read, so the configuration is not shown")
        return {}
    return dict(_flat(value, ""))


def _flat(value: object, key: str) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [pair for name, one in value.items() for pair in _flat(one, f"{key}.{name}" if key else str(name))]
    return [(key, "null" if value is None else json.dumps(value) if isinstance(value, (list, bool)) else str(value))]


def _test_scores(folder: Path) -> list[TestScore]:
    found = []
    for path in sorted(folder.glob("evaluation/*/summary.json")):
        summary = read_json_object(path)
        wer, cer, utterances = (number(summary, key) for key in ("wer", "cer", "utterances"))
        if wer is not None and cer is not None and utterances is not None:
            found.append(TestScore(path.parent.name, int(utterances), wer, cer))
    return found


def _history(path: Path, notes: list[str]) -> DevHistory | None:
    """The errors of each dev utterance over the epochs; lines that do not match the first are skipped."""
    lines = _lines(path)
    names = next((one for one in lines if one.get("kind") == "utterances"), {})
    ids, words = names.get("ids"), names.get("words")
    if not isinstance(ids, list) or not isinstance(words, list) or not ids or len(ids) != len(words):
        return None
    rows = [one for one in lines if one.get("kind") == "epoch" and _fits(one, len(ids))]
    if not rows:
        return None
    texts: dict[int, list[RecognisedText]] = {}
    for row in rows:
        for one in row.get("worst") or []:
            with contextlib.suppress(KeyError, TypeError):
                recognised = one["hypothesis"] if "hypothesis" in one else one["heard"]  # the key of older runs
                text = RecognisedText(row["epoch"], str(one["reference"]), str(recognised), int(one["errors"]))
                texts.setdefault(one["index"], []).append(text)
    errors = list(zip(*(row["errors"] for row in rows), strict=True))
    if rows[0]["epoch"] > 1:
        notes.append(f"errors by utterance are recorded from epoch {rows[0]['epoch']} on")
    return DevHistory(
        [str(one) for one in ids], [int(one) for one in words], [row["epoch"] for row in rows], errors, texts
    )


def _fits(row: Mapping[str, Any], count: int) -> bool:
    errors = row.get("errors")
    whole = isinstance(errors, list) and len(errors) == count and all(isinstance(one, int) for one in errors)
    return whole and isinstance(row.get("epoch"), int)
