"""A model with a gate fixed or its context cut: the change takes effect, and all else stays equal."""

import pytest
import torch

from asr.errors import UsageError
from asr.models import LstmCell
from asr.probes.changed_models import InPieces, ReadableDirection, error_row, with_fixed_gates
from asr.scoring.counts import ErrorCounts
from tests.models.family import make_batch, make_model


@pytest.mark.parametrize("form", ["bilstm", "lstm", "lstm both ways, projected"])
def test_the_readable_cell_with_nothing_fixed_computes_what_the_fast_path_computes(form: str) -> None:
    model, (log_mel, lengths) = make_model(form), make_batch(6)
    with torch.inference_mode():
        fast, readable = model(log_mel, lengths)[0], with_fixed_gates(model, {})(log_mel, lengths)[0]
    torch.testing.assert_close(readable, fast, atol=1e-5, rtol=0)


def test_a_gate_is_fixed_in_every_layer_and_direction_and_the_model_itself_is_unchanged() -> None:
    model, (log_mel, lengths) = make_model("bilstm"), make_batch(6)
    with torch.inference_mode():
        before = model(log_mel, lengths)[0]
        changed = with_fixed_gates(model, {"forget_gate": 0.0})
        assert not torch.allclose(changed(log_mel, lengths)[0], before, atol=1e-3)
        assert torch.equal(model(log_mel, lengths)[0], before)
    fixed = [one for one in changed.modules() if isinstance(one, ReadableDirection)]
    assert len(fixed) == 4 and all(one.cell.fixed == {"forget_gate": 0.0} for one in fixed)


def test_a_forget_gate_at_0_leaves_what_one_frame_writes_and_the_output_carries() -> None:
    lstm = torch.nn.LSTM(3, 4, batch_first=True)
    with torch.no_grad():
        lstm.get_parameter("weight_hh_l0").zero_()  # the output carries nothing: each frame is then on its own
    inputs = torch.randn(2, 5, 3)
    hidden = LstmCell(lstm, {"forget_gate": 0.0})(inputs).hidden
    alone = lstm(inputs.reshape(10, 1, 3))[0].reshape(2, 5, 4)
    torch.testing.assert_close(hidden, alone)


def test_a_model_without_lstm_layers_has_no_gates_to_fix() -> None:
    with pytest.raises(UsageError, match="'gru': it has no LSTM layer"):
        with_fixed_gates(make_model("gru"), {})


def test_pieces_as_long_as_the_longest_recording_change_nothing() -> None:
    model, (log_mel, lengths) = make_model("bilstm"), make_batch()
    with torch.inference_mode():
        whole, counts = model(log_mel, lengths)
        pieces, same = InPieces(model, log_mel.size(1))(log_mel, lengths)
    assert torch.equal(counts, same)
    for row, other, count in zip(whole, pieces, counts.tolist(), strict=True):
        torch.testing.assert_close(other[:count], row[:count], atol=1e-5, rtol=0)


def test_each_piece_is_computed_as_if_it_were_a_recording_of_its_own() -> None:
    model = make_model("bilstm")
    log_mel = torch.randn(2, 23, model.n_mels)
    lengths = torch.tensor([23, 9])
    with torch.inference_mode():
        joined, counts = InPieces(model, 10)(log_mel, lengths)
        cuts = [(0, 0, 10), (0, 10, 20), (0, 20, 23), (1, 0, 9)]
        alone = [model(log_mel[row, a:b][None], torch.tensor([b - a]))[0][0] for row, a, b in cuts]
    assert counts.tolist() == [12, 5]
    torch.testing.assert_close(joined[0], torch.cat(alone[:3]), atol=1e-5, rtol=0)
    torch.testing.assert_close(joined[1, :5], alone[3], atol=1e-5, rtol=0)


def test_pieces_that_do_not_fit_the_subsampling_are_refused() -> None:
    with pytest.raises(UsageError, match="pieces of 7 frames"):
        InPieces(make_model("lstm"), 7)


def test_the_error_rate_is_that_of_all_words_and_has_an_interval() -> None:
    counts = [ErrorCounts(hits=1)] * 30 + [ErrorCounts(substitutions=1)] * 10
    row = error_row([counts])
    low, high = row["low"] or 0.0, row["high"] or 0.0
    assert row["wer"] == 25 and low < 25 < high
    # the binomial's own spread: 25 ± 1.96 * sqrt(0.25 * 0.75 / 40) is 11.6 to 38.4
    assert low == pytest.approx(11.6, abs=2.5) and high == pytest.approx(38.4, abs=2.5)


def test_trainings_with_equal_results_narrow_no_interval_over_utterances() -> None:
    counts = [ErrorCounts(hits=1)] * 30 + [ErrorCounts(substitutions=1)] * 10
    one, three = error_row([counts]), error_row([counts] * 3)
    assert (three["wer"], three["low"], three["high"]) == (one["wer"], one["low"], one["high"])
    assert three["substitutions"] == 30 and three["words"] == 120 and three["utterances"] == 40
    assert one["seed_low"] is None and three["seed_low"] == three["seed_high"] == 25


def test_the_interval_over_trainings_is_students() -> None:
    rates = (24, 27, 30)  # mean 27, standard deviation 3, t with 2 degrees of freedom 4.3027: 27 +- 7.452
    counts = [[ErrorCounts(substitutions=errors, hits=100 - errors)] * 2 for errors in rates]
    row = error_row(counts)
    assert row["wers"] == [24, 27, 30] and row["wer"] == 27
    assert row["seed_low"] == pytest.approx(19.548, abs=1e-3) and row["seed_high"] == pytest.approx(34.452, abs=1e-3)
