"""`training.chunking`: all chunks of a batch at once are what a stream computes, with the gradients of that."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from asr.errors import ConfigError
from asr.models.recurrent import Carried, RecurrentStack
from asr.training.config import unused_settings
from asr.training.objective import ChunkingConfig, LossConfig, TrainedModel
from tests.models.family import N_MELS, make_model
from tests.models.test_streaming import ONE_WAY, RECURRENT, in_chunks
from tests.tiny_run import settings
from tests.training.test_objective import SAMPLES, TARGETS, log_mel_of, make_stepper, run_step

BOTH_WAYS = [form for form in RECURRENT if form not in ONE_WAY]
LENGTHS = torch.tensor([83, 82, 81, 30, 1])
SIZES = [(4, 3), (5, 0), (1, 5), (100, 2)]
FACTORS = [(form, 4, SIZES) for form in BOTH_WAYS] + [("bilstm", factor, [(4, 3)]) for factor in (1, 3, 8)]


def make_input() -> Tensor:
    return torch.randn(len(LENGTHS), 83, N_MELS, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("form", "factor", "sizes"), FACTORS)
def test_chunks_of_a_batch_are_those_of_a_stream_of_each_utterance(
    form: str, factor: int, sizes: list[tuple[int, int]]
) -> None:
    model, log_mel = make_model(form, factor, num_layers=3), make_input()
    for chunk, look_ahead in sizes:
        with torch.no_grad():
            (found,), lengths = TrainedModel(model)(log_mel, LENGTHS, (chunk, look_ahead))
        for row, frames in enumerate(LENGTHS.tolist()):
            expected = in_chunks(model, log_mel[row, :frames], chunk, look_ahead)
            assert len(expected) == lengths[row]
            torch.testing.assert_close(found[row, : len(expected)], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", ["gru both ways", "bilstm", "lnlstm", "ligru", "minlstm"])
def test_gradients_are_those_of_a_stream(form: str) -> None:
    """An utterance of 40 output frames; the stream goes from chunk to chunk and keeps its graph."""
    trained = TrainedModel(make_model(form, num_layers=3))
    log_mel, frames = torch.randn(1, 80, N_MELS, generator=torch.Generator().manual_seed(3)), torch.tensor([80])
    wanted = torch.randn(40, trained.acoustic.vocab_size, generator=torch.Generator().manual_seed(4))
    (found,), _ = trained(log_mel, frames, (6, 5))
    weights = dict(trained.acoustic.named_parameters())
    ours = torch.autograd.grad((found[0] * wanted).sum(), list(weights.values()))
    encoder, hidden = trained.acoustic.encoder, trained.acoustic.subsampling(log_mel, frames)[0]
    assert isinstance(encoder, RecurrentStack)
    carried, parts = Carried(), []
    for start in range(0, 40, 6):
        carried.keep = min(6, 40 - start)
        parts.append(encoder.chunk(hidden[:, start : start + 11], carried)[0, : carried.keep])
    expected = torch.log_softmax(trained.acoustic.head(torch.cat(parts)), dim=1)
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)
    theirs = torch.autograd.grad((expected * wanted).sum(), list(weights.values()))
    for name, one, other in zip(weights, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5 * float(other.abs().max()) + 1e-6, rtol=0, msg=name)


def test_a_step_in_chunks_minimises_the_loss_of_the_streams_output() -> None:
    """Chunks of 0.1 s and look-ahead of 0.05 s are 5 and 3 output frames of 20 ms."""
    model = make_model("bilstm")
    stepper = make_stepper(model, LossConfig())
    stepper.chunking = ChunkingConfig(probability=1.0, chunk_s=[0.1, 0.1], look_ahead_s=[0.05, 0.05])
    log_mel, frames = log_mel_of(stepper)
    losses = []
    for row, target in enumerate(TARGETS):
        log_probs = in_chunks(model, log_mel[row, : frames[row]], 5, 3)
        sizes = torch.tensor([len(log_probs)]), torch.tensor([len(target)])
        losses.append(functional.ctc_loss(log_probs.unsqueeze(1), torch.tensor([target]), *sizes, reduction="sum"))
    assert run_step(stepper) == pytest.approx(float(sum(losses)) / len(SAMPLES), rel=1e-5)
    stepper.chunking = ChunkingConfig()
    assert run_step(stepper) != pytest.approx(float(sum(losses)) / len(SAMPLES), rel=1e-3)


def test_the_intermediate_loss_and_bf16_take_chunks_too() -> None:
    model, log_mel = make_model("bilstm", num_layers=3), make_input()
    trained = TrainedModel(model, LossConfig(intermediate_weight=0.3))
    (last, middle), lengths = trained(log_mel, LENGTHS, (4, 3))
    shallow = make_model("bilstm", num_layers=1)
    shallow.load_state_dict({name: model.state_dict()[name] for name in shallow.state_dict()})
    for row in range(len(LENGTHS)):
        expected = in_chunks(shallow, log_mel[row, : LENGTHS[row]], 4, 3)
        torch.testing.assert_close(middle[row, : lengths[row]], expected, atol=1e-5, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (rough, _), _ = trained(log_mel, LENGTHS, (4, 3))
    rough.sum().backward()
    assert 0 < float((rough - last).detach().abs().max()) < 0.1
    assert all(bool(one.grad.isfinite().all()) for one in model.parameters() if one.grad is not None)


def test_draws_follow_the_settings() -> None:
    config = ChunkingConfig(probability=0.3, chunk_s=[0.2, 2.0], look_ahead_s=[0.5, 1.0])
    drawn = [config.draw(np.random.default_rng(number)) for number in range(500)]
    some = np.array([one for one in drawn if one is not None])
    assert 0.25 < len(some) / len(drawn) < 0.35
    assert np.allclose(some.min(axis=0), [0.2, 0.5], atol=0.1) and np.allclose(some.max(axis=0), [2.0, 1.0], atol=0.1)
    assert config.largest == (0.2, 1.0) and ChunkingConfig().largest is None
    assert ChunkingConfig().draw(np.random.default_rng(1)) is None


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "lstm"}, r"chunking.probability=0.5 is for .*; model=lstm gives the same in chunks"),
        ({"name": "transformer", "heads": 2}, r"model=transformer looks at whole recordings; set it to 0"),
    ],
)
def test_models_that_are_not_streamed_so_are_refused(model: dict[str, Any], message: str) -> None:
    changes = {f"model__{key}": value for key, value in model.items()}
    with pytest.raises(ConfigError, match=message):
        settings(None, training__chunking__probability=0.5, **changes)  # type: ignore[arg-type]
    assert settings(None, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, r"training.chunking.probability=1.5 must be in \[0, 1\]"),
        ({"chunk_s": [0.0, 1.0]}, r"chunk_s=\[0.0, 1.0\] must be two numbers of seconds, above 0, the lower one first"),
        ({"look_ahead_s": [1.0, 0.5]}, r"look_ahead_s=\[1.0, 0.5\] must be two numbers of seconds, 0 or more"),
        ({"look_ahead_s": [0.5]}, r"look_ahead_s=\[0.5\] must be two"),
        ({"chunk_s": [0.5, float("nan")]}, r"chunk_s=\[0.5, nan\] must be two"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ChunkingConfig(**options)


def test_ranges_without_a_probability_are_said_to_have_no_effect() -> None:
    chosen = settings(None, training__chunking__chunk_s=[0.1, 0.2])  # type: ignore[arg-type]
    (sentence,) = (one for one in unused_settings(chosen) if "chunking" in one)
    assert "training.chunking.chunk_s=[0.1, 0.2] has no effect: no batch is computed in chunks" in sentence
