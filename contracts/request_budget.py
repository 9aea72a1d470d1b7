"""Requests to one host, spaced over all processes of this machine that read from it.

The state is a small file under the system's temporary folder, locked while it is changed: when the
next request may start. So the workers of a job, and other jobs of the same user, share one budget,
and a host that asks for a pause is left alone by all of them. Each machine of a cluster has its
own: give a cluster of N machines an N-th of what the host may see.
"""

import fcntl
import os
import struct
import tempfile
import time
from pathlib import Path

from contracts.errors import ConfigError

BURST_SECONDS = 1.0
"""What was not asked for in so long may be asked for at once."""
LONGEST_PAUSE_SECONDS = 3600.0
"""A later time than that in the file is not of a host but of a clock that was set."""


class RequestBudget:
    """When the next request to a host may start."""

    def __init__(
        self, host: str, requests_per_second: float | None, *, folder: Path | None = None
    ) -> None:
        self._spacing = 0.0 if requests_per_second is None else 1.0 / requests_per_second
        folder = folder or Path(tempfile.gettempdir()) / f"headwater-budget-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise ConfigError(
                f"{folder}, where processes share their request budget, belongs to another user; "
                "remove it or set TMPDIR to a folder of your own"
            )
        self._path = folder / "".join(c if c.isalnum() else "_" for c in host)

    def wait_seconds(self) -> float:
        """Take one request from the budget; how long to wait before it is made."""
        return self._moved(self._spacing, 0.0)

    def pause(self, seconds: float) -> None:
        """Let nobody ask this host for so long."""
        self._moved(0.0, min(seconds, LONGEST_PAUSE_SECONDS))

    def _moved(self, spacing: float, pause: float) -> float:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            now = time.time()
            data = os.pread(descriptor, 8, 0)
            free_at = struct.unpack("<d", data)[0] if len(data) == 8 else 0.0
            if not now - BURST_SECONDS < free_at < now + LONGEST_PAUSE_SECONDS + 1:
                free_at = now - BURST_SECONDS
            os.pwrite(
                descriptor,
                struct.pack("<d", max(free_at + spacing, now + pause if pause else 0.0)),
                0,
            )
        finally:
            os.close(descriptor)
        return max(0.0, free_at - now)
