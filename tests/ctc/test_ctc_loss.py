"""Laws 4 and 6: the CTC loss is the sum over all paths, and nothing it cannot spell ever reaches it."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from asr.ctc import best_path, collapse, frames_needed
from asr.ctc.loss import check_targets, consistency_loss, ctc_loss, penalise_blank
from asr.errors import TrainingError

FRAMES, VOCAB = 5, 4


def random_log_probs(batch: int, frames: int, vocab: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, vocab, generator=generator, dtype=torch.float64).log_softmax(2)


def spelled_by(path: Sequence[int]) -> tuple[int, ...]:
    """Graves et al. 2006, written anew: first drop repeats, then blanks (0)."""
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def brute_force(log_probs: torch.Tensor, target: Sequence[int]) -> float:
    """Minus the log of the summed probability of every path of ``(frames, vocab)`` that spells ``target``."""
    rows = log_probs.tolist()
    paths = itertools.product(range(log_probs.size(1)), repeat=log_probs.size(0))
    scores = [
        math.exp(sum(row[token] for row, token in zip(rows, path, strict=True)))
        for path in paths
        if spelled_by(path) == tuple(target)
    ]
    return -math.log(math.fsum(scores))


def is_spellable(target: Sequence[int], frames: int) -> bool:
    return any(spelled_by(path) == tuple(target) for path in itertools.product(range(VOCAB), repeat=frames))


TARGETS = [(), (1,), (3,), (1, 2), (1, 1), (2, 2, 2), (1, 1, 2), (1, 2, 1), (3, 2, 1), (1, 2, 3, 1, 2)]


@pytest.mark.parametrize("target", TARGETS)
def test_the_loss_is_the_sum_over_all_paths(target: tuple[int, ...]) -> None:
    log_probs = random_log_probs(1, FRAMES, VOCAB, seed=len(target))
    loss = ctc_loss(log_probs, torch.tensor([FRAMES]), [target])
    assert loss.item() == pytest.approx(brute_force(log_probs[0], target), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    targets=st.lists(st.lists(st.integers(1, VOCAB - 1), max_size=3), min_size=1, max_size=3),
    seed=st.integers(0, 999),
    data=st.data(),
)
def test_a_padded_batch_is_the_sum_over_all_paths_of_each(
    targets: list[list[int]], seed: int, data: st.DataObject
) -> None:
    lengths = [data.draw(st.integers(max(1, frames_needed(target)), 5)) for target in targets]
    log_probs = random_log_probs(len(targets), 5, VOCAB, seed)
    losses = ctc_loss(log_probs, torch.tensor(lengths), targets)
    expected = [
        brute_force(row[:length], target) for row, length, target in zip(log_probs, lengths, targets, strict=True)
    ]
    assert losses.tolist() == pytest.approx(expected, abs=1e-9)


def test_the_gradient_is_that_of_finite_differences_and_0_in_padding() -> None:
    generator = torch.Generator().manual_seed(8)
    logits = torch.randn(2, FRAMES, VOCAB, generator=generator, dtype=torch.float64).requires_grad_()
    lengths, targets = torch.tensor([FRAMES, 3]), [[1, 1], [2, 3]]

    def total(values: torch.Tensor) -> torch.Tensor:
        return ctc_loss(values.log_softmax(2), lengths, targets).sum()

    (gradient,) = torch.autograd.grad(total(logits), logits)
    assert not gradient[1, 3:].any()
    step = 1e-6
    for place in itertools.product(range(2), range(FRAMES), range(VOCAB)):
        moved = torch.zeros_like(logits)
        moved[place] = step
        slope = (total(logits.detach() + moved) - total(logits.detach() - moved)) / (2 * step)
        assert gradient[place].item() == pytest.approx(slope.item(), abs=1e-7)


@pytest.mark.parametrize(("label", "why"), [(0, "the blank"), (-1, "outside"), (VOCAB, "outside"), (10**7, "outside")])
def test_a_label_outside_the_vocabulary_never_reaches_torch(
    label: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch reads out of bounds for it: a finite wrong loss, or a dead process (pytorch#193794)."""
    monkeypatch.setattr(torch.nn.functional, "ctc_loss", lambda *_, **__: pytest.fail("torch was called"))
    with pytest.raises(TrainingError, match=f"target 1 has label {label}, {why}"):
        ctc_loss(random_log_probs(2, FRAMES, VOCAB, 0), torch.tensor([FRAMES, FRAMES]), [[1], [2, label]])


def test_the_largest_and_smallest_labels_are_good() -> None:
    check_targets([[1, VOCAB - 1]], [FRAMES], VOCAB)


@settings(max_examples=60, deadline=None)
@given(target=st.lists(st.integers(1, VOCAB - 1), min_size=1, max_size=4), frames=st.integers(1, 5))
def test_frames_needed_is_the_least_number_that_spells(target: list[int], frames: int) -> None:
    assert (frames >= frames_needed(target)) == is_spellable(target, frames)


