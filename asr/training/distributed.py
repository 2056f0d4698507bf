"""One process or many, on one machine or several, through torchrun's environment.

Alone, everything here does nothing.
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

    def sum(self, values: Tensor) -> Tensor:
        """``values`` added up over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """True when it is true in any process."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)).item()) if self.count > 1 else flag

    def share_from_main(self, values: list[object]) -> list[object]:
        """The main process's plain ``values``, in every process."""
        if self.count > 1:
            dist.broadcast_object_list(values, src=0)
        return values

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.count > 1:
            dist.barrier()


def start_processes(device_name: str) -> Processes:
    """Join the processes that torchrun started (nccl on GPUs, gloo on CPUs), or stand alone. Raises ConfigError."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = choose_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
    if count > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=count)
    return Processes(rank, count, device)


def stop_processes(processes: Processes) -> None:
    """Leave the group."""
    if processes.count > 1 and dist.is_initialized():
        dist.destroy_process_group()
