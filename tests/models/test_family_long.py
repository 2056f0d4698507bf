"""Every member works where long recordings are cut into windows with 8 s of context on both sides."""

import numpy as np
import pytest
import torch

from asr.features import LogMel, LogMelConfig
from asr.pretrained import Pretrained
from asr.recognition.windows import WindowSizes, compute_windows, cut_windows, stitch
from asr.text.tokenizer import CharacterTokenizer
from tests.models.family import FAMILY, N_MELS, VOCAB, make_model

SECONDS = 90


@pytest.mark.parametrize("form", FAMILY)
@torch.inference_mode()
def test_the_windows_of_a_long_recording_give_about_what_the_whole_gives(form: str) -> None:
    """Log-probabilities of noise by untrained weights: measured 5e-8 (rnn) to 4e-3 (bilstm) apart on average."""
    model = make_model(form, factor=8)
    log_mel = torch.randn(100 * SECONDS, N_MELS, generator=torch.Generator().manual_seed(1))
    whole = model(log_mel.unsqueeze(0), torch.tensor([len(log_mel)]))[0][0].numpy()
    windows = list(cut_windows(log_mel.numpy().reshape(-1, 1000, N_MELS), WindowSizes.of(0.01, 8)))
    tokenizer = CharacterTokenizer("abcdefghijklmnopqrstuvwxyz"[: VOCAB - 1])
    pretrained = Pretrained(LogMel(LogMelConfig(n_mels=N_MELS)), model, tokenizer, {})
    joined = stitch(compute_windows(pretrained.log_probs, windows), VOCAB)
    assert len(windows) > 1 and joined.shape == whole.shape
    assert np.abs(joined - whole).mean() < 0.01
