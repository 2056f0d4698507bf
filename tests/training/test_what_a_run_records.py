"""What a run records for its page: errors of each dev utterance, padding, and seconds waited for data."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import jiwer
import pytest
import torch

from asr.ctc import best_path
from asr.data.batching import Request
from asr.data.dataset import load_batches
from asr.data.manifest import read_manifest
from asr.files import read_json_lines
from asr.scoring.counts import count_word_errors
from asr.training.distributed import Processes
from asr.training.evaluate import LONGEST_TEXT, WORST, UtteranceErrors
from asr.training.run_dir import RunDir
from asr.training.start import train
from asr.training.step import EpochSteps
from tests.tiny_run import Quiet, settings, timeless_metrics

ALONE = Processes(0, 1, torch.device("cpu"))


def test_word_errors_of_each_dev_utterance_are_recorded_every_epoch_and_add_up_to_the_wer(
    tones: Path, tmp_path: Path
) -> None:
    watcher = Quiet()
    train(settings(tones), tmp_path, watcher)
    names, *epochs = read_json_lines(tmp_path / "dev_utterances.jsonl")
    dev = read_manifest(tones / "dev.jsonl")
    assert names["ids"] == [one.id for one in dev] and names["words"] == [len(one.text.split()) for one in dev]
    assert [one["epoch"] for one in epochs] == [1, 2, 3]
    for line, record in zip(epochs, watcher.epochs, strict=True):
        assert sum(line["errors"]) / sum(names["words"]) == pytest.approx(record.dev_wer)
        for worst in line["worst"]:
            words = jiwer.process_words(worst["reference"], worst["hypothesis"])
            assert worst["errors"] == words.substitutions + words.deletions + words.insertions
            assert worst["errors"] == line["errors"][worst["index"]] > 0


def test_the_worst_are_kept_with_their_texts_and_no_more_than_a_few() -> None:
    texts = ["a b c"] * 50
    errors = UtteranceErrors(len(texts))
    for index, text in enumerate(texts):
        hypothesis = text if index % 2 else "x" * (LONGEST_TEXT + 5) if index < 4 else "a b \U0001f600"
        errors.add(index, count_word_errors(text, hypothesis), hypothesis)
    found = errors.gather(ALONE)
    assert found.errors[:6] == [3, 0, 3, 0, 1, 0]
    assert list(found.hypotheses)[:3] == [0, 2, 4] and len(found.hypotheses) == WORST
    assert found.hypotheses[0] == "x" * LONGEST_TEXT and found.hypotheses[4] == "a b \U0001f600"


def test_padding_is_that_of_each_process_own_share() -> None:
    data: Any = type("Data", (), {"utterances": read_of([4.0, 2.0, 3.0, 1.0])})
    batch = [Request(index, 0, 1.0) for index in range(4)]
    for count, expected in ((1, 1 - 10 / 16), (2, 1 - 10 / (2 * 4 + 2 * 2)), (8, 0.0)):
        processes = Processes(0, count, torch.device("cpu"))
        found = EpochSteps(data, settings(Path()), processes).padding([batch])
        assert found == pytest.approx(expected)  # of 2: 4 and 3 s beside each other, 2 and 1 s


def read_of(durations_s: list[float]) -> list[Any]:
    return [type("One", (), {"duration_s": value}) for value in durations_s]


def test_waiting_for_data_is_counted_separately(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def slow(*arguments: Any) -> Any:
        for batch in load_batches(*arguments):
            clock[0] += 2.0  # each batch takes two seconds of this clock, and nothing else takes any
            yield batch

    monkeypatch.setattr("asr.training.step.load_batches", slow)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watcher = Quiet()
    train(settings(tones, training__epochs=1, training__dry_run=False), tmp_path, watcher)
    assert [one.data_seconds for one in watcher.steps] == [2.0 * (n + 1) for n in range(len(watcher.steps))]
    assert all(one.seconds == one.data_seconds for one in watcher.steps)
    assert watcher.epochs[0].data_seconds == 2.0 * len(watcher.steps)


def test_records_that_a_checkpoint_does_not_know_are_forgotten_and_the_names_stay(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    lines = [
        {"kind": "utterances", "step": 0, "ids": ["a"], "words": [1]},
        *({"kind": "epoch", "step": 5 * n, "epoch": n, "errors": [1], "worst": []} for n in (1, 2)),
    ]
    run.dev_utterances.write_text("".join(json.dumps(one) + "\n" for one in lines) + '{"kind": "ep')
    run.forget_metrics_after(9, 1)
    assert read_json_lines(run.dev_utterances) == lines[:2]
    run.forget_metrics_after(0, 0)
    assert read_json_lines(run.dev_utterances) == lines[:1]


def test_a_skipped_dev_pass_writes_no_line(tones: Path, tmp_path: Path) -> None:
    train(settings(tones, training__evaluate_from_epoch=3), tmp_path, Quiet())
    assert [one.get("epoch") for one in read_json_lines(tmp_path / "dev_utterances.jsonl")] == [None, 3]
    assert "dev_seconds" not in read_json_lines(tmp_path / "metrics.jsonl")[0]


def test_the_dev_pass_uses_all_cores_and_its_figures_keep_every_bit(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, threads = settings(tones, training__epochs=1, data__batching__max_utterances=1), set()
    honest, together = best_path, threading.Barrier(1)

    def seen(log_probs: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
        threads.add(threading.get_ident())
        together.wait(60)  # until the other threads have got their batch
        return honest(log_probs, lengths)

    monkeypatch.setattr("asr.training.evaluate.best_path", seen)
    before = torch.get_num_threads()
    for cores in (1, 3):
        monkeypatch.setattr("asr.training.evaluate.usable_cores", lambda cores=cores: cores)
        threads.clear()
        together = threading.Barrier(cores)
        train(chosen, tmp_path / str(cores), Quiet())
        assert len(threads) == cores  # one batch of each of 3 utterances
    torch.set_num_threads(before)
    lines = [timeless_metrics(tmp_path / str(cores)) for cores in (1, 3)]
    assert lines[0] == lines[1] and lines[0][-1]["dev_loss"] > 0
    texts = [(tmp_path / str(cores) / "dev_utterances.jsonl").read_text() for cores in (1, 3)]
    assert texts[0] == texts[1]
