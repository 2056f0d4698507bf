"""The laws that every encoder of the family keeps: padding, batch and order change nothing; every weight learns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from asr.errors import ConfigError
from asr.features import LogMel, LogMelConfig
from asr.lengths import valid_mask
from asr.models import ENCODERS, AcousticModel, LstmConfig, build_model_config
from asr.pretrained import from_pretrained, save_pretrained
from asr.probes.experiments import model_configs
from asr.schema import build, to_plain
from asr.text.tokenizer import CharacterTokenizer
from asr.training.config import TrainSettings
from tests.models.family import FAMILY, N_MELS, make_batch, make_model


def test_the_forms_tested_are_the_whole_family() -> None:
    assert {values["name"] for values in FAMILY.values()} == set(ENCODERS)


@pytest.mark.parametrize("form", FAMILY)
@torch.inference_mode()
def test_a_batch_of_16_equals_one_by_one(form: str) -> None:
    model, (log_mel, lengths) = make_model(form), make_batch()
    together, together_lengths = model(log_mel, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, alone_lengths = model(log_mel[row : row + 1, :length], lengths[row : row + 1])
        assert alone_lengths.item() == together_lengths[row].item() == alone.size(1)
        torch.testing.assert_close(together[row, : alone.size(1)], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FAMILY)
@torch.inference_mode()
def test_the_order_of_a_batch_changes_nothing(form: str) -> None:
    model, (log_mel, lengths) = make_model(form), make_batch()
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(1))
    given, shuffled = model(log_mel, lengths)[0], model(log_mel[order], lengths[order])[0]
    torch.testing.assert_close(given[order], shuffled, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FAMILY)
@pytest.mark.parametrize("garbage", [1e6, float("nan")])
def test_garbage_in_the_padding_reaches_neither_frame_nor_gradient(form: str, garbage: float) -> None:
    model, (log_mel, lengths) = make_model(form), make_batch(6, 40)

    def run(values: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        log_probs, out_lengths = model(values, lengths)
        chosen = log_probs[valid_mask(out_lengths, log_probs.size(1))]
        return chosen.detach(), torch.autograd.grad(chosen[:, 1].sum(), list(model.parameters()))

    clean_out, clean = run(log_mel)
    dirty_out, dirty = run(log_mel.masked_fill(~valid_mask(lengths, log_mel.size(1)).unsqueeze(2), garbage))
    assert torch.equal(clean_out, dirty_out)
    assert all(torch.equal(one, other) for one, other in zip(clean, dirty, strict=True))


@pytest.mark.parametrize("form", FAMILY)
@torch.inference_mode()
def test_the_output_in_the_middle_is_that_of_a_stack_which_ends_there(form: str) -> None:
    deep, shallow = make_model(form, num_layers=3).encoder, make_model(form).encoder
    shallow.load_state_dict({name: deep.state_dict()[name] for name in shallow.state_dict()})
    inputs, lengths = torch.randn(3, 9, 16), torch.tensor([9, 4, 1])
    middle, last = deep.outputs(inputs, lengths, [2, 3])  # type: ignore[operator]
    assert torch.equal(middle, shallow(inputs, lengths)) and torch.equal(last, deep(inputs, lengths))


@pytest.mark.parametrize("form", FAMILY)
@torch.inference_mode()
def test_an_encoder_gives_its_size_and_zeros_beyond_each_length(form: str) -> None:
    """Also for an encoder that is handed garbage beyond a length, or an utterance of no frame at all."""
    encoder = make_model(form).encoder
    inputs, lengths = torch.randn(3, 9, 16), torch.tensor([9, 4, 0])
    outputs = encoder(inputs, lengths)
    assert outputs.shape == (3, 9, encoder.output_size) and torch.isfinite(outputs).all()
    assert not outputs[~valid_mask(lengths, 9)].any() and outputs[valid_mask(lengths, 9)].any(dim=1).all()
    inputs[1, 4:] = float("nan")
    assert torch.equal(encoder(inputs, lengths), outputs)


@pytest.mark.parametrize("form", FAMILY)
def test_every_weight_gets_a_gradient(form: str) -> None:
    """As DistributedDataParallel wants it."""
    model = make_model(form).train()
    log_probs, _ = model(*make_batch(4, 40))
    log_probs[..., 1].sum().backward()
    silent = [name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()]
    assert silent == []


@pytest.mark.parametrize("form", FAMILY)
@torch.inference_mode()
def test_a_module_remembers_nothing_between_calls(form: str) -> None:
    model, (log_mel, lengths) = make_model(form), make_batch(3, 30)
    first = model(log_mel, lengths)[0]
    model(*make_batch(5, 50))
    assert torch.equal(model(log_mel, lengths)[0], first)
    assert not list(model.buffers())


@pytest.mark.parametrize("form", ["rnn", "gru", "lstm", "lnlstm one way", "minlstm one way"])
@torch.inference_mode()
def test_one_direction_hears_only_what_came_before(form: str) -> None:
    encoder = make_model(form).encoder
    inputs, lengths = torch.randn(1, 12, 16), torch.tensor([12])
    before = encoder(inputs, lengths)
    inputs[0, 7] += 1.0
    after = encoder(inputs, lengths)
    assert torch.equal(before[0, :7], after[0, :7])
    assert (before[0, 7:] != after[0, 7:]).any(dim=1).all()


@pytest.mark.parametrize("form", ["rnn both ways", "bilstm", "lnlstm", "ligru", "minlstm", "transformer", "conformer"])
@torch.inference_mode()
def test_with_both_directions_every_frame_depends_on_the_whole_utterance(form: str) -> None:
    encoder = make_model(form).encoder
    inputs, lengths = torch.randn(1, 12, 16), torch.tensor([12])
    before = encoder(inputs, lengths)
    inputs[0, 7] += 1.0
    assert (before[0] != encoder(inputs, lengths)[0]).any(dim=1).all()


@pytest.mark.parametrize("form", FAMILY)
def test_bfloat16_autocast_runs_and_is_near(form: str) -> None:
    """As training with precision bf16 computes; log-probabilities stay float32."""
    model, (log_mel, lengths) = make_model(form).train(), make_batch(3, 20)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    exact = model(log_mel, lengths)[0]
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(log_mel, lengths)[0]
    except RuntimeError as error:
        pytest.skip(f"this CPU has no bfloat16 for this layer: {str(error).splitlines()[0]}")
    assert rough.dtype == torch.float32
    rough[..., 1].sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in model.parameters() if one.grad is not None)
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.2)


@pytest.mark.parametrize("form", FAMILY)
def test_a_saved_model_comes_back_to_the_bit(form: str, tmp_path: Path) -> None:
    features, tokenizer = LogMel(LogMelConfig(n_mels=N_MELS)), CharacterTokenizer.from_texts(["abcdefghi"])
    shaped = make_model(form).config
    model = AcousticModel(shaped, N_MELS, tokenizer.vocab_size).eval()
    save_pretrained(tmp_path / "model", features, model, tokenizer, {})
    loaded = from_pretrained(tmp_path / "model").model
    assert loaded.config == shaped and type(loaded.config) is type(shaped)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    with torch.inference_mode():
        assert torch.equal(loaded(*make_batch(3, 30))[0], model(*make_batch(3, 30))[0])


@pytest.mark.parametrize("name", ENCODERS)
def test_the_vocabulary_holds_every_key_with_the_typed_default(name: str, repository: Path) -> None:
    values = OmegaConf.to_container(OmegaConf.load(repository / "conf" / "model" / f"{name}.yaml"))
    assert isinstance(values, dict)
    assert {str(key): value for key, value in values.items()} == to_plain(build_model_config({"name": name}))


def test_every_config_of_conf_model_is_of_similar_size() -> None:
    """80 mel bins, 29 tokens: within 4.5 % of the BiLSTM's weights."""
    sizes = {}
    for name, values in model_configs([]).items():
        with torch.device("meta"):
            model = AcousticModel(build_model_config(values), 80, 29)
        sizes[name] = sum(one.numel() for one in model.parameters())
    assert sizes.keys() == {*ENCODERS, "bilstmp"}
    assert sizes["bilstm"] == 6_597_885
    assert all(abs(size / sizes["bilstm"] - 1) < 0.045 for size in sizes.values()), sizes


