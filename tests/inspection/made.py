"""A recogniser of a few thousand weights with any encoder of the family, and a recording of tones for it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel
from asr.pretrained import Pretrained, save_pretrained
from asr.recognition import Recognizer
from asr.text.tokenizer import CharacterTokenizer
from tests.models.family import N_MELS, VOCAB, make_model

RATE = 8000


def make_recognizer(form: str, **options: Any) -> Recognizer:
    pretrained = Pretrained(*_parts(make_model(form, **options)), {})
    return Recognizer(pretrained, torch.device("cpu"), speech_gate=False)


def save_model(folder: Path, form: str) -> Path:
    save_pretrained(folder, *_parts(make_model(form)), {})
    return folder


def make_waveform(duration_s: float = 2.0) -> np.ndarray:
    """Tones that come and go, in hiss."""
    generator = np.random.default_rng(1)
    time_s = np.arange(round(duration_s * RATE)) / RATE
    waveform = 0.3 * np.sin(2 * np.pi * 500 * time_s) * (np.sin(2 * np.pi * 1.5 * time_s) > 0)
    return (waveform + 0.01 * generator.standard_normal(len(time_s))).astype(np.float32)


def _parts(model: AcousticModel) -> tuple[LogMel, AcousticModel, CharacterTokenizer]:
    features = LogMel(LogMelConfig(sample_rate=RATE, n_mels=N_MELS)).eval()
    return features, model, CharacterTokenizer(list("abcdefghij")[: VOCAB - 1])
