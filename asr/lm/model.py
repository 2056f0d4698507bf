"""The query form of an n-gram language model: a backoff automaton of plain numpy arrays.

In: a state (a context that the model knows) and a word. Out: the word's natural-log probability and the next state. The
arrays are what the beam search walks inside numba (asr/lm/query.py). Katz's backoff (1987), with a state for the
longest context that matters, as in KenLM (Heafield, 2011).
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

UNK, BOS, EOS, SPACE = "<unk>", "<s>", "</s>", "<space>"
UNITS = ("word", "character")


@dataclass(frozen=True, slots=True)
class NgramModel:
    """An n-gram model whose contexts are numbered states.

    The arcs of state s are ``arc_start[s]:arc_start[s + 1]``, sorted by ``arc_word``. State 0 is the empty context and
    has one arc a word, arc i for word i. A state backs off to one with a smaller number, so that the walk
    ends. Arcs are in the order of their n-gram's length, so that the n-grams of one order are together.

    Shapes: arc_start int64 (states + 1,), arc_word int32 (arcs,), arc_log_prob float32 (arcs,) natural log, arc_next
    int32 (arcs,), backoff_log_weight float32 (states,) natural log, backoff_state int32 (states,).
    """

    order: int
    unit: str  # "word" | "character"; a character model spells " " as "<space>"
    words: tuple[str, ...]
    unk: int
    bos: int
    eos: int
    arc_start: npt.NDArray[np.int64]
    arc_word: npt.NDArray[np.int32]
    arc_log_prob: npt.NDArray[np.float32]
    arc_next: npt.NDArray[np.int32]
    backoff_log_weight: npt.NDArray[np.float32]
    backoff_state: npt.NDArray[np.int32]
    start_state: int
    _ids: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.arc_start, self.arc_word, self.arc_log_prob, self.arc_next)
        return sum(array.nbytes for array in (*arrays, self.backoff_log_weight, self.backoff_state))

    def word_id(self, word: str) -> int:
        """The word's number; that of <unk> for a word the model does not know."""
        if not self._ids:
            self._ids.update({known: number for number, known in enumerate(self.words)})
        return self._ids.get(word, self.unk)
