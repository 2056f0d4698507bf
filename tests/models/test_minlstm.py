"""minLSTM's parallel form equals its sequential one, and the paper's own, at any length."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from asr.models.variants import LinearScan, MinLstmDirection, scan


def sequential(keep: Tensor, fresh: Tensor) -> Tensor:
    hidden, outputs = torch.zeros_like(fresh[:, 0]), []
    for time in range(fresh.size(1)):
        hidden = keep[:, time] * hidden + fresh[:, time]
        outputs.append(hidden)
    return torch.stack(outputs, dim=1)


def log_space(keep: Tensor, fresh: Tensor) -> Tensor:
    """Feng et al. 2024, appendix B: cumulated log gates, from a state of zero."""
    total = keep.log().cumsum(1)
    return (total + (fresh.log() - total).logcumsumexp(1)).exp()


def random_scan(frames: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(frames)
    keep = torch.rand(3, frames, 5, generator=generator, dtype=dtype)
    return keep, torch.rand(3, frames, 5, generator=generator, dtype=dtype)


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 63, 64, 65, 513, 1500])
def test_the_scan_equals_one_frame_after_the_other(frames: int) -> None:
    keep, fresh = random_scan(frames)
    before = keep.clone(), fresh.clone()
    torch.testing.assert_close(scan(keep, fresh), sequential(keep, fresh), rtol=0, atol=1e-5)
    assert torch.equal(keep, before[0]) and torch.equal(fresh, before[1])


def test_the_scan_equals_the_papers_log_space_form() -> None:
    keep, fresh = random_scan(300, torch.float64)
    torch.testing.assert_close(scan(keep, fresh), log_space(keep, fresh), rtol=1e-10, atol=0)


def test_over_a_minute_log_space_in_float32_loses_what_the_scan_keeps() -> None:
    """Why the scan is not done in log space: 1,500 frames are a minute at 4-fold subsampling."""
    keep, fresh = random_scan(1500)
    exact = sequential(keep.double(), fresh.double())
    assert (scan(keep, fresh) - exact).abs().max() < 1e-6
    assert (log_space(keep, fresh) - exact).abs().max() > 1e-5


def test_a_shut_gate_cuts_off_the_past_exactly() -> None:
    keep, fresh = random_scan(20)
    keep[:, 11] = 0.0
    assert torch.equal(scan(keep, fresh)[:, 11], fresh[:, 11])


def linear_scan(keep: Tensor, fresh: Tensor) -> Tensor:
    hidden: Tensor = LinearScan.apply(keep, fresh)  # type: ignore[no-untyped-call]
    return hidden


@pytest.mark.parametrize("frames", [1, 9, 70])
def test_its_gradient_is_the_sequential_forms(frames: int) -> None:
    keep, fresh = (one.requires_grad_() for one in random_scan(frames, torch.float64))
    assert torch.autograd.gradcheck(linear_scan, (keep[:1, :9, :2], fresh[:1, :9, :2]))
    weights = torch.randn(3, frames, 5, dtype=torch.float64)
    ours = torch.autograd.grad((linear_scan(keep, fresh) * weights).sum(), (keep, fresh))
    theirs = torch.autograd.grad((sequential(keep, fresh) * weights).sum(), (keep, fresh))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_the_gates_are_the_papers() -> None:
    """f' = f / (f + i) and i' = i / (f + i) with σ gates; the candidate x + 0.5 for x >= 0, else σ(x)."""
    torch.manual_seed(0)
    direction = MinLstmDirection(6, 4, forget_bias=1.0).double()
    inputs = torch.randn(2, 5, 6, dtype=torch.float64) * 3
    f, i, candidate = F.linear(inputs, direction.linear.weight, direction.linear.bias).chunk(3, dim=2)
    f, i = f.sigmoid(), i.sigmoid()
    positive = torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())
    keep, fresh = direction.gates(inputs)
    torch.testing.assert_close(keep, f / (f + i), rtol=0, atol=1e-12)
    torch.testing.assert_close(fresh, i / (f + i) * positive, rtol=0, atol=1e-12)
    assert direction.linear.bias.view(3, 4).tolist() == [[1.0] * 4, [0.0] * 4, [0.0] * 4]


def test_gates_far_from_zero_stay_finite() -> None:
    direction = MinLstmDirection(1, 1, forget_bias=0.0)
    with torch.no_grad():
        direction.linear.weight.copy_(torch.tensor([[-1.0], [-1.0], [0.0]]))
    inputs = torch.tensor([[[500.0], [-500.0]]], requires_grad=True)
    outputs = direction(inputs)
    outputs.sum().backward()
    assert torch.isfinite(outputs).all() and inputs.grad is not None and torch.isfinite(inputs.grad).all()
