"""Forced alignment is the likeliest path that spells the text: by enumeration, by plain Viterbi, and by torchaudio."""

import itertools
import subprocess
import sys
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import asr.ctc.align
from asr.ctc import viterbi_numpy
from asr.ctc.align import forced_align
from asr.ctc.viterbi import cheapest_path
from asr.errors import ModelError, TextError
from asr.torchaudio_door import has_extension, load_torchaudio

VOCAB = 4


def make_log_probs(frames: int, vocab: int, seed: int, sharpness: float = 1.0) -> NDArray[np.float32]:
    values = sharpness * np.random.default_rng(seed).standard_normal((frames, vocab))
    log_probs: NDArray[np.float32] = (values - np.log(np.exp(values).sum(axis=1, keepdims=True))).astype(np.float32)
    return log_probs


def spelled_by(path: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(token) for token, _ in itertools.groupby(path) if token != 0)


def best_by_enumeration(log_probs: NDArray[np.float32], tokens: Sequence[int]) -> float:
    rows = log_probs.astype(np.float64)
    paths = itertools.product(range(log_probs.shape[1]), repeat=len(rows))
    return max(
        float(sum(row[one] for row, one in zip(rows, path, strict=True)))
        for path in paths
        if spelled_by(path) == tuple(tokens)
    )


def best_by_plain_viterbi(log_probs: NDArray[np.float32], tokens: Sequence[int]) -> float:
    """The whole table, row by row, as in the textbook."""
    labels = [0] + [label for token in tokens for label in (token, 0)]
    score = np.full(len(labels), -np.inf)
    score[:2] = [log_probs[0, label] for label in labels[:2]]
    for row in log_probs[1:].astype(np.float64):
        one = np.concatenate([[-np.inf], score])[: len(labels)]
        two = np.concatenate([[-np.inf] * 2, score])[: len(labels)]
        for state, label in enumerate(labels):
            if label == 0 or state < 2 or labels[state - 2] == label:
                two[state] = -np.inf
        score = np.maximum(np.maximum(score, one), two) + row[labels]
    return float(score[-2:].max())


@pytest.mark.parametrize("tokens", [(), (1,), (3,), (1, 2), (1, 1), (2, 2, 2), (1, 1, 2), (3, 2, 1), (1, 2, 3, 1, 2)])
def test_the_path_is_the_best_of_all_that_spell_the_text(tokens: tuple[int, ...]) -> None:
    for seed in range(5):
        log_probs = make_log_probs(5, VOCAB, seed)
        alignment = forced_align(log_probs, tokens)
        assert spelled_by(alignment.path) == tokens
        assert alignment.score == pytest.approx(best_by_enumeration(log_probs, tokens), abs=1e-5)
        assert alignment.exact


@settings(max_examples=150, deadline=None)
@given(
    tokens=st.lists(st.integers(1, 5), max_size=12),
    spare=st.integers(0, 30),
    seed=st.integers(0, 10**6),
    sharpness=st.sampled_from([0.0, 1.0, 20.0]),
    beam=st.sampled_from([0.0, 1.0, 40.0]),
)
def test_the_score_is_that_of_a_plain_viterbi_however_narrow_the_first_beam(
    tokens: list[int], spare: int, seed: int, sharpness: float, beam: float
) -> None:
    frames = max(1, len(tokens) + sum(a == b for a, b in itertools.pairwise(tokens)) + spare)
    log_probs = make_log_probs(frames, 6, seed, sharpness)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asr.ctc.align, "BEAM", beam)
        alignment = forced_align(log_probs, tokens)
    assert alignment.exact
    assert spelled_by(alignment.path) == tuple(tokens)
    assert alignment.score == pytest.approx(best_by_plain_viterbi(log_probs, tokens), abs=1e-3)


def test_spans_say_where_each_token_lies_on_the_path() -> None:
    """By hand: blank, 1, 1, blank, 1, 2, 2, blank, each frame's own token at probability 0.7."""
    path = [0, 1, 1, 0, 1, 2, 2, 0]
    log_probs = np.full((8, 4), np.log(0.1), np.float32)
    log_probs[np.arange(8), path] = np.log(0.7)
    log_probs[2, 1] = np.log(0.5)
    alignment = forced_align(log_probs, [1, 1, 2])
    assert alignment.path.tolist() == path
    assert [(one.token, one.start_frame, one.end_frame) for one in alignment.spans] == [(1, 1, 3), (1, 4, 5), (2, 5, 7)]
    assert alignment.spans[0].log_prob == pytest.approx((np.log(0.7) + np.log(0.5)) / 2, abs=1e-6)
    assert alignment.score == pytest.approx(7 * np.log(0.7) + np.log(0.5), abs=1e-5)


def test_it_equals_torchaudio_where_that_loads() -> None:
    torchaudio = load_torchaudio()
    if torchaudio is None or not has_extension(torchaudio):
        pytest.skip("torchaudio's compiled extension does not load beside this torch")
    generator = np.random.default_rng(5)
    for seed in range(30):
        tokens = generator.integers(1, 7, generator.integers(1, 15)).tolist()
        log_probs = make_log_probs(40, 7, seed)
        path, _ = torchaudio.functional.forced_align(torch.from_numpy(log_probs)[None], torch.tensor([tokens]))
        assert forced_align(log_probs, tokens).path.tolist() == path[0].tolist()


