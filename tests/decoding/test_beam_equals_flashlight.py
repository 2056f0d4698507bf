"""The search agrees with flashlight-text's lexicon-free decoder (paths added up) on the same emissions."""

from typing import Any

import numpy as np
import pytest

from asr.decoding import BeamConfig
from asr.decoding.beam import BeamDecoder
from asr.text.tokenizer import CharacterTokenizer
from tests.decoding import oracles

decoder_module: Any = pytest.importorskip("flashlight.lib.text.decoder")
FREE: dict[str, Any] = {"blank_skip": 1.0, "token_min_log_prob": -1000.0}
LETTERS = CharacterTokenizer("abcdef")  # no space: texts are labellings


def flashlight(log_probs: np.ndarray, beam_size: int) -> list[tuple[str, float]]:
    """Texts and scores, best first. It counts the paths that end in a blank and those that do not as two hypotheses."""
    frames, vocab = log_probs.shape
    options = decoder_module.LexiconFreeDecoderOptions(
        beam_size=beam_size,
        beam_size_token=vocab,
        beam_threshold=1e9,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=decoder_module.CriterionType.CTC,
    )
    decoder = decoder_module.LexiconFreeDecoder(options, decoder_module.ZeroLM(), -1, 0, [])
    emissions = np.ascontiguousarray(log_probs)
    return [(spell(one.tokens), one.score) for one in decoder.decode(emissions.ctypes.data, frames, vocab)]


def spell(path: list[int]) -> str:
    labels = [token for token, before in zip(path, [-1, *path], strict=False) if token > 0 and token != before]
    return LETTERS.decode(labels)


@pytest.mark.parametrize("seed", range(3))
def test_all_texts_and_scores_are_flashlights_where_nothing_is_pruned(seed: int) -> None:
    log_probs = oracles.emissions(7, 4, seed, scale=1.5)
    tokenizer = CharacterTokenizer("abc")
    ours = BeamDecoder(tokenizer, BeamConfig(beam_width=10_000, n_best=10_000, **FREE)).decode(log_probs)
    expected = dict(flashlight(log_probs, 20_000))
    assert len(expected) > 300
    assert {one.text: one.score for one in ours.n_best} == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_best_texts_and_scores_are_flashlights_on_emissions_as_models_give_them(seed: int) -> None:
    log_probs = oracles.peaky_emissions(300, LETTERS.vocab_size, seed)
    ours = BeamDecoder(LETTERS, BeamConfig(beam_width=200, n_best=3, **FREE)).decode(log_probs)
    expected = flashlight(log_probs, 400)[:3]
    assert [one.text for one in ours.n_best] == [text for text, _ in expected]
    assert [one.score for one in ours.n_best] == pytest.approx(
        [score for _, score in expected], abs=0.05
    )  # each prunes its own way