def test_settings_of_a_run_find_the_class_by_its_name() -> None:
    config = build(TrainSettings, {"model": {"name": "lstm", "hidden_size": 8}}).model
    assert config == LstmConfig(hidden_size=8)
    assert build(TrainSettings, {"model": {"hidden_size": 8}}).model.name == "bilstm"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "lstmm"}, "model.name='lstmm' is unknown; did you mean 'lstm'?"),
        ({"name": "bilstm", "bidirectional": False}, "unknown key 'model.bidirectional'"),
        ({"name": "gru", "bidirectional": "both"}, "model.bidirectional must be true or false"),
        ({"name": "gru", "forget_bias": 1.0}, "unknown key 'model.forget_bias'"),
        ({"name": "gru", "projection_size": 4}, "unknown key 'model.projection_size'"),
        ({"name": "gru", "num_layers": 0}, "model.num_layers=0 must be 1 to 64"),
        ({"name": "lstm", "projection_size": 544}, "model.projection_size=544 must be between 1 and hidden_size - 1"),
        ({"name": "rnn", "hidden_size": 0}, "model.hidden_size=0 must be at least 1"),
        ({"name": "rnn", "input_gain": 0}, "model.input_gain=0.0 must be above 0"),
        ({"name": "gru", "input_gain": 0.1}, "unknown key 'model.input_gain'"),
        ({"name": "lnlstm", "dropout": 1.5}, "model.dropout=1.5 must be in [0, 1)"),
        ({"name": "ligru", "recurrent_norm": 1}, "model.recurrent_norm must be true or false"),
        ({"name": "minlstm", "output_dropout": -1}, "model.output_dropout=-1.0 must be in [0, 1)"),
        ({"name": "transformer", "heads": 0}, "model.heads=0 must be at least 1"),
        ({"name": "transformer", "heads": 3}, "model.hidden_size=256 must be a multiple of model.heads=3"),
        ({"name": "transformer", "feedforward_factor": 0}, "model.feedforward_factor=0 must be at least 1"),
        ({"name": "transformer", "max_distance": 8}, "model.max_distance=8 must be above 8"),
        ({"name": "transformer", "num_layers": 65}, "model.num_layers=65 must be 1 to 64"),
        ({"name": "transformer", "input_dropout": 1.0}, "model.input_dropout=1.0 must be in [0, 1)"),
        ({"name": "conformer", "kernel_size": 4}, "model.kernel_size=4 must be odd and at least 1"),
        ({"name": "conformer", "heads": 7}, "model.hidden_size=256 must be a multiple of model.heads=7"),
    ],
)
def test_a_wrong_setting_is_reported_in_one_line(values: dict[str, Any], words: str) -> None:
    for make in (build_model_config, lambda given: build(TrainSettings, {"model": given})):
        with pytest.raises(ConfigError) as caught:
            make(values)
        assert words in str(caught.value) and "\n" not in str(caught.value)
