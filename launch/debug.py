"""The verb `debug`: becomes `python -m pretrain debug` in the environment of one process.

It replaces this process and starts no child, so that pdb has the terminal and Ctrl-C reaches it.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

logger = logging.getLogger(__name__)

LAUNCHER_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)
"""What a launcher sets for many ranks; left over from one, they would make this wait for others."""


def debug_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for one process on one device, told to stop at the operation that failed."""
    found = {name: value for name, value in environment.items() if name not in LAUNCHER_VARIABLES}
    first_gpu = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return found | {
        "CUDA_VISIBLE_DEVICES": first_gpu,
        "CUDA_LAUNCH_BLOCKING": "1",  # an error on the GPU is raised where it happened
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # deterministic products, as torch demands
        "PYTHONFAULTHANDLER": "1",
    }


def main(words: Sequence[str]) -> NoReturn:
    """Become `python -m pretrain debug WORDS`."""
    command = [sys.executable, "-m", "pretrain", "debug", *words]
    logger.info("exec %s", " ".join(command[1:]))
    sys.stdout.flush()
    os.execve(sys.executable, command, debug_environment(os.environ))  # noqa: S606 - no shell wanted
