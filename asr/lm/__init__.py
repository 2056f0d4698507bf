"""N-gram language models: count, smooth, prune, read, write and query them. Knows nothing of torch.

In: texts, or a model that any tool wrote as ARPA. Out: an `NgramModel`, which the beam search walks.
"""

from asr.lm.model import NgramModel
from asr.lm.read import read_lm

__all__ = ["NgramModel", "read_lm"]
