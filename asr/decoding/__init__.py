"""Decoding: log-probabilities to text. Knows nothing of audio or training.

The beam search is imported from ``asr.decoding.beam``, so that greedy decoding never loads numba.
"""

from asr.decoding.config import BeamConfig, DecodingConfig
from asr.decoding.greedy import Alternative, DecodedText, greedy_decode, greedy_texts

__all__ = ["Alternative", "BeamConfig", "DecodedText", "DecodingConfig", "greedy_decode", "greedy_texts"]
