"""A unit's records worked on in a child process that a hanging or bursting page can only end.

The child limits itself: its processor time for each record by a timer, its memory by what the
system may map for it. So the parent need not watch: it takes batches from a pipe, and where the
pipe ends too early, the child's exit status says why and shared memory says at which record. The
next child reads the unit again, passes over what was delivered, and drops that record.

Children are forked by a server process (one for each worker, its modules loaded once), never from
the worker itself, which has threads. They die with their server, and that with its worker.
"""

import ctypes
import gc
import logging
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Protocol

from pydantic import PositiveFloat, PositiveInt

from contracts.config import Config
from contracts.errors import LaunchError
from contracts.logs import configure_logging
from data_pipeline.runner.retry import is_transient
from data_pipeline.stages.record_work import (
    Batch,
    Loss,
    RecordWork,
    Resume,
    UnitWork,
    unit_batches,
)

WALL_FACTOR = 20
"""A page may take this many times its processor seconds by the clock: a machine may be busy."""
PARSER_CRASHES = frozenset(
    {
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL),
        *(signal.SIGSYS, signal.SIGTRAP),
    }
)
_SERVER_DIED = 255
"""Exit code that multiprocessing gives to a process whose server is gone."""
_PR_SET_PDEATHSIG = 1
_PRELOADED = ["data_pipeline.stages.warm"]
"""What the server loads."""
_NOT_STARTED = -1


class PageLimitsConfig(Config):
    """What one page may cost before it is given up."""

    page_seconds: PositiveFloat = 30.0
    """Processor seconds of one page, from its bytes to its signature (`page_timeout`)."""
    page_memory_bytes: PositiveInt = 1 << 30
    """Memory that one page may take on top of what the process has (`page_memory`)."""


@dataclass(frozen=True)
class _End:
    """Behind the last batch of a child that ended well, or could not go on."""

    peak_memory_bytes: int = 0
    error: BaseException | None = None


class _Place(Protocol):
    """A number in shared memory: twice that of the record in work, less one while it is read."""

    value: int


class IsolatedWork:
    """The batches of a unit, from as many children as it takes."""

    def __init__(self, work: UnitWork, limits: PageLimitsConfig) -> None:
        self._work = work
        self._limits = limits
        self.peak_memory_bytes = 0
        """The most that a child that ended well had in memory."""

    def batches(self) -> Generator[Batch]:
        """All results of the unit.

        Raises:
            OSError: a child was ended from outside; the runner may try the unit again.
        """
        resume = Resume()
        suspects: frozenset[int] = frozenset()
        while True:
            child = _Child(self._work, self._limits, resume)
            try:
                for message in child.messages():
                    if isinstance(message, _End):
                        self.peak_memory_bytes = max(
                            self.peak_memory_bytes, message.peak_memory_bytes
                        )
                        if message.error is not None:
                            raise message.error
                        return
                    yield message
                    resume = replace(resume, num_records=message.num_records)
            finally:
                child.close()
            death = child.death(self._limits)
            if death.is_sure or death.place in suspects:
                resume = death.behind(resume)
            suspects |= {death.place}


@dataclass(frozen=True)
class _Death:
    """What a child died of, and where."""

    place: int
    loss: Loss
    is_sure: bool
    """Whether the page is to blame; else it is tried a second time."""

    def behind(self, resume: Resume) -> Resume:
        number, is_working = divmod(self.place, 2)
        if is_working:
            return replace(resume, lost={**resume.lost, number: self.loss})
        return replace(resume, unreadable=(number, self.loss))


