"""Seeds follow from their purpose alone: stable over processes and versions, different for different purposes."""

import hashlib

from asr.seeds import derive_seed, numpy_generator


def test_a_seed_is_the_documented_hash() -> None:
    digest = hashlib.blake2b(b"7\0dropout\x0012\x000", digest_size=8).digest()
    assert derive_seed(7, "dropout", 12, 0) == int.from_bytes(digest, "big") >> 1


def test_different_purposes_get_different_seeds_in_range() -> None:
    seeds = {derive_seed(seed, name, step) for seed in range(5) for name in ("a", "b") for step in range(100)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_repeat() -> None:
    draws = [numpy_generator(1, "x", 2).random(4).tolist() for _ in range(2)]
    assert draws[0] == draws[1] != numpy_generator(1, "x", 3).random(4).tolist()
