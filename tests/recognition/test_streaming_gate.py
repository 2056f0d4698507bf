"""The gate on live sound decides what the gate decides on the whole recording, whenever sound and emissions come."""

import numpy as np
import pytest

from asr.recognition.speech_gate import LONG_S, MARGIN_S, STEP_S, WINDOW_S, apply_gate
from asr.recognition.streaming_gate import KEPT_S, StreamingGate
from tests.recognition.test_gate import FRAME_S, emissions


class Tracker:
    """A signal tracker that is told what it hears."""

    def __init__(self, odds: np.ndarray) -> None:
        self.odds, self.heard_s, self.taken = odds, 0.0, 0

    def take(self, ended: bool) -> np.ndarray:
        stop = len(self.odds) if ended else max(self.taken, int((self.heard_s - WINDOW_S) / STEP_S) + 1)
        given, self.taken = self.odds[self.taken : stop], stop
        return given


def make_case(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Emissions with runs of tokens and silence, and log-odds of speech that mostly agree."""
    generator = np.random.default_rng(seed)
    edge_s = float(generator.choice([0.0, 0.2, -0.0125]))
    tokens: list[int] = []
    odds: list[float] = []
    for _ in range(int(generator.integers(1, 7))):
        talks, seconds = generator.random() < 0.5, generator.uniform(0.1, 6)
        tokens += generator.choice([0, 1, 2, 3], round(seconds / FRAME_S), p=[0.7, 0.1, 0.1, 0.1]).tolist()
        odds += generator.normal(0.6 if talks else -1.0, 0.5, max(1, round(seconds / STEP_S))).tolist()
    return emissions(tokens, float(generator.choice([0.7, 0.97]))), np.array(odds), edge_s


@pytest.mark.parametrize("seed", range(60))
def test_the_decisions_are_those_on_the_whole(seed: int) -> None:
    log_probs, odds, edge_s = make_case(seed)
    generator = np.random.default_rng(seed + 1000)
    gate = StreamingGate(8000, FRAME_S, edge_s)
    tracker = Tracker(odds)
    gate._tracker = tracker  # type: ignore[assignment]
    parts, start = [], 0
    while start < len(log_probs):
        stop = start + int(generator.integers(0, 40))
        tracker.heard_s = max(tracker.heard_s, stop * FRAME_S - edge_s + generator.uniform(0, 2))
        parts.append(gate.decided(log_probs[start:stop]))
        start = stop
    parts.append(gate.decided(log_probs[:0], last=True))
    np.testing.assert_array_equal(np.concatenate(parts), apply_gate(log_probs, odds, FRAME_S, edge_s))


def test_speech_passes_at_once_and_silence_after_its_length() -> None:
    odds = np.where(np.arange(400) * STEP_S < 10, 3.0, -5.0)
    log_probs = emissions([0, 1, 0, 2] * 240)
    gate = StreamingGate(8000, FRAME_S, 0.0)
    tracker = Tracker(odds)
    gate._tracker = tracker  # type: ignore[assignment]
    lag_s, given = {}, 0
    for frame in range(0, 900, 5):
        tracker.heard_s = (frame + 5) * FRAME_S
        given += len(gate.decided(log_probs[frame : frame + 5]))
        lag_s[round((frame + 5) * FRAME_S, 6)] = (frame + 5 - given) * FRAME_S
        assert gate._held is not None and len(gate._held) <= (2 * KEPT_S + LONG_S + 3) / FRAME_S
    assert all(lag == 0 for time_s, lag in lag_s.items() if WINDOW_S < time_s < 10 + MARGIN_S)
    assert max(lag_s.values()) <= LONG_S + WINDOW_S + MARGIN_S + 0.3
    assert all(lag <= WINDOW_S + MARGIN_S + 0.3 for time_s, lag in lag_s.items() if time_s > 20)
