"""One process or several, on one machine or many, by the environment that torchrun sets.

In: a device name. Out: ``Processes``, whose sums and barriers do nothing where there is one process alone. For
``training.processes`` above 1 ``helper_processes`` starts the others, with the environment that torchrun would give
them; whatever ends this process ends them too, as they watch their standard input.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor
from torch import distributed as dist

from asr.cores import local_rank, rank_and_count
from asr.devices import choose_device
from asr.errors import AsrError, ConfigError, Interrupted, TrainingError

HELPER = "from asr.training.start import help_training; help_training()"
READY = b"ready\n"
END_S = 10.0  # what a helper may take to end by itself


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
    rank, count = rank_and_count()
    device = choose_device(device_name, local_rank())
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)  # before the first collective: else every process also opens GPU 0
    if count > 1 and not dist.is_initialized():
        backend = "nccl" if on_gpu else "gloo"
        try:
            dist.init_process_group(backend, rank=rank, world_size=count, device_id=device if on_gpu else None)
        except ValueError as error:  # of MASTER_ADDR or MASTER_PORT
            advice = "start the training with torchrun, which sets them, or unset RANK and WORLD_SIZE"
            raise ConfigError(f"environment: WORLD_SIZE={count}, RANK={rank}: {error}; {advice}") from None
    return Processes(rank, count, device)


def advice_on_restarts() -> str | None:
    """What torchrun must be given so that processes that it starts again meet each other; None where all is well.

    It keeps its store over restarts, and with it the addresses of those that ended, and lets no other machine in
    (pytorch issues 135712, 167288), unless it is told not to share it.
    """
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if not shared or os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") == "0":
        return None
    return (
        "torchrun --max-restarts: also set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on every machine; without it what is"
        " started again may look for processes that are gone"
    )


@contextlib.contextmanager
def lost_process_named(run_path: Path) -> Iterator[None]:
    """Raise TrainingError in place of what torch raises where another process of the training is gone."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if not isinstance(error, dist.DistError) and "gloo" not in text.lower():  # gloo's are of no class
            raise
        raise TrainingError(
            f"{run_path}: another process of this training ended or cannot be reached ({text[:200]}); to go on from the"
            " last checkpoint, give the same command again, which torchrun --max-restarts does by itself"
        ) from error


def stop_processes(processes: Processes) -> None:
    """Leave the group."""
    if processes.count > 1 and dist.is_initialized():
        dist.destroy_process_group()


@contextlib.contextmanager
def helper_processes(count: int, *arguments: Any) -> Iterator[None]:
    """Inside, this is the first of ``count`` processes; the others run asr.training.start.train with ``arguments``.

    Under torchrun nothing is started. Raises ConfigError where torchrun started another number of them, TrainingError
    with a helper's own message where that was the first to fail.
    """
    started = rank_and_count()[1]
    if started > 1 and count not in (1, started):
        raise ConfigError(f"training.processes={count}, but torchrun started {started} processes; set only one of them")
    if started > 1 or count == 1:
        yield
        return
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    group = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    helpers: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryFile() as said, _environment(group | {"RANK": "0", "LOCAL_RANK": "0"}):
        try:
            for rank in range(1, count):
                helpers.append(_start_helper(rank, arguments, said))
            if any(helper.stdout is None or helper.stdout.readline() != READY for helper in helpers):
                raise RuntimeError("a helper process ended")
            yield
        except (AsrError, KeyboardInterrupt) as error:
            _end(helpers, END_S if isinstance(error, Interrupted) else 0.0)  # a signal stops all processes together
            raise
        except Exception:
            _end(helpers, 1.0)
            if not (message := _last_line(said)):
                raise
            raise TrainingError(f"one of training.processes={count} ended: {message}") from None
        finally:
            _end(helpers, END_S)


def arguments_of_helper() -> tuple[Any, ...]:
    """In a helper: what ``helper_processes`` was given. The helper ends once its starter does."""
    arguments: tuple[Any, ...] = pickle.load(sys.stdin.buffer)

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock a forked data worker would wait for when it closes it
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return arguments


def _start_helper(rank: int, arguments: tuple[Any, ...], said: IO[bytes]) -> "subprocess.Popen[bytes]":
    package = str(Path(__file__).resolve().parents[2])
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    place["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    helper = subprocess.Popen(
        [sys.executable, "-c", HELPER],
        env=os.environ | place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        start_new_session=True,  # Ctrl-C is for the first process, which tells the others
    )
    assert helper.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        helper.stdin.write(pickle.dumps(arguments))
        helper.stdin.flush()
    return helper


def _end(helpers: list["subprocess.Popen[bytes]"], seconds: float) -> None:
    """Let ``helpers`` end by themselves within ``seconds`` each, then end them: they write no files."""
    for helper in helpers:
        try:
            helper.wait(seconds)
        except subprocess.TimeoutExpired:
            helper.kill()
            helper.wait()
        for stream in (helper.stdin, helper.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
