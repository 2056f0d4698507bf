"""The recall task, its stored trainings, and what a stream computes and holds."""

from pathlib import Path

import pytest
import torch
from torch import nn

from asr.errors import ConfigError, DataError
from asr.probes import recall
from asr.probes.cost import FORWARD, STREAM, TRAINING, CostOptions, can_stream, measure_cost, stream_blocks
from asr.probes.members import allow_backward
from asr.probes.recall import SYMBOLS, RecallOptions, accuracy, make_sequences, measure_recall
from tests.models.family import make_model

TINY = RecallOptions(members=["gru"], distances=[3], seeds=[1, 2], steps=2, parameters=500)


def test_a_sequence_is_a_symbol_then_distraction_then_the_question() -> None:
    frames, symbols = make_sequences(50, 4, torch.Generator().manual_seed(1))
    ids = frames.argmax(dim=2)
    assert frames.shape == (50, 6, 2 * SYMBOLS + 1) and bool((frames.sum(dim=2) == 1).all())
    assert torch.equal(ids[:, 0], symbols) and bool((ids[:, 1:5] >= SYMBOLS).all())
    assert bool((ids[:, 5] == 2 * SYMBOLS).all()) and set(symbols.tolist()) == set(range(SYMBOLS))


def test_who_looks_at_the_first_frame_is_always_right_and_who_does_not_guesses() -> None:
    class First(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs[:, 0, :SYMBOLS]

    class Last(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs[:, -1, :SYMBOLS]

    assert accuracy(First(), 20, 1) == 1.0
    assert accuracy(Last(), 20, 1) == pytest.approx(1 / SYMBOLS, abs=0.06)  # 4 standard deviations of 512 guesses


def test_a_gru_learns_to_recall_over_a_short_distance() -> None:
    options = RecallOptions(steps=150, parameters=4000, learning_rate=1e-2)
    assert recall.train_recall("gru", 3, 1, options)["accuracy"] > 0.9


def test_a_stored_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "trainings.json"
    first = measure_recall(TINY, store)

    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(recall, "train_recall", refuse)
    assert measure_recall(TINY, store, commit="later") == first  # of the commit that trained
    longer = RecallOptions(members=["gru"], distances=[3], seeds=[1, 2], steps=3, parameters=500)
    with pytest.raises(AssertionError, match="trained again"):  # of another budget: not the same training
        measure_recall(longer, store)


def test_a_damaged_store_is_refused_and_not_changed(tmp_path: Path) -> None:
    store = tmp_path / "trainings.json"
    for damaged in ('{"gru 3 1', "[]", '{"gru": 1}', '{"gru": {"accuracy": 1.0}}'):
        store.write_text(damaged)
        with pytest.raises(DataError, match="damaged, so its trainings cannot be reused"):
            measure_recall(TINY, store)
        assert store.read_text() == damaged


def test_a_short_trial_does_not_undo_the_trainings_of_a_long_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def train(name: str, distance: int, seed: int, options: RecallOptions, commit: str) -> recall.Training:
        made.append(options.steps)
        return {"accuracy": 1.0, "loss": 0.0, "commit": commit}

    monkeypatch.setattr(recall, "train_recall", train)
    for steps in (1000, 10, 1000):
        measure_recall(
            RecallOptions(members=["gru"], distances=[3], seeds=[1], steps=steps), tmp_path / "trainings.json"
        )
    assert made == [1000, 10]


@pytest.mark.parametrize("form", ["rnn", "gru", "lstm"])
def test_a_stream_of_blocks_gives_what_the_whole_gives(form: str) -> None:
    encoder = make_model(form, residual=True, layer_norm=True).encoder
    inputs, outputs = torch.randn(2, 17, 16), list[torch.Tensor]()
    stream_blocks(encoder, [inputs[:, :5], inputs[:, 5:6], inputs[:, 6:]], outputs.append)
    with torch.inference_mode():
        whole = encoder(inputs, torch.tensor([17, 17]))
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, atol=1e-6, rtol=0)


def test_what_needs_the_whole_cannot_stream() -> None:
    assert can_stream(make_model("lstm").encoder)
    assert not any(can_stream(make_model(form).encoder) for form in ("bilstm", "transformer", "minlstm one way"))


def test_a_streams_memory_is_flat_while_the_wholes_grows() -> None:
    models = {"lstm": make_model("lstm"), "transformer": make_model("transformer")}
    rows = measure_cost(models, CostOptions(lengths_s=[4.0, 1.0], batches=[2], rounds=1))
    peak = {(row["model"], row["mode"], row["length_s"]): row["peak_mb"] for row in rows}
    assert peak["lstm", STREAM, 4.0] == pytest.approx(peak["lstm", STREAM, 1.0], rel=0.1)
    for mode in (FORWARD, TRAINING):
        assert peak["lstm", mode, 4.0] > 3 * peak["lstm", mode, 1.0]
        assert peak["transformer", mode, 4.0] > 3 * peak["transformer", mode, 1.0]
    assert ("transformer", STREAM, 1.0) not in peak and all(row["seconds"] > 0 for row in rows)


@pytest.mark.parametrize("form", ["gru", "bilstm", "transformer"])
def test_a_gradient_is_taken_with_recurrent_layers_in_training_mode_and_no_dropout(form: str) -> None:
    """cuDNN refuses anything else: "cudnn RNN backward can only be called in training mode"."""
    model = make_model(form, dropout=0.5)
    log_mel, lengths = torch.randn(2, 9, model.n_mels), torch.tensor([9, 9])
    before = model(log_mel, lengths)[0]
    with allow_backward(model):
        inside = model(log_mel, lengths)[0]
        training = {type(one) for one in model.modules() if one.training}
    assert training == {"gru": {nn.GRU}, "bilstm": {nn.LSTM}, "transformer": set()}[form]
    torch.testing.assert_close(inside, before, atol=1e-6, rtol=0)
    assert not any(one.training for one in model.modules())


def test_a_length_of_no_frame_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a length of 0\.001 s is less than one frame"):
        CostOptions(lengths_s=[1.0, 0.001])
