"""Decoding: log-probabilities to text. Knows nothing of audio or training."""

from asr.decoding.greedy import DecodedText, greedy_decode, greedy_texts

__all__ = ["DecodedText", "greedy_decode", "greedy_texts"]
