"""CTC forced alignment: which frames each token of a known text takes.

In: log-probabilities of one recording and the tokens of its text. Out: an ``Alignment``: the likeliest path that spells
these tokens, and where on it each token is. Equal to ``torchaudio.functional.forced_align``, which does the work where
the model runs on a GPU and torchaudio's extension loads, unless the recording is long; else it is done here, in a
window that follows the good paths: an hour of speech has 90,000 frames and 100,000 states, and 9 billion cells are
neither stored nor visited.

Why the window loses nothing: a frame's cost is how far its token's log-probability is below the frame's largest, so
costs are never negative, and a state that costs more than a whole known path cannot be on a cheaper one. The first pass
prunes what is ``BEAM`` nats behind its frame's cheapest. Where nothing pruned was cheaper than the path found, that
path is the best; else a second pass prunes at that path's cost, which is safe. Only where even this takes more than
``MAX_CELLS`` (text that does not fit its sound, flat posteriors, on a long recording) a better path may exist, and
``Alignment.exact`` is False.

Source: Viterbi over the CTC states of Graves et al. 2006. The inner loop is asr/ctc/viterbi.py, compiled, or
asr/ctc/viterbi_numpy.py where importing a compiler would take longer than the search.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.ctc import viterbi_numpy
from asr.errors import ModelError, TextError
from asr.text.tokenizer import BLANK_ID
from asr.torchaudio_door import load_aligner

BEAM = 40.0  # nats; a trained model's runner-up alignment of its own text is rarely 10 behind
MAX_CELLS = 1 << 24  # one byte each: an hour at 25 frames a second keeps 186 states, about 6 s of speech
MIN_WIDTH = 64  # states that are kept however long the recording
NUMPY_FRAMES = 2000  # a recording of more, 40 to 80 s, is searched by compiled code
NUMPY_CELLS = 1 << 20  # frames times states of all recordings together that are searched in NumPy: 5 to 10 sentences
MAX_GPU_CELLS = 1 << 28  # torchaudio stores a byte for every frame and state: 256 MB


class TokenSpan(NamedTuple):
    """``token`` holds frames ``start_frame`` to before ``end_frame``; ``log_prob``: its natural log mean over them."""

    token: int
    start_frame: int
    end_frame: int
    log_prob: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """The likeliest path that spells a text.

    ``path``: ``(frames,)`` int32 token ids, blanks among them. ``spans``: one per token, in order. ``score``: its
    natural log-probability. ``exact``: whether it is proven that no other path is likelier.
    """

    path: NDArray[np.int32]
    spans: tuple[TokenSpan, ...]
    score: float
    exact: bool


def forced_align(log_probs: NDArray[np.float32], tokens: Sequence[int], device: object = "cpu") -> Alignment:
    """Align ``tokens`` (ids, no blanks) with ``log_probs`` ``(frames, vocab)``, natural logs, blank id 0.

    ``device``: that of the model, as torch names it or has it; on a GPU torchaudio aligns where it can.

    Raises TextError when a token is the blank or outside the vocabulary, when CTC needs more frames than there are, or
    when every path has probability 0; ModelError when ``log_probs`` hold NaN or infinity.
    """
    emissions, best = check_emissions(log_probs)
    ids = np.asarray(tokens, dtype=np.int32)
    frames, vocab_size = emissions.shape
    repeats = np.concatenate([ids[1:] == ids[:-1], [False]]) if ids.size else np.zeros(0, bool)
    _check(ids, vocab_size, frames, int(ids.size + repeats.sum()))
    if not frames:
        return Alignment(np.zeros(0, np.int32), (), 0.0, True)
    found_on_gpu = _states_by_torchaudio(emissions, ids, str(device))
    states, cost, exact = found_on_gpu or _search(emissions, best, ids, repeats)
    if not np.isfinite(cost):
        raise TextError("align: the model gives every alignment of the text probability 0")
    path = np.where(states % 2 == 1, ids[np.minimum(states // 2, ids.size - 1)], BLANK_ID) if ids.size else states * 0
    found = emissions[np.arange(frames), path]
    return Alignment(path.astype(np.int32), _spans(states, found, ids), float(found.sum(dtype=np.float64)), exact)


def _check(ids: NDArray[np.int32], vocab_size: int, frames: int, needed: int) -> None:
    for place in np.flatnonzero((ids <= BLANK_ID) | (ids >= vocab_size))[:1]:
        kind = "the blank" if ids[place] == BLANK_ID else "outside the vocabulary"
        raise TextError(
            f"align: token {place} of the text is {ids[place]}, {kind}; tokens must be 1 to {vocab_size - 1}"
        )
    if frames < needed:
        raise TextError(
            f"align: the text needs {needed} frames (tokens, and a blank between equal ones) but the recording has "
            f"{frames}; is it the text of another recording?"
        )


def check_emissions(log_probs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``(frames, vocab)`` in order in memory, and each frame's largest, which shows NaN and infinities that matter.

    Raises ModelError where there are any.
    """
    emissions = np.ascontiguousarray(log_probs, dtype=np.float32)
    if emissions.ndim != 2:
        raise ValueError(f"expected log_probs (frames, vocab), got {emissions.shape}")
    best = emissions.max(axis=1)
    for frame in np.flatnonzero(~np.isfinite(best))[:1]:
        raise ModelError(f"align: the log-probabilities of frame {frame} are no probabilities ({best[frame]})")
    return emissions, best


