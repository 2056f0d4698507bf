"""What a GPU needs of a training step, as far as it can be shown without one.

A tensor on torch's "meta" device has a shape and no values: whatever would copy one back to the host raises, so that a
step's forward and backward pass there only if neither waits for the device.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from asr.data.dataset import Batch
from asr.features import LogMelConfig, SpecAugmentConfig, build_features
from asr.training.config import OptimizerConfig
from asr.training.distributed import Processes, start_processes
from asr.training.objective import TrainedModel
from asr.training.step import Stepper, build_optimizer, uploaded_ahead
from tests.models.family import FAMILY, N_MELS, make_model

SAMPLES = [4000, 2200, 1000]  # short: a loop over frames takes its time on the device "meta"


def make_batch() -> Batch:
    waveforms = torch.randn(len(SAMPLES), max(SAMPLES), generator=torch.Generator().manual_seed(1))
    return Batch(waveforms, torch.tensor(SAMPLES), [[1, 2], [3], [4]], [0, 1, 2])


def make_stepper(form: str, device: str) -> Stepper:
    model = make_model(form).train().to(device)
    return Stepper(
        features=build_features(LogMelConfig(n_mels=N_MELS)).to(device),
        model=TrainedModel(model),
        optimizer=build_optimizer(model, OptimizerConfig(name="sgd")),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        processes=Processes(0, 1, torch.device(device)),
        spec_augment=SpecAugmentConfig(),
        clip_norm=5.0,
        precision="fp32",
        seed=1,
        ids=["a", "b", "c"],
    )


@pytest.mark.parametrize("form", FAMILY)
def test_forward_and_backward_read_nothing_back_from_the_device(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, seen = make_stepper(form, "meta"), []

    def loss(log_probs: Tensor, targets: Tensor, lengths: Tensor, sizes: Tensor, **_: Any) -> Tensor:
        seen.append((log_probs.device.type, targets.device.type, lengths.device.type, sizes.device.type))
        return log_probs.sum(dim=(0, 2))

    monkeypatch.setattr("torch.nn.functional.ctc_loss", loss)
    losses = stepper._backward(make_batch(), 1, len(SAMPLES), blank_penalty=1.0)
    assert losses.device.type == "meta" and losses.shape == (len(SAMPLES),)
    assert seen == [("meta", "meta", "cpu", "cpu")]
    assert all(one.grad is not None for one in stepper.model.parameters())


def test_a_value_that_is_read_back_does_raise_there() -> None:
    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.zeros(2, device="meta").tolist()


def test_a_step_reads_its_results_in_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, reads = make_stepper("bilstm", "cpu"), []
    honest = Tensor.tolist

    def tolist(self: Tensor) -> Any:
        reads.append(self.dtype)
        return honest(self)

    monkeypatch.setattr(Tensor, "tolist", tolist)
    for name in ("item", "cpu", "__bool__", "__float__"):
        monkeypatch.setattr(Tensor, name, lambda self, name=name: pytest.fail(f"Tensor.{name} in a step"))
    monkeypatch.setattr(Tensor, "cpu", lambda self: self if self.dtype == torch.int64 else pytest.fail("Tensor.cpu"))
    result = stepper.step([make_batch(), make_batch()], 0, 2 * len(SAMPLES))
    assert result.updated
    assert [kind for kind in reads if kind.is_floating_point] == [torch.float64]


def test_what_is_not_finite_is_listed_the_utterance_first() -> None:
    stepper, batch = make_stepper("bilstm", "cpu"), make_batch()
    norms = [1.0] * sum(1 for _ in stepper.model.parameters())
    stepper._backward(batch, 1, 3)
    losses = [torch.tensor([1.0, torch.nan, 2.0])]
    assert stepper._cause([batch], losses, norms) == "the loss of 1 of 3 utterances is not a finite number: b"
    norms[0] = torch.inf
    assert "the gradient of subsampling.convolutions.0.weight is not" in stepper._cause([batch], [torch.ones(3)], norms)


def test_on_the_cpu_batches_pass_as_they_are_and_no_earlier() -> None:
    made = []

    def source() -> Any:
        for index in range(2):
            made.append(index)
            yield make_batch()

    batches = uploaded_ahead(source(), torch.device("cpu"))
    assert next(batches).waveforms.device.type == "cpu" and made == [0]


def test_a_process_takes_its_gpu_before_it_joins_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    gpu = torch.device("cuda", 1)
    monkeypatch.setattr("asr.training.distributed.choose_device", lambda name, rank: gpu)
    monkeypatch.setattr("torch.cuda.set_device", lambda device: calls.append(device))
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *one, **other: calls.append((one, other)))
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert start_processes("cuda").device == gpu
    assert calls == [gpu, (("nccl",), {"rank": 1, "world_size": 2, "device_id": gpu})]
