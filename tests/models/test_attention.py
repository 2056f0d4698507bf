"""Attention with relative positions: what is masked gets nothing, and no length is unseen."""

import pytest
import torch
from torch.nn import functional as F

from asr.lengths import valid_mask
from asr.models import Transformer, TransformerConfig
from asr.models.transformer import (
    BUCKETS,
    ConformerConfig,
    ConformerLayer,
    ConvolutionModule,
    RelativeBias,
    SelfAttention,
)


def test_near_distances_have_their_own_bucket_and_far_ones_share_the_last() -> None:
    """T5 (Raffel et al. 2020): 8 exact buckets a side, then 8 in equal ratios from 8 to ``max_distance``."""
    bias = RelativeBias(2, max_distance=128)
    before = bias.bucket(-torch.arange(200))
    assert before[:8].tolist() == list(range(8))
    # from 8 to 128 is 2^4, so each of the 8 shared buckets is wider than the last by the square root of 2
    first = [int((before == bucket).nonzero()[0]) for bucket in range(8, 16)]
    assert first == [8, 12, 16, 23, 32, 46, 64, 91]
    assert (before[91:] == 15).all()
    after = bias.bucket(torch.arange(1, 200))
    assert torch.equal(after, before[1:] + BUCKETS)
    assert bias.bucket(torch.tensor([10**6, -(10**6)])).tolist() == [2 * BUCKETS - 1, BUCKETS - 1]


@torch.inference_mode()
def test_the_bias_depends_on_the_distance_alone() -> None:
    bias = RelativeBias(3, max_distance=20)
    bias.table.normal_()
    found = bias(torch.ones(1, 40, dtype=torch.bool))[0]
    for query, key in ((0, 0), (5, 3), (3, 5), (39, 0), (0, 39), (12, 20)):
        expected = bias.table[bias.bucket(torch.tensor(key - query))]
        assert torch.equal(found[:, query, key], expected)


def test_it_is_initialised_to_alibis_slopes() -> None:
    """Press et al. 2022: for 4 heads 1/4, 1/16, 1/64, 1/256 for each frame of distance."""
    found = RelativeBias(4, max_distance=128)(torch.ones(1, 6, dtype=torch.bool))[0]
    distance = (torch.arange(6) - torch.arange(6).unsqueeze(1)).abs()
    for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
        torch.testing.assert_close(found[head], -slope * distance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_padding_gets_a_weight_of_exactly_zero_in_every_precision(dtype: torch.dtype) -> None:
    attention, lengths = SelfAttention(8, 2), torch.tensor([5, 2, 0])
    bias = RelativeBias(2, 20)(valid_mask(lengths, 5)).to(dtype).float()
    weights = attention.weights(torch.randn(3, 5, 8) * 10, bias)
    torch.testing.assert_close(weights.sum(3), torch.ones(3, 2, 5))
    assert not weights[1, :, :, 2:].any() and torch.isfinite(weights).all()


@torch.inference_mode()
def test_the_weights_to_look_at_are_those_that_compute() -> None:
    attention, hidden = SelfAttention(8, 2), torch.randn(2, 6, 8)
    bias = RelativeBias(2, 20)(valid_mask(torch.tensor([6, 4]), 6))
    value = attention.project(hidden)[..., 16:].unflatten(2, (2, 4)).transpose(1, 2)
    expected = attention.out((attention.weights(hidden, bias) @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(hidden, bias), expected, rtol=0, atol=1e-6)


@torch.inference_mode()
def test_a_shift_in_time_shifts_the_output() -> None:
    """Positions are relative: nothing knows where in the recording it is. Far from the edges both see the same."""
    torch.manual_seed(1)
    encoder = Transformer(6, TransformerConfig(num_layers=2, hidden_size=8, heads=1, max_distance=9)).eval()
    encoder.bias.table[5:16] = encoder.bias.table[21:] = -30000.0  # a window of 4 frames to either side
    inputs = torch.randn(1, 60, 6)
    first, second = (encoder(part, torch.tensor([50])) for part in (inputs[:, :50], inputs[:, 7:57]))
    torch.testing.assert_close(first[0, 17:40], second[0, 10:33], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_the_convolution_spans_its_kernel_and_no_padding() -> None:
    module, valid = ConvolutionModule(4, 5).eval(), valid_mask(torch.tensor([12]), 15)
    torch.manual_seed(0)
    hidden = torch.randn(1, 15, 4)
    before = module(hidden, valid)
    hidden[0, 6] = torch.randn(4)  # not a shift of all channels: normalisation would take that out
    changed = (module(hidden, valid) != before)[0].any(dim=1)
    assert changed.nonzero().flatten().tolist() == [4, 5, 6, 7, 8]
    hidden[0, 12:] = 1e6
    assert torch.equal(module(hidden, valid)[0, :12], module(hidden[:, :12], valid[:, :12])[0])


@torch.inference_mode()
def test_a_conformer_layer_is_gulatis() -> None:
    """Equation 1: x + FFN/2, + attention, + convolution, + FFN/2, then normalised."""
    torch.manual_seed(0)
    layer = ConformerLayer(ConformerConfig(hidden_size=8, heads=2, kernel_size=3)).eval()
    x, valid = torch.randn(2, 7, 8), valid_mask(torch.tensor([7, 4]), 7)
    bias = RelativeBias(2, 20)(valid)
    found = layer(x, bias, valid)
    x = x + layer.feedforward_in(x) / 2
    x = x + layer.attention(layer.attention_norm(x), bias)
    x = x + layer.convolution(x, valid)
    x = x + layer.feedforward_out(x) / 2
    torch.testing.assert_close(found, layer.final_norm(x))


@torch.inference_mode()
def test_the_convolution_module_is_gulatis_with_layer_normalisation() -> None:
    """Figure 2, written out frame by frame: normalise, gate by the second half (GLU), convolve a channel alone, ..."""
    torch.manual_seed(0)
    module = ConvolutionModule(4, 3).eval()
    for weight in module.parameters():
        weight.normal_()
    x = torch.randn(1, 5, 4)
    wide = F.linear(F.layer_norm(x, (4,), module.norm.weight, module.norm.bias), module.gate.weight, module.gate.bias)
    gated = F.pad(wide[..., :4] * torch.sigmoid(wide[..., 4:]), (0, 0, 1, 1))
    kernel = module.depthwise.weight[:, 0]  # (channels, 3)
    convolved = torch.stack([(gated[:, t : t + 3] * kernel.T).sum(1) for t in range(5)], dim=1)
    assert module.depthwise.bias is not None
    convolved = convolved + module.depthwise.bias
    normal = F.layer_norm(convolved, (4,), module.inner_norm.weight, module.inner_norm.bias)
    expected = F.linear(normal * torch.sigmoid(normal), module.out.weight, module.out.bias)
    torch.testing.assert_close(module(x, torch.ones(1, 5, dtype=torch.bool)), expected, rtol=1e-5, atol=1e-5)
