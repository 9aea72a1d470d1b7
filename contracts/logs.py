"""The one place where logging is configured: time, rank and level on each line, to stderr."""

import logging
import os
import sys


def configure_logging(*, rank: int = 0, level: int = logging.INFO) -> None:
    """Send the log to stderr: rank 0 at `level`, the others at WARNING.

    Args:
        rank: global rank of this process, printed in each line.
        level: threshold of rank 0.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter(
            f"%(asctime)s rank={rank} %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if rank == 0 else logging.WARNING)
    for noisy in ("fontTools", "matplotlib", "urllib3", "alembic", "trafilatura", "botocore"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def rank_of_environment() -> int:
    """RANK as a launcher set it; 0 without one. Only for the log: `World` is the authority."""
    return int(os.environ.get("RANK", "0"))
