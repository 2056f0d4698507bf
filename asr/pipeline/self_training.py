"""Training on untranscribed recordings, in rounds of pseudo-labels: the stage ``self-train`` of `asr run`.

In: a trained run, and recordings without texts. Out: in the run folder's ``self-training/``: untranscribed.jsonl and
left-out.jsonl; for each round ``round-N/`` with pseudo.jsonl (every text with its confidence, and whether it was kept),
the training's own files and its model; rounds.json. The best model on dev becomes the run's ``model/``; the one before
the rounds is in ``round-0/model``.

A round: the model of the round before writes texts (asr/pipeline/pseudo_labels.py); its weights are trained on with
these and the transcripts together, augmented as in the run (iterative pseudo-labelling, Xu et al., arXiv 2005.09267;
for field languages Bartelds et al., 2305.10951). Transcripts are repeated where they would be less than a third of the
sound. A round whose model is no better on dev is refused, and is the last.

Safe to interrupt: labels are kept as they are made, a training resumes from its checkpoint, a round that is done is not
done again unless what it was made from has changed.
"""

import contextlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asr.data.known_sound import KnownSound
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.errors import DataError
from asr.files import read_json_lines, read_json_object, write_json, write_text
from asr.pipeline.pseudo_labels import choose_decoding, make_labels, reasons_against
from asr.pipeline.training import train_composed
from asr.pipeline.untranscribed import TRAIN, cut_long, find_untranscribed
from asr.schema import to_plain
from asr.shipped import weights_sha256
from asr.terminal import format_duration
from asr.text.normalize import get_normalizer

if TYPE_CHECKING:
    from asr.config.typed import RunConfig
    from asr.recognition import Recognizer
    from asr.training.config import TrainSettings
    from asr.training.records import Observer

FOLDER, ROUNDS = "self-training", "rounds.json"
SHARE_OF_SOUND = 0.5  # of what the training before heard, in a round
LEAST_EPOCHS = 4
TRANSCRIBED = 0.5  # seconds of transcripts a second of pseudo-labels, at least
MOST_COPIES = 10
RATE_FACTOR = 0.5  # of the learning rate: the weights are trained already


