"""Law 1 for the whole acoustic model: batch, order and padding change nothing; lengths are what comes out."""

from typing import Any

import pytest
import torch
from torch import Tensor

from asr.errors import ConfigError
from asr.lengths import valid_mask
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig, build_model_config
from asr.subsampling import TIME_STRIDES
from tests.models.family import layers_of

N_MELS, VOCAB = 20, 11
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "residual": {"residual": True},
    "layer norm": {"layer_norm": True},
    "projection": {"projection_size": 10},
    "all": {"residual": True, "layer_norm": True, "projection_size": 10},
}


def make_model(factor: int = 4, **options: Any) -> AcousticModel:
    torch.manual_seed(5)
    subsampling = SubsamplingConfig(factor=factor, channels=6, output_size=24)
    config = BiLstmConfig(num_layers=3, hidden_size=16, subsampling=subsampling, **options)
    return AcousticModel(config, N_MELS, VOCAB).eval()


def make_batch(size: int = 16, longest: int = 150) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(6)
    lengths = torch.randint(2, longest, (size,), generator=generator)
    lengths[:4] = torch.tensor([longest, 1, 7, 8])[:size]
    log_mel = torch.randn(size, longest, N_MELS, generator=generator)
    return log_mel.masked_fill(~valid_mask(lengths, longest).unsqueeze(2), 0.0), lengths


@torch.inference_mode()
def assert_batch_equals_one_by_one(model: AcousticModel) -> None:
    log_mel, lengths = make_batch()
    together, together_lengths = model(log_mel, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, alone_lengths = model(log_mel[row : row + 1, :length], lengths[row : row + 1])
        assert alone_lengths.item() == together_lengths[row].item() == alone.size(1)
        torch.testing.assert_close(together[row, : alone.size(1)], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", sorted(TIME_STRIDES))
def test_a_batch_of_16_equals_one_by_one_with_every_subsampling(factor: int) -> None:
    assert_batch_equals_one_by_one(make_model(factor))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_batch_of_16_equals_one_by_one_with_every_option(name: str) -> None:
    assert_batch_equals_one_by_one(make_model(**OPTIONS[name]))


@pytest.mark.parametrize("factor", sorted(TIME_STRIDES))
@pytest.mark.parametrize("garbage", [1e6, float("inf"), float("nan")])
@torch.inference_mode()
def test_garbage_in_the_padding_reaches_no_valid_frame(factor: int, garbage: float) -> None:
    model = make_model(factor, residual=True, layer_norm=True)
    log_mel, lengths = make_batch(6, 60)
    dirty = log_mel.masked_fill(~valid_mask(lengths, log_mel.size(1)).unsqueeze(2), garbage)
    clean_out, out_lengths = model(log_mel, lengths)
    dirty_out, _ = model(dirty, lengths)
    valid = valid_mask(out_lengths, clean_out.size(1))
    assert torch.equal(clean_out[valid], dirty_out[valid])


def test_garbage_in_the_padding_reaches_no_gradient() -> None:
    model = make_model()
    log_mel, lengths = make_batch(6, 60)

    def gradients(values: Tensor) -> tuple[Tensor, ...]:
        log_probs, out_lengths = model(values, lengths)
        chosen = log_probs[valid_mask(out_lengths, log_probs.size(1))]
        return torch.autograd.grad(chosen[:, 1].sum(), list(model.parameters()))

    clean = gradients(log_mel)
    dirty = gradients(log_mel.masked_fill(~valid_mask(lengths, log_mel.size(1)).unsqueeze(2), float("nan")))
    assert all(torch.equal(one, other) for one, other in zip(clean, dirty, strict=True))


@pytest.mark.parametrize("factor", sorted(TIME_STRIDES))
@torch.inference_mode()
def test_output_lengths_are_the_frames_that_come_out(factor: int) -> None:
    """One output frame for every started ``factor`` of input frames."""
    model = make_model(factor)
    for frames in range(1, 30):
        log_probs, lengths = model(torch.zeros(1, frames, N_MELS), torch.tensor([frames]))
        assert log_probs.shape == (1, -(-frames // factor), VOCAB)
        assert lengths.tolist() == model.output_lengths(torch.tensor([frames])).tolist() == [log_probs.size(1)]
        assert lengths.dtype == torch.int64


@torch.inference_mode()
def test_log_probs_are_probabilities() -> None:
    log_probs, _ = make_model()(*make_batch(3, 40))
    torch.testing.assert_close(log_probs.exp().sum(2), torch.ones(log_probs.shape[:2]))


def test_residual_adds_the_input_only_where_sizes_agree() -> None:
    """With all recurrent weights zero a layer gives 0, so what is left is what the residual carries."""
    model = make_model(residual=True)  # 24 into layer 0, 32 between layers
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.zero_()
    assert not model.encoder(torch.ones(1, 4, 24), torch.tensor([4])).any()
    with torch.no_grad():
        layers_of(model.encoder)[0].forward_lstm.bias_ih_l0.fill_(1.0)
    alone = layers_of(model.encoder)[0](torch.ones(1, 4, 24), torch.arange(4).unsqueeze(0))
    assert torch.equal(model.encoder(torch.ones(1, 4, 24), torch.tensor([4])), alone)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, N_MELS + 1), (3, 5, N_MELS)])
def test_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected log_mel"):
        make_model()(torch.zeros(shape), torch.tensor([5, 5]))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"name": "rnnn"}, "model.name"),
        ({"name": ["bilstm"]}, "model.name"),
        ({"hiden_size": 3}, "model.hiden_size"),
        ({"num_layers": 0}, "model.num_layers"),
        ({"hidden_size": 0}, "model.hidden_size"),
        ({"hidden_size": "wide"}, "model.hidden_size"),
        ({"dropout": 1.0}, "model.dropout"),
        ({"input_dropout": -0.1}, "model.input_dropout"),
        ({"output_dropout": 2}, "model.output_dropout"),
        ({"projection_size": 320}, "model.projection_size"),
        ({"projection_size": 0}, "model.projection_size"),
        ({"subsampling": {"factor": 5}}, "model.subsampling.factor"),
        ({"subsampling": {"channels": 0}}, "model.subsampling.channels"),
        ({"subsampling": {"dropout": 1}}, "model.subsampling.dropout"),
        ({"subsampling": 4}, "model.subsampling"),
        ([], "model"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(values: Any, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_model_config(values)
    message = str(caught.value)
    assert key in message and "\n" not in message


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bilstm'"):
        build_model_config({"name": "bilstmm"})
