"""Runs a script on several ranks as a launcher would, for tests that need a process group."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER_VARIABLES = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT"),
)


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rank_environment(rank: int, world_size: int, port: int) -> dict[str, str]:
    """The environment a launcher gives to a rank; world size 0: that of a plain process."""
    environment = {k: v for k, v in os.environ.items() if k not in LAUNCHER_VARIABLES}
    environment |= {"OMP_NUM_THREADS": "1"}
    if world_size:
        environment |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    return environment


def start_ranks(arguments: Sequence[str], world_size: int) -> list[subprocess.Popen[str]]:
    """`python ARGUMENTS` for each rank; world_size 0: once, without a launcher's variables.

    Each leads a process group of its own, so that a test may kill it with its children.
    """
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=rank_environment(rank, world_size, port),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for rank in range(max(world_size, 1))
    ]


def run_ranks(
    arguments: Sequence[str], world_size: int, *, timeout_seconds: float = 240, expect: int = 0
) -> str:
    """The output of all ranks, rank after rank, once each has ended with code `expect`."""
    processes = start_ranks(arguments, world_size)
    outputs = []
    try:
        outputs = [process.communicate(timeout=timeout_seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    codes = [process.returncode for process in processes]
    assert codes == [expect] * len(codes), f"exit codes {codes}\n" + "\n".join(outputs)
    return "\n".join(outputs)