@pytest.mark.parametrize(("target", "needed"), [([], 0), ([1], 1), ([1, 2], 2), ([1, 1], 3), ([1, 1, 1, 2, 2], 8)])
def test_frames_needed_by_hand(target: list[int], needed: int) -> None:
    assert frames_needed(target) == needed


@pytest.mark.parametrize("target", [[1, 2, 3], [1, 1], []])
def test_an_unspellable_target_is_refused_by_its_place(target: list[int]) -> None:
    needed = max(1, frames_needed(target))
    check_targets([[1], target], [FRAMES, needed], VOCAB)
    with pytest.raises(TrainingError, match=f"target 1 needs {needed} frames .* has {needed - 1}"):
        ctc_loss(random_log_probs(2, FRAMES, VOCAB, 0), torch.tensor([FRAMES, needed - 1]), [[1], target])


def test_counts_and_lengths_that_do_not_fit_are_refused() -> None:
    log_probs = random_log_probs(2, FRAMES, VOCAB, 0)
    with pytest.raises(TrainingError, match="1 targets for 2 utterances"):
        ctc_loss(log_probs, torch.tensor([FRAMES, FRAMES]), [[1]])
    with pytest.raises(TrainingError, match=f"length of {FRAMES + 1} exceeds the {FRAMES} frames"):
        ctc_loss(log_probs, torch.tensor([FRAMES, FRAMES + 1]), [[1], [1]])


def test_log_probs_that_are_not_numbers_give_a_loss_that_is_not_hidden() -> None:
    log_probs = random_log_probs(2, FRAMES, VOCAB, 0)
    log_probs[1, 2] = float("nan")
    losses = ctc_loss(log_probs, torch.tensor([FRAMES, FRAMES]), [[1], [1]])
    assert torch.isfinite(losses).tolist() == [True, False]


def test_an_impossible_label_gives_infinity_not_0() -> None:
    log_probs = torch.full((1, 3, 3), -math.inf)
    log_probs[:, :, 0] = 0.0
    assert ctc_loss(log_probs, torch.tensor([3]), [[1]]).item() == math.inf


@pytest.mark.parametrize(
    ("path", "labels"),
    [([], []), ([0, 0], []), ([1], [1]), ([1, 1], [1]), ([1, 0, 1], [1, 1]), ([0, 1, 1, 0, 2, 2, 1], [1, 2, 1])],
)
def test_collapse_by_hand(path: list[int], labels: list[int]) -> None:
    assert collapse(path) == labels


@given(st.lists(st.integers(0, 3), max_size=12))
def test_collapse_laws(path: list[int]) -> None:
    labels = collapse(path)
    assert tuple(labels) == spelled_by(path)
    assert frames_needed(labels) <= len(path)
    assert collapse([token for token in path for _ in range(3)]) == labels  # repeating frames spells nothing new
    assert collapse([0, *path, 0]) == labels
    assert collapse([token for label in labels for token in (label, 0)]) == labels


def test_best_path_stops_at_each_length() -> None:
    log_probs = functional.one_hot(torch.tensor([[1, 2, 3], [3, 0, 1]]), 4).float().log()
    assert best_path(log_probs, torch.tensor([2, 3])) == [[1, 2], [3, 0, 1]]


def test_a_lowered_blank_is_what_lower_logits_give() -> None:
    logits = torch.tensor([[[0.3, -1.0, 2.0], [5.0, 0.0, 0.0]]])
    lowered = penalise_blank(logits.log_softmax(2), 3.0)
    torch.testing.assert_close(lowered, (logits - torch.tensor([3.0, 0.0, 0.0])).log_softmax(2))
    torch.testing.assert_close(penalise_blank(lowered, -3.0), logits.log_softmax(2))


def test_two_views_disagree_by_half_of_both_divergences_and_targets_get_no_gradient() -> None:
    """By hand: D(b || a) = 1/4 ln 1/2 + 3/4 ln 3/2, D(a || b) = 1/2 ln 2 + 1/2 ln 2/3, half of the sum is ln(3) / 8.

    Where the target is a constant, the gradient in a view's logits is half the difference of the distributions.
    """
    views = torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]], dtype=torch.float64)
    logits = views.log().requires_grad_()
    loss = consistency_loss(logits.log_softmax(2), torch.tensor([1]))
    assert loss.tolist() == pytest.approx([math.log(3) / 8])
    loss.sum().backward()
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([0.125, -0.125, -0.125, 0.125])


def test_only_frames_of_an_utterance_and_its_own_two_views_count() -> None:
    log_probs, lengths = random_log_probs(6, FRAMES, VOCAB, seed=1), torch.tensor([5, 3, 1])
    losses = consistency_loss(log_probs, lengths)
    for index, length in enumerate(lengths.tolist()):
        one, other = (log_probs[index + start, :length] for start in (0, 3))
        expected = ((one.exp() - other.exp()) * (one - other)).sum() / 2  # both divergences, summed term by term
        assert losses[index].item() == pytest.approx(expected.item())
    same = log_probs[:3].repeat(2, 1, 1)
    assert consistency_loss(same, lengths).tolist() == [0.0, 0.0, 0.0]
