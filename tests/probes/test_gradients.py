"""Gradients against distance: recurrences whose gradients are known in closed form, and the law of one direction."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from asr.probes.gradients import GradientOptions, backward_sizes, frame_gradients, measure_gradients, reach, relative
from asr.probes.members import MEMBERS, fit_hidden_size, make_encoder
from asr.probes.record import geometric_interval, mean_interval
from tests.models.family import N_MELS, make_model

SIZE, FRAMES = 6, 12


def sizes_at_rest(name: str, change: Callable[[Any], None]) -> list[float]:
    """The relative sizes of member ``name`` with all weights zero but what ``change(cell)`` sets, on inputs of zero."""
    encoder = make_encoder(name, SIZE, SIZE)
    (cell,) = [one for one in encoder.modules() if isinstance(one, torch.nn.RNNBase)]
    with torch.no_grad():
        for weight in cell.parameters():
            weight.zero_()
        change(cell)
    inputs = torch.zeros(3, FRAMES, SIZE, dtype=torch.float64)
    return relative(backward_sizes(encoder.double(), inputs, torch.Generator().manual_seed(1)))


def test_a_plain_network_at_rest_multiplies_the_gradient_by_its_recurrent_factor_each_step_back() -> None:
    def change(cell: Any) -> None:
        # h = tanh(x + 0.7 Q h) with Q orthogonal: at h = 0 the Jacobian k steps back is (0.7 Q)^k, of size 0.7^k
        cell.weight_ih_l0.copy_(torch.eye(SIZE))
        cell.weight_hh_l0.copy_(0.7 * torch.linalg.qr(torch.randn(SIZE, SIZE))[0])

    assert sizes_at_rest("rnn", change) == pytest.approx([0.7**k for k in range(FRAMES)], rel=1e-6)


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.0])
def test_along_the_cell_state_the_gradient_is_the_product_of_the_forget_gates(bias: float) -> None:
    def change(cell: Any) -> None:
        # only the candidate sees the input and no gate sees the output: c = σ(bias) c + tanh(x) / 2
        cell.weight_ih_l0[2 * SIZE : 3 * SIZE].copy_(torch.eye(SIZE))
        cell.bias_ih_l0[SIZE : 2 * SIZE] = bias

    forget = 1 / (1 + math.exp(-bias))
    assert sizes_at_rest("lstm-0", change) == pytest.approx([forget**k for k in range(FRAMES)], rel=1e-6)


def test_the_reach_ends_before_the_first_distance_that_is_too_small() -> None:
    assert reach([1.0, 0.5, 0.2, 0.05, 0.2], 0.1) == 2
    assert reach([1.0, 0.9], 0.1) == 1


def test_the_interval_of_a_mean_is_students() -> None:
    found = mean_interval([1.0, 2.0, 3.0])  # standard deviation 1, t(0.975; 2) = 4.302653
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert mean_interval([5.0]).low is None
    assert geometric_interval([1.0, 100.0]).mean == pytest.approx(10)


def test_every_seed_is_a_network_of_its_own_and_repeats() -> None:
    options = GradientOptions(members=["gru"], seeds=[1, 2], hidden_size=8, distance=5)
    first, again = measure_gradients(options), measure_gradients(options)
    assert first == again
    (row,) = first["rows"]
    assert row["size"][0] == 1 and row["low"][3] < row["size"][3] < row["high"][3]


def test_in_one_direction_no_gradient_comes_from_what_follows_the_frame() -> None:
    log_mel, frames = torch.randn(1, 40, N_MELS), torch.tensor([40])
    one_way, both_ways = (
        frame_gradients(make_model(form), log_mel, frames, 4, torch.Generator().manual_seed(2))
        for form in ("lstm", "bilstm")
    )
    assert one_way[0] == both_ways[0] == 1
    assert all(one_way[-k] == 0 and one_way[k] > 0 and both_ways[-k] > 0 for k in range(1, 5))


def test_a_model_that_is_all_but_certain_has_the_same_relative_gradients() -> None:
    """Its gradients are tiny, their squares below what float32 holds: 1e-25 squared is 1e-50."""
    log_mel, frames = torch.randn(1, 40, N_MELS), torch.tensor([40])
    found = []
    for scale in (1e-5, 1e-25):
        model = make_model("bilstm")
        with torch.no_grad():
            model.head.weight.mul_(scale)
        found.append(frame_gradients(model, log_mel, frames, 4, torch.Generator().manual_seed(2)))
    assert found[1] == pytest.approx(found[0], rel=1e-3) and found[1][4] > 0


@pytest.mark.parametrize("name", MEMBERS)
def test_members_of_a_budget_have_about_as_many_weights(name: str) -> None:
    encoder = make_encoder(name, 17, fit_hidden_size(name, 17, 20_000))
    assert sum(weight.numel() for weight in encoder.parameters()) == pytest.approx(20_000, rel=0.08)
