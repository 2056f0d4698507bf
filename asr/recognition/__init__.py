"""Recognition: recordings to hypotheses with a model directory. Knows nothing of training."""

from asr.recognition.hypothesis import Hypothesis, Word
from asr.recognition.recognizer import Recognizer, load_model

__all__ = ["Hypothesis", "Recognizer", "Word", "load_model"]
