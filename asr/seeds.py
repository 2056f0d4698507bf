"""One seed into many: a stable seed for every purpose, epoch, step and utterance.

In: the run's seed and what the numbers are for. Out: a 63-bit seed that depends on nothing else. Because each step's
randomness follows from its number, a resumed run needs no stored generator state to repeat the uninterrupted one.
"""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed in ``[0, 2**63)`` for ``purpose``, e.g. ``derive_seed(7, "dropout", step, rank)``."""
    text = "\0".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for ``purpose``."""
    return np.random.default_rng(derive_seed(seed, *purpose))
