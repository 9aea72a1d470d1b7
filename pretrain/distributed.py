"""Where this process stands among the ranks, and the few things ranks do together.

The launcher's environment variables are read once, in `World.from_environment`. A process without
a launcher is a world of one, which needs no process group. Every method that communicates is
called by all ranks or by none.
"""

import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from contracts.errors import ConfigError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
COLLECTIVE_TIMEOUT = timedelta(minutes=30)
"""A rank that waits longer than this for the others fails; a save of a large model fits in."""


@dataclass(frozen=True)
class World:
    """This process among all: its rank, its machine's, and its place in data parallelism."""

    rank: int
    local_rank: int
    world_size: int
    dp_rank: int
    dp_world_size: int
    device: torch.device
    backend: str
    """`nccl` or `gloo`; `none` for a single process without a process group."""
    local_world_size: int = 1
    """Processes of this run on this machine."""

    @staticmethod
    def from_environment(*, local_rank: int | None = None) -> "World":
        """The world that RANK, LOCAL_RANK and WORLD_SIZE describe; one process without them.

        Args:
            local_rank: what the launcher also gave on the command line; must agree.

        Raises:
            ConfigError: a variable is missing, or two sources disagree.
        """
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
        given = {name: os.environ[name] for name in names if name in os.environ}
        if not given and local_rank is None:
            return World.single()
        missing = [name for name in names if name not in given]
        if missing:
            raise ConfigError(
                f"environment lacks {', '.join(missing)} though "
                f"{', '.join(given) or '--local_rank'} is set; start with the deepspeed launcher "
                "or torchrun, or unset them for one process"
            )
        rank, env_local_rank, world_size = (_integer(name, given[name]) for name in names)
        if local_rank is not None and local_rank != env_local_rank:
            raise ConfigError(
                f"--local_rank={local_rank} disagrees with LOCAL_RANK={env_local_rank} of the "
                "environment; let the launcher set both"
            )
        if not 0 <= rank < world_size:
            raise ConfigError(
                f"RANK={rank} is not within WORLD_SIZE={world_size}; fix the launcher"
            )
        device, backend = _device_and_backend(env_local_rank)
        return World(
            rank=rank,
            local_rank=env_local_rank,
            world_size=world_size,
            dp_rank=rank,
            dp_world_size=world_size,
            device=device,
            backend=backend,
            local_world_size=_local_world_size(),
        )

    @staticmethod
    def single() -> "World":
        """One process, no process group."""
        device, _ = _device_and_backend(0)
        return World(0, 0, 1, 0, 1, device, "none")

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes what is written once."""
        return self.rank == 0

    def start(self) -> None:
        """Take this rank's device and cores, and join the process group where there is one."""
        self._share_cores()
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.backend != "none" and not dist.is_initialized():
            dist.init_process_group(
                self.backend,
                rank=self.rank,
                world_size=self.world_size,
                timeout=COLLECTIVE_TIMEOUT,
            )

    def _share_cores(self) -> None:
        """On a CPU, threads for this rank's share of the cores, unless OMP_NUM_THREADS says."""
        if self.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
            torch.set_num_threads(max(1, cores // self.local_world_size))
        logger.info(
            "rank=%d of %d device=%s backend=%s threads=%d",
            self.rank,
            self.world_size,
            self.device,
            self.backend,
            torch.get_num_threads(),
        )

    def start_alone(self) -> None:
        """A process group of one where none is up: for libraries that do not run without."""
        if not dist.is_initialized():
            assert self.world_size == 1, "ranks of a launcher start together"
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)

    def stop(self) -> None:
        """Leave the process group, whoever made it."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def __enter__(self) -> "World":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:  # other ranks may be in a collective: a leave-taking would wait for them
            self.stop()

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world_size > 1:
            self.sum(0)

    def sum(self, value: float) -> float:
        """The sum of a number over all ranks, in fp64 (exact for counts below 2**53)."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total.item())

    def sum_tensor(self, value: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over all ranks, as a new tensor of the same shape and type."""
        total = value.detach().clone()
        if self.world_size > 1:
            dist.all_reduce(total)
        return total

    def gather(self, item: Item) -> list[Item]:
        """One small object of every rank, in the order of ranks, on every rank."""
        if self.world_size == 1:
            return [item]
        items: list[Any] = [None] * self.world_size
        dist.all_gather_object(items, item)
        return items

    def broadcast(self, item: Item) -> Item:
        """Rank 0's small object on every rank."""
        if self.world_size == 1:
            return item
        items: list[Any] = [item]
        dist.broadcast_object_list(items, src=0, device=self.device)
        received: Item = items[0]
        return received


def _local_world_size() -> int:
    """As torchrun (LOCAL_WORLD_SIZE) or DeepSpeed (LOCAL_SIZE) tell; 1 where neither does."""
    for name in ("LOCAL_WORLD_SIZE", "LOCAL_SIZE"):
        if name in os.environ:
            return _integer(name, os.environ[name])
    return 1


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(
            f"{name}={text!r} of the environment is not a whole number; fix the launcher"
        ) from error


def _device_and_backend(local_rank: int) -> tuple[torch.device, str]:
    if not torch.cuda.is_available():
        return torch.device("cpu"), "gloo"
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"LOCAL_RANK={local_rank} but this machine has {torch.cuda.device_count()} GPU(s); "
            "start no more processes than GPUs"
        )
    return torch.device("cuda", local_rank), "nccl"
