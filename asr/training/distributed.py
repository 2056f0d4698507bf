"""One process or several, on one machine or many, by the environment that torchrun sets.

In: a device name. Out: ``Processes``, whose sums and barriers do nothing where there is one process alone.
"""

import os
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

from asr.devices import choose_device


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's ``rank`` among ``count``, and its ``device``."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True for the one process that writes files."""
        return self.rank == 0

    @property
    def pins(self) -> bool:
        """Whether batches belong in page-locked memory, from which a GPU reads while it computes."""
        return self.device.type == "cuda"

    def sum(self, values: Tensor) -> Tensor:
        """``values`` added up over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is set in any process."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)).item()) if self.count > 1 else flag

    def wait(self) -> None:
        """Return once every process has called this."""
        if self.count > 1:
            dist.barrier()


def start_processes(device_name: str) -> Processes:
    """Join the processes that torchrun started (nccl on GPUs, gloo on CPUs), or run alone. Raises ConfigError."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = choose_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)  # before the first collective: else every process also opens GPU 0
    if count > 1 and not dist.is_initialized():
        dist.init_process_group(
            "nccl" if on_gpu else "gloo", rank=rank, world_size=count, device_id=device if on_gpu else None
        )
    return Processes(rank, count, device)


def stop_processes(processes: Processes) -> None:
    """Leave the group."""
    if processes.count > 1 and dist.is_initialized():
        dist.destroy_process_group()
