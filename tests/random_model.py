"""A random recogniser for 8 kHz whose weights are sharpened: its texts are long and full of different letters."""

from pathlib import Path
from typing import Any

import torch

from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import Pretrained, save_pretrained
from asr.text.tokenizer import CharacterTokenizer

RATE = 8000


def random_model(seed: int = 4, sharpness: float = 6, letters: str = "abcdefgh ") -> Pretrained:
    """``sharpness``: what the weights of encoder and head are multiplied by; ``letters``: its tokens."""
    torch.manual_seed(seed)
    features = LogMel(LogMelConfig(sample_rate=RATE, n_mels=16))
    features.set_normalisation(torch.full((16,), -6.0), torch.full((16,), 2.0))
    tokenizer = CharacterTokenizer.from_texts([letters])
    subsampling = SubsamplingConfig(factor=2, channels=4, output_size=16)
    model = AcousticModel(BiLstmConfig(num_layers=2, hidden_size=12, subsampling=subsampling), 16, tokenizer.vocab_size)
    with torch.no_grad():
        for weight in (model.head.weight, *model.encoder.parameters()):
            weight.mul_(sharpness)
    return Pretrained(features.eval(), model.eval(), tokenizer, {})


def save_random_model(folder: Path, facts: dict[str, Any] | None = None, **options: Any) -> Path:
    """A model directory of it; ``options`` of ``random_model``. Returns ``folder``."""
    made = random_model(**options)
    save_pretrained(folder, made.features, made.model, made.tokenizer, facts or {})
    return folder
