"""N-gram language models: count, smooth, prune, read, write and query them. Knows nothing of torch.

In: texts, or a model that any tool wrote as ARPA. Out: an `NgramModel`, which the beam search walks.
"""

from asr.lm.files import read_lm
from asr.lm.model import NgramModel

__all__ = ["NgramModel", "read_lm"]