class RoundsObserver(Protocol):
    """What the stage tells; part of the observer of a run."""

    def message(self, text: str) -> None:
        """A line for the user."""

    def training(self) -> "AbstractContextManager[Observer]":
        """The observer of a training."""

    def transcribing(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """A callback for utterances done and their total."""


def base_model(run_dir: Path) -> Path:
    """The model that the run's own training made: ``model``, unless the rounds have put theirs there."""
    earlier = run_dir / FOLDER / "round-0" / "model"
    published = read_json_object(run_dir / FOLDER / ROUNDS).get("model_sha256")
    replaced = published is not None and published == weights_sha256(run_dir / "model")
    return earlier if replaced and (earlier / "config.json").is_file() else run_dir / "model"


def self_train(config: "RunConfig", command: Sequence[str], made_from: str, observer: RoundsObserver) -> None:
    """Run the rounds that are missing. ``made_from``: the digest of all that they depend on, but for their number.

    Raises DataError where nothing of the recordings can be used.
    """
    from asr.training.run_dir import RunDir

    with RunDir(config.run_dir):
        rounds = _Rounds(config, command, observer)
        rounds.begin(made_from)
        while rounds.are_missing():
            rounds.next()
        rounds.publish()


class _Rounds:
    def __init__(self, config: "RunConfig", command: Sequence[str], observer: RoundsObserver) -> None:
        from asr.config.typed import read_config

        self.config, self.command, self.observer = config, command, observer
        self.options, self.run_dir, self.data = config.self_training, config.run_dir, Path(config.train.data.dir)
        self.folder = config.run_dir / FOLDER
        self.settings = read_config(config.run_dir / "config.yaml").train  # with what the training started from
        self.train, self.dev = (read_manifest(self.data / f"{name}.jsonl") for name in (TRAIN, "dev"))
        self.done: list[dict[str, Any]] = []

    def begin(self, made_from: str) -> None:
        """Take up earlier rounds where they were made from the same, else begin anew; find what to transcribe."""
        base, kept = base_model(self.run_dir), self.folder / "round-0" / "model"
        stored = read_json_object(self.folder / ROUNDS)
        if stored.get("made_from") != made_from:
            if stored:
                self.observer.message(f"{self.folder}: what its rounds were made from has changed; they begin anew")
            if base != kept:
                _copy_model(base, kept)
            published = stored.get("model_sha256") if base == kept else None
            stored = {"rounds": [{"round": 0, **_figures(kept), "accepted": True}], "model_sha256": published}
            write_json(self.folder / ROUNDS, stored)  # no rounds, made from nothing: a kill leaves no half of the old
            self._forget_rounds()
            stored["made_from"] = made_from
            write_json(self.folder / ROUNDS, stored)
        self.done = stored["rounds"]
        self.utterances = self._untranscribed()

    def _forget_rounds(self) -> None:
        for one in self.folder.glob("round-[1-9]*"):
            shutil.rmtree(one)
        for name in ("untranscribed.jsonl", "left-out.jsonl", "decoding.json"):
            (self.folder / name).unlink(missing_ok=True)

    def _untranscribed(self) -> Sequence[Utterance]:
        path = self.folder / "untranscribed.jsonl"
        if path.exists():
            return read_manifest(path)
        tests = {one.stem: read_manifest(one) for one in sorted(self.data.glob("test*.jsonl"))}
        known = KnownSound({TRAIN: self.train, "dev": self.dev, **tests})
        found, left_out = find_untranscribed(Path(str(self.config.untranscribed)), known)
        with self.observer.transcribing() as on_progress:
            cut, more = cut_long(self._recognizer({"name": "greedy"}), found, known, on_progress)
        left_out += more
        write_text(
            self.folder / "left-out.jsonl",
            "".join(f"{json.dumps(asdict(one), ensure_ascii=False)}\n" for one in left_out),
        )
        if not cut:
            raise DataError(
                f"untranscribed={self.config.untranscribed}: no speech is recognised in it that is not transcribed"
                f" already (see {self.folder / 'left-out.jsonl'})"
            )
        write_manifest(path, cut)
        return cut

    def _recognizer(self, decoding: dict[str, Any]) -> "Recognizer":
        from asr.recognition import Recognizer

        device = self.settings.training.device
        return Recognizer.from_pretrained(self._model, device=device, calibrated=False, decoding=decoding)

    @property
    def _model(self) -> Path:
        """The best so far."""
        number = max(one["round"] for one in self.done if one["accepted"])
        return self.folder / f"round-{number}" / "model"

    def are_missing(self) -> bool:
        """Whether a further round is to be run."""
        return self.done[-1]["accepted"] and len(self.done) <= self.options.rounds

    def next(self) -> None:
        """One round: labels, training, and the decision."""
        number = len(self.done)
        folder = self.folder / f"round-{number}"
        facts = self._label(folder)
        if facts["kept_utterances"]:
            settings = self._settings(folder, facts)
            values = {**to_plain(settings), "run_dir": str(folder)}
            with self.observer.training() as training:
                train_composed(values, self.command, training)
            facts |= _figures(folder / "model")
        before = self.done[-1]
        facts["accepted"] = bool(facts["kept_utterances"]) and self._key(facts) < self._key(before)
        self.done.append({"round": number, **facts})
        stored = read_json_object(self.folder / ROUNDS)
        write_json(self.folder / ROUNDS, {**stored, "rounds": self.done})
        self.observer.message(_verdict(self.done[-1], before))

    def _label(self, folder: Path) -> dict[str, Any]:
        """Write pseudo.jsonl and the manifests of the round; its figures."""
        path = folder / "pseudo.jsonl"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_manifest(path, self._labelled(folder))
        labelled = read_manifest(path)
        kept = [one for one in labelled if not one.extra["left_out"]]
        kept_s, whole_s = (sum(one.duration_s for one in part) for part in (kept, labelled))
        transcribed_s = sum(one.duration_s for one in self.train)
        copies = min(MOST_COPIES, max(1, math.ceil(TRANSCRIBED * kept_s / transcribed_s)))
        train = [
            replace(one, id=f"{one.id}{f' copy {n}' * (n > 1)}") for n in range(1, copies + 1) for one in self.train
        ]
        if kept:
            write_manifest(folder / "data" / "train.jsonl", [*train, *kept])
            write_manifest(folder / "data" / "dev.jsonl", self.dev)
        words = [(one.extra["confidence"], len(one.text.split())) for one in kept]
        expected = sum(float(sure or 0) * count for sure, count in words) / max(1, sum(count for _, count in words))
        return {
            "utterances": len(labelled),
            "hours": round(whole_s / 3600, 4),
            "kept_utterances": len(kept),
            "kept_hours": round(kept_s / 3600, 4),
            "expected_right_words": round(expected, 4),
            "left_out": dict(Counter(str(one.extra["left_out"]) for one in labelled if one.extra["left_out"])),
            "copies_of_transcripts": copies,
            "round_hours": round((kept_s + copies * transcribed_s) / 3600, 4),
        }

    def _labelled(self, folder: Path) -> list[Utterance]:
        from asr.recognition.reliability import calibrate

        decoding = choose_decoding(self._model, self.config, self.dev, self.folder)
        recognizer = self._recognizer(decoding)
        normalizer = get_normalizer(self.config.scoring.normalizer)
        with contextlib.suppress(DataError):  # no word of dev is recognised
            fitted = calibrate(recognizer, self.dev, normalizer, manifest=self.data / "dev.jsonl")
            recognizer.calibration = fitted.calibration
        with self.observer.transcribing() as on_progress:
            labels = make_labels(recognizer, self.utterances, folder / "labels.jsonl", on_progress)
        reasons = reasons_against(labels, {one.id: one.duration_s for one in self.utterances}, self.options)
        taken = {one.id for one in (*self.train, *self.dev)}
        return [
            replace(
                one,
                id=f"untranscribed {one.id}" if one.id in taken else one.id,
                text=label.text,
                extra={
                    **one.extra,
                    "confidence": label.confidence,
                    "agreement": label.agreement,
                    "left_out": reasons[one.id] or None,
                },
            )
            for one, label in zip(self.utterances, labels, strict=True)
        ]

    def _settings(self, folder: Path, facts: dict[str, Any]) -> "TrainSettings":
        heard_s = max((one["audio_s"] for one in read_json_lines(self.run_dir / "metrics.jsonl")), default=0.0)
        epochs = round(SHARE_OF_SOUND * heard_s / (3600 * facts["round_hours"]))
        epochs = self.options.epochs or max(LEAST_EPOCHS, epochs)
        return continued(self.settings, self._model, folder / "data", epochs, self.folder)

    def _key(self, figures: dict[str, Any]) -> tuple[float, ...]:
        from asr.training.checkpoint import selection_key

        wer, cer, loss = (figures[name] for name in ("dev_wer", "dev_cer", "dev_loss"))
        return selection_key(wer, cer, loss, self.settings.training.select_by)

    def publish(self) -> None:
        """Make the best model the run's."""
        best = self._model
        stored = read_json_object(self.folder / ROUNDS)
        write_json(self.folder / ROUNDS, {**stored, "model_sha256": weights_sha256(best)})
        if weights_sha256(self.run_dir / "model") != weights_sha256(best):
            _copy_model(best, self.run_dir / "model")


def continued(settings: "TrainSettings", model: Path, data: Path, epochs: int, cache: Path) -> "TrainSettings":
    """``settings`` for training on from ``model`` on other data: fewer epochs, a lower learning rate, no slow start."""
    training = replace(
        settings.training,
        init_from=str(model),
        epochs=epochs,
        least_steps=None,
        evaluate_from_epoch=1,
        freeze_epochs=0.0,
        flat_start_epochs=0.0,
    )
    return replace(
        settings,
        data=replace(
            settings.data,
            dir=str(data),
            cache_dir=str(cache),
            unspellable="drop",
            batching=replace(settings.data.batching, short_first=False),
        ),
        optimizer=replace(settings.optimizer, learning_rate=RATE_FACTOR * settings.optimizer.learning_rate),
        training=training,
    )


def _copy_model(source: Path, directory: Path) -> None:
    from asr.pretrained import copy_of_model

    with copy_of_model(source, directory):
        pass


def _figures(model: Path) -> dict[str, Any]:
    """The dev figures of a model directory, as its training wrote them; and which weights they are of."""
    facts = read_json_object(model / "config.json").get("facts", {})
    return {name: facts.get(name) for name in ("dev_wer", "dev_cer", "dev_loss")} | {"sha256": weights_sha256(model)}


def _verdict(found: dict[str, Any], before: dict[str, Any]) -> str:
    name = f"round {found['round']}"
    if not found["kept_utterances"]:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in found["left_out"].items())
        return f"{name}: no text is sure enough to train on ({reasons}); the model stays"
    kept, whole = (format_duration(3600 * found[key]) for key in ("kept_hours", "hours"))
    wer, cer = (f"{before[key]:.2%} -> {found[key]:.2%}" for key in ("dev_wer", "dev_cer"))
    outcome = "accepted" if found["accepted"] else "refused: dev is no better, so the earlier model stays"
    return (
        f"{name}: {kept} of {whole} kept, {found['expected_right_words']:.0%} of the words expected to be right;"
        f" dev WER {wer}, CER {cer}; {outcome}"
    )


def rounds_table(run_dir: Path) -> list[str]:
    """The rounds as lines of Markdown for the run's report; none where there are none."""
    rounds = read_json_object(run_dir / FOLDER / ROUNDS).get("rounds", [])
    if len(rounds) < 2:
        return []
    lines = [
        "## Untranscribed recordings",
        "",
        "| round | sound kept | of | expected right words | dev WER % | dev CER % | |",
        "|---:|---:|---:|---:|---:|---:|---|",
    ]
    for one in rounds:
        rates = ["–" if one.get(name) is None else f"{100 * one[name]:.2f}" for name in ("dev_wer", "dev_cer")]
        cells = ["–", "–", "–"]
        if one["round"]:
            cells = [format_duration(3600 * one[key]) for key in ("kept_hours", "hours")]
            cells.append(f"{one['expected_right_words']:.0%}")
        outcome = ("accepted" if one["accepted"] else "refused") if one["round"] else "before"
        lines.append(f"| {' | '.join([str(one['round']), *cells, *rates, outcome])} |")
    page = f"{FOLDER}/round-N/pseudo.jsonl"
    return [*lines, "", f"Every text with its confidence, and why it was left out, is in `{page}`.", ""]