def _search(
    emissions: NDArray[np.float32], best: NDArray[np.float32], ids: NDArray[np.int32], repeats: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], float, bool]:
    """States ``(frames,)``, the path's cost, and whether it is proven the least."""
    labels = np.zeros(2 * ids.size + 1, np.int32)
    labels[1::2] = ids
    can_skip = np.zeros(labels.size, bool)
    can_skip[3::2] = ~repeats[:-1]
    rest = np.arange(ids.size, -1, -1) + np.concatenate([np.cumsum(repeats[::-1])[::-1], [0]])  # from each token on
    need = np.zeros(labels.size, np.int32)
    need[0::2], need[1::2] = rest, rest[:-1] - 1
    search = _search_loop(len(best), labels.size)
    states, cost, cut = search(emissions, best, labels, can_skip, need, BEAM, np.inf)
    if cut < cost or not np.isfinite(cost):
        wider = search(emissions, best, labels, can_skip, need, np.inf, cost)
        if wider[1] <= cost:
            states, cost, cut = wider
    return states, cost, bool(cut >= cost)


class _NumpyBudget:
    """How much is still searched in NumPy by this process; more than that is worth compiled code."""

    def __init__(self, cells: int) -> None:
        self.cells = cells

    def take(self, cells: int) -> bool:
        """Whether a search over so many frames times states is within the budget, which then shrinks."""
        if cells > self.cells:
            return False
        self.cells -= cells
        return True


_numpy_budget = _NumpyBudget(NUMPY_CELLS)


def _search_loop(frames: int, states: int) -> Callable[..., tuple[NDArray[np.int32], float, float]]:
    """The inner loop: NumPy's for the first short recordings, else the compiled one; both give the same."""
    if "asr.ctc.viterbi" not in sys.modules and frames <= NUMPY_FRAMES and _numpy_budget.take(frames * states):
        return viterbi_numpy.cheapest_path
    from asr.ctc.viterbi import cheapest_path  # a second to import numba, and the first time of all two to compile

    return partial(cheapest_path, width=max(MIN_WIDTH, MAX_CELLS // frames))


def _states_by_torchaudio(
    emissions: NDArray[np.float32], ids: NDArray[np.int32], device: str
) -> tuple[NDArray[np.int32], float, bool] | None:
    """The same as ``_search``; None where torchaudio is not to be used or cannot be."""
    if not device.startswith("cuda") or not ids.size or emissions.shape[0] * (2 * ids.size + 1) > MAX_GPU_CELLS:
        return None
    align = load_aligner()
    if align is None:
        return None
    import torch  # late: recognition by onnxruntime does without

    on_device = torch.from_numpy(emissions)[None].to(device)
    path, scores = align(on_device, torch.from_numpy(ids)[None].to(device), blank=BLANK_ID)
    tokens = path[0].cpu().numpy()
    before = np.concatenate([[BLANK_ID], tokens[:-1]])
    begun = np.cumsum((tokens != BLANK_ID) & (tokens != before))  # tokens of the text begun by each frame
    if begun[-1] != ids.size:  # no path is possible; the search here says so
        return None
    states = (2 * begun - (tokens != BLANK_ID)).astype(np.int32)
    cost = float(emissions.max(axis=1).sum(dtype=np.float64) - scores[0].double().sum().cpu())
    return states, cost, True


def _spans(states: NDArray[np.int32], found: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[TokenSpan, ...]:
    """A span per token from the path's states ``(frames,)`` and log-probabilities ``(frames,)``."""
    wanted = 2 * np.arange(ids.size) + 1
    starts, ends = np.searchsorted(states, wanted, "left"), np.searchsorted(states, wanted, "right")
    sums = np.concatenate([[0.0], np.cumsum(found, dtype=np.float64)])
    means = (sums[ends] - sums[starts]) / (ends - starts) if ids.size else sums[:0]
    rows = zip(ids.tolist(), starts.tolist(), ends.tolist(), means.tolist(), strict=True)
    return tuple(TokenSpan(*row) for row in rows)
