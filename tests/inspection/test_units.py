"""Half-life, saturation, death and following, on units made by hand."""

import numpy as np
import pytest

from asr.inspection import Trace, head_facts, track, unit_facts
from asr.inspection.tracking import pool


def trace_of(forget: np.ndarray, hidden: np.ndarray) -> Trace:
    arrays = {"forget_gate": forget.astype(np.float32), "hidden": hidden.astype(np.float32)}
    return Trace(layer=1, direction="forward", kind="lstm", deviation=0.0, arrays=arrays)


def test_the_half_life_of_a_constant_gate_is_what_paper_and_pencil_say() -> None:
    """0.5 a frame: one frame. The 10th root of 1/2: ten frames. Open for ever: for ever."""
    forget = np.tile([0.5, 0.5**0.1, 1.0], (40, 1))
    facts = unit_facts(trace_of(forget, np.zeros((40, 3))), frame_s=0.04)
    assert facts.half_life_s is not None and facts.effective_half_life_s is not None
    assert facts.half_life_s.tolist() == pytest.approx([0.04, 0.4, np.inf], rel=1e-5)
    assert facts.effective_half_life_s.tolist() == pytest.approx([0.04, 0.4, np.inf], rel=1e-5)


def test_a_gate_that_shuts_now_and_then_keeps_for_a_shorter_time_than_its_mean_says() -> None:
    """Half the frames 1, half 1/4: the mean is 5/8; the product over two frames is 1/4, so 1/2 a frame."""
    forget = np.where(np.arange(40) % 2, 1.0, 0.25)[:, None]
    facts = unit_facts(trace_of(forget, np.zeros((40, 1))), frame_s=0.01)
    assert facts.half_life_s is not None and facts.effective_half_life_s is not None
    assert facts.half_life_s[0] == pytest.approx(0.01 * np.log(0.5) / np.log(0.625))
    assert facts.effective_half_life_s[0] == pytest.approx(0.01)


def test_saturation_is_the_share_of_frames_above_nine_tenths_and_below_one() -> None:
    forget = np.array([0.95, 0.91, 0.5, 0.05])[:, None]
    facts = unit_facts(trace_of(forget, np.zeros((4, 1))), frame_s=0.01)
    assert facts.right["forget_gate"].tolist() == [0.5] and facts.left["forget_gate"].tolist() == [0.25]


def test_a_dead_unit_is_found_and_a_living_one_is_not() -> None:
    """The dead one settles within the first frames, as states do that begin at 0; the quiet one still moves."""
    time = np.arange(200)
    hidden = np.stack([0.4 * (1 - 0.3**time), 0.4 + 0.006 * np.sin(time), 0.4 + 0.001 * np.sin(time)], axis=1)
    facts = unit_facts(trace_of(np.full((200, 3), 0.5), hidden), frame_s=0.01)
    assert facts.dead.tolist() == [True, False, True]


def slow_noise(generator: np.random.Generator, frames: int, count: int) -> np.ndarray:
    """Independent series that change about as slowly as speech and states do."""
    noise = generator.standard_normal((frames + 20, count))
    return np.stack([np.convolve(column, np.exp(-np.arange(20) / 5), "valid") for column in noise.T], axis=1)[:frames]


def test_a_unit_that_follows_is_found_with_its_sign_and_others_are_not() -> None:
    generator = np.random.default_rng(3)
    units = slow_noise(generator, 400, 30)
    signal = slow_noise(generator, 400, 1)[:, 0]
    units[:, 7] = -2 * signal + 0.5 * units[:, 7]
    found = track(units, {"level": signal, "other": slow_noise(generator, 400, 1)[:, 0]}, frame_s=0.04)
    assert [(name, unit) for name, unit, _ in found.best()] == [("level", 7)]
    assert found.best()[0][2] == pytest.approx(np.corrcoef(units[:, 7], signal)[0, 1])
    assert found.found(7) == [("level", found.best()[0][2])] and found.found(8) == []


def test_chance_shows_a_finding_in_at_most_one_inspection_of_twenty() -> None:
    """Units and signals that have nothing to do with each other, slow as speech: 60 inspections of 64 x 12 pairs."""
    false_findings = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        units = slow_noise(generator, 250, 64)
        signals = {str(n): column for n, column in enumerate(slow_noise(generator, 250, 12).T)}
        false_findings += bool(track(units, signals, frame_s=0.04).best())
    assert false_findings <= 6  # at 5 % each, more than 6 of 60 would come up in 3 % of all tests


def test_too_short_a_recording_shows_nothing() -> None:
    signal = np.sin(np.arange(30))
    assert track(signal[:, None], {"level": signal}, frame_s=0.04).best() == []


def test_a_signal_is_averaged_within_each_frame() -> None:
    values = np.arange(12.0)
    times_s = 0.01 * np.arange(12)
    found = pool(values, times_s, np.array([0.015, 0.055, 0.095]), 0.04)
    assert found.tolist() == pytest.approx([1.5, 5.5, 9.5])


def test_what_a_head_does_in_figures() -> None:
    """Every frame looks at the one before it; the first at itself."""
    weights = np.eye(5, k=-1, dtype=np.float32)
    weights[0, 0] = 1
    facts = head_facts(weights, 0.04)
    assert (facts.before, facts.itself, facts.after) == pytest.approx((0.8, 0.2, 0.0))
    assert facts.distance_s == pytest.approx(0.8 * 0.04) and facts.frames == pytest.approx(1.0)
