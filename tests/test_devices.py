"""Devices, precision and threads are chosen by name, and what this machine lacks is refused in one line."""

import pytest
import torch

from asr.cores import limited_cores, usable_cores
from asr.devices import PRECISIONS, allow_tf32, autocast, check_precision, choose_device, set_threads, torch_as_before
from asr.errors import ConfigError
from asr.provenance import hardware

CPU = torch.device("cpu")


def test_a_device_is_chosen_by_name() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="'gpu' is unknown; use auto, cpu"):
        choose_device("gpu")
    for name in ("meta", "mps", "xpu:0"):
        with pytest.raises(ConfigError, match=f"device {name}: only cpu and cuda are supported"):
            choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_gpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="sees no GPU"):
        choose_device("cuda")


def test_a_gpu_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == choose_device("auto", 1) == choose_device("cuda", 1) == torch.device("cuda:1")
    processes = "start at most 2 processes here"
    for name, local_rank, remedy in (("cuda:2", 0, "use one of these"), ("auto", 2, processes), ("cuda", 2, processes)):
        with pytest.raises(ConfigError, match=f"device cuda:2: torch sees only cuda:0, cuda:1 here; {remedy}"):
            choose_device(name, local_rank)


def test_fp16_is_for_gpus() -> None:
    check_precision(CPU, "fp32")
    with pytest.raises(ConfigError, match=r"fp16 is for GPUs .* use training.precision=fp32, or bf16"):
        check_precision(CPU, "fp16")
    check_precision(torch.device("cuda:0"), "fp16")


@pytest.mark.parametrize(("flags", "slow"), [("avx2 avx512f", True), ("avx2 amx_bf16", False), ("", False)])
def test_bf16_without_instructions_for_it_is_warned_of(monkeypatch: pytest.MonkeyPatch, flags: str, slow: bool) -> None:
    monkeypatch.setattr("asr.devices.processor_flags", lambda: set(flags.split()))
    warning = check_precision(CPU, "bf16")
    assert bool(warning) == slow and (not slow or "training.precision=fp32" in str(warning))
    assert check_precision(CPU, "fp32") is None and check_precision(torch.device("cuda:0"), "bf16") is None


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_sets_the_type_of_a_product(precision: str, expected: torch.dtype) -> None:
    assert precision in PRECISIONS
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_threads_are_set_only_where_a_number_is_given() -> None:
    before = torch.get_num_threads()
    try:
        set_threads(2)
        assert torch.get_num_threads() == 2
        set_threads(None)
        assert torch.get_num_threads() == 2 and hardware("cpu").endswith(", 2 threads")
    finally:
        torch.set_num_threads(before)
    assert usable_cores() >= 1


@pytest.mark.skipif(usable_cores() < 2, reason="this machine has one core")
def test_a_measurement_is_limited_to_some_cores() -> None:
    before = usable_cores()
    with pytest.raises(KeyError), limited_cores(1):
        assert usable_cores() == 1
        raise KeyError
    assert usable_cores() == before


def test_tf32_is_allowed_for_one_training_only() -> None:
    def allowed() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = allowed()
    for choice, inside in ((True, ("high", True)), (False, ("highest", False))):
        with torch_as_before(CPU):
            allow_tf32(choice)
            assert allowed() == inside
        assert allowed() == before
