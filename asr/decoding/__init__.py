"""Decoding: log-probabilities to text. Knows nothing of audio or training."""

from asr.decoding.decoded import Alternative, DecodedText
from asr.decoding.greedy import greedy_decode, greedy_texts

__all__ = ["Alternative", "DecodedText", "greedy_decode", "greedy_texts"]
