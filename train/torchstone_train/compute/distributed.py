"""Several processes that train one model, started by `torchrun`; one process is the ordinary case.

Each process takes its share of every batch; DistributedDataParallel averages their gradients. The first one (rank 0)
alone reads the network, prints and writes files.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import torch
from torch import Tensor, distributed, nn

from torchstone_runtime.errors import RemoteError, UsageError, first_line
from torchstone_runtime.system.cpu import usable_cpus

_T = TypeVar("_T")
_ASK_EVERY: Final = 32
"""Steps between two questions whether any process was interrupted: each answer waits for all of them."""
_LOST: Final = ("connection closed by peer", "connection reset by peer", "connection refused", "timed out waiting")
"""What Gloo and PyTorch's store say, in small letters, where another process has ended."""


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: rank of this process, from 0; size: number of processes.
        local_rank: among the processes on this machine; local_size: how many there are.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """CPU threads for this process: its share of what this machine offers."""
        return max(1, usable_cpus() // self.local_size)

    @property
    def compute_threads(self) -> int:
        """CPU threads of PyTorch's operators: `threads`, or fewer where OMP_NUM_THREADS says so.

        Of several processes the variable says nothing: `torchrun` sets it to 1 itself.
        """
        stated, _, _ = os.environ.get("OMP_NUM_THREADS", "").partition(",")
        if self.local_size > 1 or not stated.strip().isdecimal():
            return self.threads
        return min(self.threads, max(1, int(stated)))

    def place(self, device: torch.device) -> torch.device:
        """Return this process's own device: the GPU of its local rank, or the CPU."""
        return torch.device("cuda", self.local_rank) if self.size > 1 and device.type == "cuda" else device

    def check_batch(self, batch_size: int) -> None:
        """Raise a UsageError where a batch can't be shared evenly."""
        if batch_size % self.size:
            raise UsageError(
                f"A batch of {batch_size} can't be shared by {self.size} processes.",
                f"Choose a multiple of {self.size} for --batch-size.",
            )

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model so that a backward pass averages the gradients of all processes."""
        return model if self.size == 1 else nn.parallel.DistributedDataParallel(model)

    def share(self, order: Tensor, *, even: bool) -> Tensor:
        """Return this process's part of a sequence of samples, every `size`-th from `rank` on.

        With `even`, samples from the beginning are added, again and again where there are fewer than processes, so
        that every process has equally many.
        """
        missing = -len(order) % self.size if even else 0
        added = torch.arange(missing) % max(1, len(order))
        return torch.cat([order, order[added]])[self.rank :: self.size]

    def spread_buffers(self, model: nn.Module) -> None:
        """Let the model have the buffers of numbers with a fraction that it has in the first process.

        Batch norm's statistics are such: in training, each process takes its own share of a batch into them.
        """
        for buffer in model.buffers() if self.size > 1 else ():
            if buffer.is_floating_point():  # others count batches, or are the same from the start
                distributed.broadcast(buffer, src=0)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def gather(self, values: Tensor) -> Tensor:
        """Return the values (n) of all processes, one after the other; each may have another number of them."""
        if self.size == 1:
            return values
        counts = torch.zeros(self.size, dtype=torch.int64, device=values.device)
        counts[self.rank] = len(values)
        counts = self.sum(counts)
        start = int(counts[: self.rank].sum())
        gathered = torch.zeros(int(counts.sum()), dtype=values.dtype, device=values.device)
        gathered[start : start + len(values)] = values
        return self.sum(gathered)

    def exchange(self, value: _T) -> list[_T]:
        """Return what every process gave, in the order of their ranks; values are pickled on their way."""
        if self.size == 1:
            return [value]
        values: list[_T | None] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # each place is filled

    def anyone(self, flag: bool, step: int, device: torch.device) -> bool:
        """Return whether the flag is set in any process; among several, asked only at some steps (from 0)."""
        if self.size == 1:
            return flag
        if step % _ASK_EVERY:
            return False
        return bool(self.sum(torch.tensor(int(flag), device=device)).item())

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Let rank 0 run the block alone, then the others: what it fetched or made is there for them."""
        if not self.is_first:
            self._wait()
        yield
        if self.is_first:
            self._wait()

    def _wait(self) -> None:
        if self.size > 1:
            distributed.barrier()


def launch() -> str | None:
    """Return the name of the job that `torchrun` started this process for (`--rdzv-id`); None without `torchrun`."""
    return os.environ.get("TORCHELASTIC_RUN_ID")


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """Join the processes that `torchrun` started, for the time of the block; without it, be alone.

    Args:
        device: decides how they talk: NCCL between GPUs, Gloo between CPUs.

    Raises:
        UsageError: several processes on one GPU, Apple's or NVIDIA's.
        RemoteError: another process ended while this one waited for it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World()
        return
    if device.type == "mps":
        raise UsageError("An Apple GPU trains in one process only.", "Start torchstone without torchrun.")
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    world = World(*(int(os.environ[name]) for name in names))
    if device.type == "cuda":
        _require_gpus(world.local_size)
        torch.cuda.set_device(world.local_rank)
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        yield world
    except RuntimeError as error:
        if _is_loss(error):
            raise _lost(error) from error
        raise
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _require_gpus(processes: int) -> None:
    found = torch.cuda.device_count()
    if processes > found:
        gpus = "1 GPU" if found == 1 else f"{found} GPUs"
        raise UsageError(
            f"torchrun started {processes} processes on this machine, and PyTorch can use {gpus} on it.",
            f"Each process needs a GPU of its own: --nproc-per-node {found}. "
            "--device cpu trains in several processes without one.",
        )


def _is_loss(error: RuntimeError) -> bool:
    known = isinstance(error, (distributed.DistBackendError, distributed.DistNetworkError))
    return known or any(words in str(error).lower() for words in _LOST)


def _lost(error: RuntimeError) -> RemoteError:
    return RemoteError(
        "Another process of this training has ended, or its machine cannot be reached any more.",
        "Its own message says why. torchrun starts all of them again where --max-restarts allows it, and the run then "
        "continues after its last epoch; --resume does the same by hand.",
        [first_line(error)],
    )