class _Child:
    """One child process, as its parent sees it."""

    def __init__(self, work: UnitWork, limits: PageLimitsConfig, resume: Resume) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._receiving, sending = context.Pipe(duplex=False)
        self._place = context.RawValue(ctypes.c_int64, _NOT_STARTED)
        here = _Here(str(Path.cwd()), dict(os.environ))
        self._process = context.Process(
            target=_work_in_child,
            args=(work, limits, resume, here, sending, self._place),
            daemon=True,
        )
        try:
            with _without_main():
                self._process.start()
        except pickle.PicklingError as error:
            raise _not_started(str(error)) from error
        self._has_ended = False
        sending.close()

    def messages(self) -> Iterator[Batch | _End]:
        """What it sends, until it ends or dies."""
        while True:
            try:
                data = self._receiving.recv_bytes()
            except (EOFError, OSError):  # a message that was cut off is an OSError
                self._has_ended = True
                return
            yield pickle.loads(data)  # noqa: S301 - written by our own child, a moment ago

    def close(self) -> None:
        """End it, if it has not ended."""
        if not self._has_ended:
            self._process.kill()
        self._receiving.close()
        self._process.join()

    def death(self, limits: PageLimitsConfig) -> _Death:
        """What it died of.

        Raises:
            LaunchError: it could not be started.
            OSError: of nothing that a page can do.
        """
        place = self._place.value
        code = self._process.exitcode
        assert code is not None
        if place == _NOT_STARTED and code > 0 and code != _SERVER_DIED:
            raise _not_started(f"it ended with code {code}, its own message stands above")
        if code >= 0:
            if code == _SERVER_DIED:
                raise OSError("the server of page processes was ended from outside")
            return _Death(place, Loss("parser_crash", f"exit {code}"), is_sure=True)
        number = -code
        if number == signal.SIGPROF:
            loss = Loss("page_timeout", f"more than {limits.page_seconds:g} processor seconds")
            return _Death(place, loss, is_sure=True)
        if number == signal.SIGALRM:
            seconds = WALL_FACTOR * limits.page_seconds
            return _Death(place, Loss("page_timeout", f"more than {seconds:g} s"), is_sure=False)
        if number == signal.SIGKILL:  # most likely by the system, which had no memory left
            return _Death(place, Loss("page_memory", "ended by the system"), is_sure=False)
        name = signal.Signals(number).name
        if number not in PARSER_CRASHES:
            raise OSError(f"a page process was ended from outside ({name})")
        return _Death(place, Loss("parser_crash", name), is_sure=True)


def _not_started(reason: str) -> LaunchError:
    return LaunchError(
        f"the process that works on pages could not be started: {reason}. It does not load the "
        "program's main module: what a script adds to the job must stand in a module that can be "
        "imported; `limits: null` works on pages without such a process"
    )


@contextmanager
def _without_main() -> Iterator[None]:
    """Start processes that do not load the main module of this one.

    They need nothing of it, and each would load it anew: in a worker of Ray's that is ray itself, a
    quarter of a second for each unit.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@dataclass(frozen=True)
class _Here:
    """What a child takes over from its task's process; its server may be older than that."""

    folder: str
    environment: dict[str, str]

    def take(self) -> None:
        os.chdir(self.folder)
        os.environ.update(self.environment)


class _Timers:
    """Says where the child is, and lets the system end it where it stays too long."""

    def __init__(self, place: _Place, limits: PageLimitsConfig) -> None:
        self._place = place
        self._seconds = limits.page_seconds

    def reading(self, number: int) -> None:
        self._place.value = 2 * number
        signal.setitimer(signal.ITIMER_REAL, 0)  # a slow network is no page's fault
        signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def working(self, number: int) -> None:
        self._place.value = 2 * number + 1
        signal.setitimer(signal.ITIMER_REAL, WALL_FACTOR * self._seconds)
        signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def off(self) -> None:
        """No more records."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _work_in_child(
    work: UnitWork,
    limits: PageLimitsConfig,
    resume: Resume,
    here: _Here,
    sending: Connection,
    place: _Place,
) -> None:
    """Work on a unit and send its batches, then an `_End`."""
    gc.freeze()  # what the server loaded is never garbage: keeps its memory shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    configure_logging(level=logging.WARNING)
    _die_with_server()
    here.take()
    try:
        record_work = RecordWork(work)
        _limit_memory(limits.page_memory_bytes)
        timers = _Timers(place, limits)
        for batch in unit_batches(work, record_work, resume=resume, guard=timers):
            sending.send_bytes(pickle.dumps(batch))
        timers.off()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        sending.send_bytes(pickle.dumps(_End(peak)))
    except BrokenPipeError:  # nobody reads on
        return
    except Exception as error:  # noqa: BLE001 - raised again in the parent
        sending.send_bytes(_pickled_error(error))


def _pickled_error(error: Exception) -> bytes:
    """The error as the parent raises it, with this process's traceback as a note."""
    error.add_note("in a page process:\n" + "".join(traceback.format_exception(error)))
    try:
        data = pickle.dumps(_End(error=error))
        pickle.loads(data)  # noqa: S301 - our own; some libraries' errors cannot be built again
    except Exception:  # noqa: BLE001 - whatever such an error's constructor raises
        kind = OSError if is_transient(error) else RuntimeError
        data = pickle.dumps(_End(error=kind(f"{type(error).__name__}: {error}")))
    return data


def _die_with_server() -> None:
    """Ask the system to end this process when the one that forked it ends.

    The server ends when nobody holds its pipe any more; so this process must let go of its copy,
    which is there for processes that start others.
    """
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(num_bytes: int) -> None:
    """Let the system refuse more than `num_bytes` on top of what is mapped now."""
    statm = Path("/proc/self/statm")
    if not statm.exists():  # only Linux counts what it maps in a way that can be limited
        return
    mapped = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = mapped + num_bytes
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
