"""One step of an n-gram model, compiled: what the beam search calls inside its own compiled loop.

In: the arrays of an `NgramModel`, a state and a word. Out: what `NgramModel.score` returns, to the last bit. Importing
this module imports numba; only the beam search, perplexity and mixing do.
"""

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(cache=True, nogil=True)
def lm_step(
    arc_start: npt.NDArray[np.int64],
    arc_word: npt.NDArray[np.int32],
    arc_log_prob: npt.NDArray[np.float32],
    arc_next: npt.NDArray[np.int32],
    backoff_log_weight: npt.NDArray[np.float32],
    backoff_state: npt.NDArray[np.int32],
    state: int,
    word: int,
) -> tuple[float, int]:
    """Natural-log probability of ``word`` after ``state``, and the next state.

    The arrays are those of an `NgramModel`. Nothing is checked here: the model's reader has checked them, and ``word``
    must be one of its numbers.
    """
    log_prob = 0.0
    at = np.int64(state)
    while at != 0:
        low, high = arc_start[at], arc_start[at + 1]
        while low < high:
            middle = (low + high) // 2
            if arc_word[middle] < word:
                low = middle + 1
            else:
                high = middle
        if low < arc_start[at + 1] and arc_word[low] == word:
            return float(log_prob + np.float64(arc_log_prob[low])), int(arc_next[low])
        log_prob += np.float64(backoff_log_weight[at])
        at = np.int64(backoff_state[at])
    return float(log_prob + np.float64(arc_log_prob[word])), int(arc_next[word])  # the empty context: arc i is word i
