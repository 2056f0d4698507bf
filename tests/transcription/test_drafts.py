"""Where a recording that nobody has transcribed is cut: in pauses, never within sound that is short enough."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from asr.recognition.bounds import SpeechLevel
from asr.recognition.speech_gate import mute
from asr.recognition.windows import Emissions
from asr.transcription.drafts import LONGEST_S, MARGIN_S, speech_spans, without_overlap

HOP_S, FRAME_S = 0.01, 0.04


def emissions(
    sounds: Sequence[tuple[float, float]],
    duration_s: float,
    *,
    tokens: Sequence[float] = (),
    muted: Sequence[tuple[float, float]] = (),
) -> Emissions:
    """Loud in ``sounds`` (seconds), where the model writes nothing but at ``tokens``; ``muted`` by the speech gate."""
    centres_s = np.arange(round(duration_s / HOP_S)) * HOP_S
    level = np.random.default_rng(0).uniform(0, 0.05, len(centres_s)).astype(np.float32)
    for start_s, end_s in sounds:
        level[(centres_s >= start_s) & (centres_s < end_s)] += 3
    log_probs = np.full((round(duration_s / FRAME_S), 3), -4.0, np.float32)
    log_probs[:, 0] = -0.05
    log_probs[[round(one / FRAME_S) for one in tokens], :2] = (-4.0, -0.05)
    times_s = np.arange(len(log_probs)) * FRAME_S
    off = np.any([(times_s >= start_s) & (times_s < end_s) for start_s, end_s in [(0, 0), *muted]], axis=0)
    return Emissions(mute(log_probs, off), FRAME_S, 0.0, duration_s, SpeechLevel(level, HOP_S))


@pytest.mark.parametrize(
    ("sounds", "more", "expected"),
    [
        ([(2, 4), (4.5, 6), (8, 9)], {}, [(1.8, 6.2), (7.8, 9.2)]),  # joined over 0.5 s, cut in 2 s
        ([(2, 4)], {"tokens": [7.0]}, [(1.8, 4.2), (6.7, 7.3)]),  # soft, but the model knows it
        ([(2, 4), (6, 8)], {"muted": [(5, 10)]}, [(1.8, 4.2)]),  # loud, but no speech
        ([(2, 4), (6, 6.1)], {}, [(1.8, 4.2)]),  # a click
        ([(0, 8)], {}, [(0, 8.2)]),
        (
            [(2, 4), *[(4.2 + 0.2 * number, 4.23 + 0.2 * number) for number in range(9)], (6, 8)],
            {},
            [(1.8, 4.2), (5.8, 8.2)],
        ),
        ([], {}, []),
    ],
)
def test_sounds_are_cut_at_pauses_with_a_margin(
    sounds: list[tuple[float, float]], more: dict[str, list[float]], expected: list[tuple[float, float]]
) -> None:
    found = speech_spans(emissions(sounds, 10, **more))  # type: ignore[arg-type]
    assert found == [pytest.approx(span, abs=0.03) for span in expected]


def test_long_sounds_are_cut_at_their_longest_pause_and_without_one_where_they_are_softest() -> None:
    found = speech_spans(emissions([(1, 8), (8.3, 14), (14.6, 22)], 24))
    assert found == [pytest.approx(span, abs=0.03) for span in [(0.8, 14.2), (14.4, 22.2)]]
    endless = emissions([(8, 48)], 56)
    assert endless.level is not None
    endless.level.values[2000:2040] -= 1
    found = speech_spans(endless)
    assert [found[0][0], found[0][1], found[-1][1]] == pytest.approx([7.8, 20.2, 48.2], abs=0.1)
    assert all(one[1] == two[0] for one, two in itertools.pairwise(found))
    assert max(end_s - start_s for start_s, end_s in found) <= LONGEST_S + 2 * MARGIN_S


def test_what_people_have_worked_on_keeps_its_bounds() -> None:
    assert without_overlap([(0, 5), (5, 9), (9.3, 12)], [(4.5, 9.5)]) == [(4.5, 9.5), (9.3, 12)]
