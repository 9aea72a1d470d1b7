"""What a task took: seconds, and the most memory of its process."""

import contextlib
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from data_pipeline.runner.protocol import ArgumentT, Measured, ResultT

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): sets the peak resident set to what is resident now


def measured(function: Callable[[ArgumentT], ResultT], argument: ArgumentT) -> Measured[ResultT]:
    """Run a task in this process, and say what it took."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
    started_at, started = time.time(), time.monotonic()
    value = function(argument)
    seconds = time.monotonic() - started
    return Measured(
        value, seconds, _peak_rss_bytes(), f"{platform.node()}:{os.getpid()}", started_at
    )


def _peak_rss_bytes() -> int:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0
