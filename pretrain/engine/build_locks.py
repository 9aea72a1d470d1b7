"""Removes locks that a killed process left in torch's cache of compiled extensions.

Torch guards each build by a file named `lock` and waits for it without end. The builder keeps the
file open, so a lock that no living process has open belongs to nobody. Looks at processes of this
machine only: a cache shared between machines is left alone while its lock is younger than
`MIN_AGE_SECONDS`.
"""

import logging
import time
from pathlib import Path

logger = logging.getLogger(__name__)

MIN_AGE_SECONDS = 600.0
"""The longest build seen took 48 s; a lock of another machine is not removed before this."""


def remove_stale_build_locks(
    cache: Path, *, min_age_seconds: float = MIN_AGE_SECONDS
) -> list[Path]:
    """Locks under `cache` that were removed because their owner is dead."""
    if not Path("/proc/self/fd").is_dir():
        return []
    locks = [path for pattern in ("*/lock", "*/*/lock") for path in cache.glob(pattern)]
    removed = []
    for lock in locks:
        try:
            age_seconds = time.time() - lock.stat().st_mtime
        except FileNotFoundError:
            continue
        if _is_open_somewhere(lock):
            logger.warning("build lock %s is held by a living process: waiting for its build", lock)
        elif age_seconds < min_age_seconds:
            logger.warning(
                "build lock %s is held by no process of this machine but only %.0f s old: if the "
                "next lines hang, remove it",
                lock,
                age_seconds,
            )
        else:
            lock.unlink(missing_ok=True)
            logger.warning(
                "removed build lock %s: %.0f s old, its owner is dead", lock, age_seconds
            )
            removed.append(lock)
    return removed


def _is_open_somewhere(path: Path) -> bool:
    target = str(path.resolve())
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(entry.readlink()) == target for entry in descriptors.iterdir()):
                return True
        except OSError:
            continue  # the process ended, or belongs to another user
    return False
