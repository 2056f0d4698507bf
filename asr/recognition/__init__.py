"""Recognition: recordings to hypotheses with a model directory. Knows nothing of training."""

from asr.recognition.hypothesis import Hypothesis, Word
from asr.recognition.recognizer import Recognizer, load_model
from asr.recognition.streaming import StreamEvent, StreamOptions, TranscriptStream

__all__ = ["Hypothesis", "Recognizer", "StreamEvent", "StreamOptions", "TranscriptStream", "Word", "load_model"]
