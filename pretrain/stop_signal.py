"""When to end early: a signal on any rank, or a launcher that is gone.

`deepspeed` on one machine is two processes over the ranks: the command itself, and the launcher
of the machine that it starts. The launcher passes a SIGTERM on to the ranks (and kills them 30 s
later), but the command dies of one without telling anybody, and the ranks would go on unattended;
so they watch it.
"""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import psutil

from pretrain.distributed import World

DEEPSPEED_LAUNCHER = "deepspeed.launcher.launch"
"""Module in the command line of DeepSpeed's launcher of a machine, the parent of its ranks."""

Handler = Callable[[int, FrameType | None], Any] | int | None


class StopSignal:
    """SIGTERM or SIGINT on any rank stops all ranks after the same step.

    The first signal sets a flag, later ones change nothing, so a launcher that repeats its signal
    cannot break the save. Works within a `with` block; behind it the handlers before are back, but
    after a stop signals are ignored, so that each rank ends with its own exit code.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_stopping = False
        self.received = 0
        """Number of the first signal this rank had; 0: none."""
        self._before: dict[int, Handler] = {}
        self._launcher = _launcher_chain()

    def __enter__(self) -> "StopSignal":
        for number in self.SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._is_stopping else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's shape
        self.received = self.received or number

    def requested(self) -> bool:
        """Whether any rank is to stop: the same answer on every rank, so all of them call it."""
        is_orphan = self._launcher != _launcher_chain()
        self._is_stopping = self._world.sum(float(bool(self.received) or is_orphan)) > 0
        return self._is_stopping


def _launcher_chain() -> tuple[int, ...]:
    """Process ids of DeepSpeed's launcher and of its parent, as they are now; empty without it."""
    try:
        launcher = psutil.Process().parent()
        if launcher is None or DEEPSPEED_LAUNCHER not in launcher.cmdline():
            return ()
        return (launcher.pid, launcher.ppid())
    except psutil.Error:
        return ()