class TorchaudioOfPython:
    """``torchaudio.functional.forced_align`` by plain Viterbi, on any device; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, log_probs: torch.Tensor, targets: torch.Tensor, blank: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        assert log_probs.shape[0] == targets.shape[0] == 1 and log_probs.dtype == torch.float32 and blank == 0
        rows, tokens = log_probs[0].double().cpu().numpy(), targets[0].tolist()
        labels = [0] + [label for token in tokens for label in (token, 0)]
        score, steps = np.full(len(labels), -np.inf), []
        score[:2] = [rows[0, label] for label in labels[:2]]
        for row in rows[1:]:
            ways = np.full((3, len(labels)), -np.inf)
            ways[0], ways[1, 1:], ways[2, 2:] = score, score[:-1], score[:-2]
            for state, label in enumerate(labels):
                if label == 0 or state < 2 or labels[state - 2] == label:
                    ways[2, state] = -np.inf
            steps.append(ways.argmax(axis=0))
            score = ways.max(axis=0) + row[labels]
        state = len(labels) - (1 if score[-1] >= score[-2] else 2)
        states = [state]
        for step in reversed(steps):
            state -= int(step[state])
            states.append(state)
        path = torch.tensor([[labels[one] for one in reversed(states)]])
        return path, log_probs.cpu().gather(2, path[..., None])[..., 0]


def test_on_a_gpu_torchaudio_aligns_and_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    aligner = TorchaudioOfPython()
    monkeypatch.setattr(asr.ctc.align, "load_aligner", lambda: aligner)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_: self)  # no GPU is needed for this test
    generator = np.random.default_rng(5)
    for seed in range(30):
        tokens = generator.integers(1, 4, generator.integers(1, 15)).tolist()  # three labels: many repeats
        log_probs = make_log_probs(40, 7, seed)
        there, here = forced_align(log_probs, tokens, "cuda"), forced_align(log_probs, tokens)
        assert there.path.tolist() == here.path.tolist() and there.exact
        assert [span[:3] for span in there.spans] == [span[:3] for span in here.spans]
        assert there.score == pytest.approx(here.score, abs=1e-4)
    assert aligner.calls == 30
    impossible = np.array([[0.0, -np.inf]], np.float32)
    with pytest.raises(TextError, match="probability 0"):
        forced_align(impossible, [1], "cuda")


def test_where_torchaudio_cannot_align_on_the_gpu_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    log_probs, aligner = make_log_probs(40, 7, 1), TorchaudioOfPython()
    expected = forced_align(log_probs, [1, 2]).path.tolist()
    monkeypatch.setattr(asr.ctc.align, "load_aligner", lambda: None)  # no extension
    assert forced_align(log_probs, [1, 2], "cuda").path.tolist() == expected
    monkeypatch.setattr(asr.ctc.align, "load_aligner", lambda: aligner)
    monkeypatch.setattr(asr.ctc.align, "MAX_GPU_CELLS", 40 * 5 - 1)  # more than its memory
    assert forced_align(log_probs, [1, 2], "cuda").path.tolist() == expected
    assert forced_align(log_probs, [], "cuda").path.tolist() == [0] * 40
    assert not aligner.calls


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_equals_torchaudio_on_a_gpu() -> None:
    generator = np.random.default_rng(6)
    for seed in range(10):
        tokens = generator.integers(1, 7, generator.integers(1, 15)).tolist()
        log_probs = make_log_probs(60, 7, seed)
        there, here = forced_align(log_probs, tokens, "cuda"), forced_align(log_probs, tokens)
        assert there.path.tolist() == here.path.tolist()
        assert there.score == pytest.approx(here.score, abs=1e-4)


def test_where_memory_forbids_the_proof_the_path_still_spells_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asr.ctc.align, "MAX_CELLS", 1)
    monkeypatch.setattr(asr.ctc.align, "MIN_WIDTH", 4)
    tokens = np.random.default_rng(0).integers(1, 6, 60).tolist()
    log_probs = make_log_probs(400, 6, 1, 3.0)
    alignment = forced_align(log_probs, tokens)
    assert spelled_by(alignment.path) == tuple(tokens)
    assert not alignment.exact
    assert alignment.score <= best_by_plain_viterbi(log_probs, tokens) + 1e-3


def test_where_nothing_is_within_the_bound_no_path_is_found_and_nothing_beyond_the_states_is_read() -> None:
    log_probs = np.log(np.array([[0.9, 0.1]], np.float32))  # the one path of "1" costs ln 9 = 2.197
    labels, can_skip, need = np.array([0, 1, 0], np.int32), np.zeros(3, bool), np.array([1, 0, 0], np.int32)
    arguments = (log_probs, log_probs.max(axis=1), labels, can_skip, need, np.inf)
    assert cheapest_path(*arguments, 1.0, 64)[1] == np.inf
    path, cost, _ = cheapest_path(*arguments, 3.0, 64)
    assert path.tolist() == [1] and cost == pytest.approx(np.log(9))


def test_a_probability_of_0_is_avoided_and_where_it_cannot_be_that_is_said() -> None:
    probabilities = np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]], np.float32)
    log_probs = np.full((3, 2), -np.inf, np.float32)
    np.log(probabilities, where=probabilities > 0, out=log_probs)
    assert forced_align(log_probs, [1]).score == pytest.approx(np.log(0.5))
    with pytest.raises(TextError, match="probability 0"):
        forced_align(log_probs, [])


@pytest.mark.parametrize(("label", "why"), [(0, "the blank"), (-1, "outside"), (VOCAB, "outside"), (10**7, "outside")])
def test_a_label_that_is_none_is_refused_by_its_place(label: int, why: str) -> None:
    with pytest.raises(TextError, match=f"token 1 of the text is {label}, {why}"):
        forced_align(make_log_probs(9, VOCAB, 0), [2, label])


def test_too_few_frames_are_refused_with_both_counts() -> None:
    forced_align(make_log_probs(4, VOCAB, 0), [1, 1, 2])
    with pytest.raises(TextError, match=r"needs 4 frames .* has 3"):
        forced_align(make_log_probs(3, VOCAB, 0), [1, 1, 2])
    assert forced_align(np.zeros((0, VOCAB), np.float32), []).spans == ()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_log_probs_that_are_no_numbers_are_refused(value: float) -> None:
    log_probs = make_log_probs(5, VOCAB, 0)
    log_probs[3, 2] = value
    with pytest.raises(ModelError, match="frame 3"):
        forced_align(log_probs, [1])


@pytest.mark.slow
def test_an_hour_of_speech_takes_little_memory() -> None:
    """90,000 frames and 50,000 tokens: 9 billion cells, of which the window visits few."""
    script = """
import resource, numpy as np
from asr.ctc.align import forced_align
from asr.ctc.viterbi import cheapest_path
generator = np.random.default_rng(0)
path = np.zeros(90_000, int)
path[::2] = generator.integers(1, 29, 45_000)
path[1:10_001:2] = 29
tokens = path[path > 0]
log_probs = np.full((90_000, 30), np.log(0.1 / 29), np.float32)
log_probs[np.arange(90_000), path] = np.log(0.9)
forced_align(log_probs[:100], tokens[:20])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
alignment = forced_align(log_probs, tokens)
assert (alignment.path == path).all() and alignment.exact and len(tokens) == 50_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000  # kilobytes; the emissions alone are 10,800


@pytest.mark.parametrize("beam", [0.0, 3.0, 40.0, np.inf])
def test_numpys_search_equals_the_compiled_one_to_the_bit(beam: float) -> None:
    """States, cost and what was cut off, with ties, impossible tokens, and bounds that no path meets."""
    reached, generator = 0, np.random.default_rng(7)
    for seed in range(150):
        frames = int(generator.integers(2, 90))
        log_probs = make_log_probs(frames, 8, seed, float(generator.choice([0.1, 1.0, 10.0])))
        if seed % 3 == 0:
            log_probs = np.round(log_probs)
        if seed % 5 == 0:
            log_probs[:, 1:][generator.random((frames, 7)) < 0.1] = -np.inf
        ids = generator.integers(1, 8, int(generator.integers(0, frames // 2))).astype(np.int32)
        repeats = ids[1:] == ids[:-1]
        labels, can_skip = np.zeros(2 * ids.size + 1, np.int32), np.zeros(2 * ids.size + 1, bool)
        labels[1::2], can_skip[3::2] = ids, ~repeats
        rest = [ids.size - token + int(repeats[token:].sum()) for token in range(ids.size + 1)]
        need = np.array([rest[state // 2] - state % 2 for state in range(labels.size)], np.int32)
        for bound in (np.inf, float(generator.random() * 4 * frames)):
            given = (log_probs, log_probs.max(axis=1), labels, can_skip, need, beam, bound)
            states, cost, cut = cheapest_path(*given, 1 << 20)
            found = viterbi_numpy.cheapest_path(*given)
            assert found[1:] == (cost, cut)
            if np.isfinite(cost):
                np.testing.assert_array_equal(found[0], states)
                reached += 1
    assert reached > 100


def test_numpy_searches_a_few_short_recordings_and_then_compiled_code_does_it() -> None:
    script = """
import sys, numpy as np
from asr.ctc import align
log_probs = np.log(np.full((300, 30), 1 / 30, np.float32))
align.forced_align(log_probs, [1, 2, 3] * 20)
assert "numba" not in sys.modules
first = align.forced_align(log_probs, [1, 2, 3] * 20)
for _ in range(align.NUMPY_CELLS // (300 * 121)):
    last = align.forced_align(log_probs, [1, 2, 3] * 20)
assert "numba" in sys.modules and (first.path == last.path).all() and first.score == last.score
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_module_does_not_import_numba() -> None:
    script = "import sys, asr.ctc.align, asr.ctc; assert 'numba' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
