"""Worker processes of this machine: started once, kept over all stages, each with its own pipe.

Unlike concurrent.futures' pool it knows which worker ran a task that died, and can end one worker
without the others. A worker whose parent is gone ends by itself.
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from contracts.logs import configure_logging
from data_pipeline.runner.measure import measured
from data_pipeline.runner.protocol import Failure, Measured

STOP_SECONDS = 5.0
Job = tuple[Callable[[Any], Any], Any]
"""A function and its argument, as they go through the pipe."""


class Worker:
    """One process, which runs one task at a time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # Not a daemon: a task may have child processes of its own.
        self._process = context.Process(target=serve, args=(theirs,), name="data-worker")
        self._process.start()
        theirs.close()
        self.busy = False

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.is_alive()

    def send(self, job: Job) -> None:
        """Start a task; that the process is gone is told where the result is received."""
        self.busy = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(job)

    def receive(self) -> Measured[Any]:
        """What the task gave; waits for it.

        Raises:
            Failure: the process died.
            Exception: what the task raised.
        """
        try:
            error, value = self.connection.recv()
        except (EOFError, ConnectionResetError) as gone:
            self._process.join(STOP_SECONDS)
            raise Failure(
                f"the worker process ended with code {self._process.exitcode} "
                "(-9: killed, often for want of memory; -11: a library crashed)",
                counts=True,
            ) from gone
        self.busy = False
        if error is not None:
            raise error
        assert isinstance(value, Measured)
        return value

    def kill(self) -> None:
        """End the process now, with what it runs."""
        self._process.kill()
        self._process.join(STOP_SECONDS)
        self.connection.close()

    def stop(self) -> None:
        """End the process: an idle one by closing its pipe, else at once."""
        if self.busy:
            self._process.terminate()
        self.connection.close()

    def wait_stopped(self) -> None:
        """Wait until a stopped process is gone; kill it when it does not go."""
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def wait_any(workers: Sequence[Worker], timeout_seconds: float) -> list[Worker]:
    """The workers that have something to tell, or have died."""
    by_connection = {id(worker.connection): worker for worker in workers}
    ready = multiprocessing.connection.wait(
        [worker.connection for worker in workers], timeout_seconds
    )
    return [by_connection[id(connection)] for connection in ready]


def serve(connection: "Connection[Any, Any]") -> None:
    """A worker's life: tasks from the pipe until it is closed.

    It leaves Ctrl-C to the process that started it, and logs warnings only.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    configure_logging(level=logging.WARNING)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            function, argument = connection.recv()
        except EOFError:
            return
        try:
            answer: tuple[Exception | None, Any] = (None, measured(function, argument))
        except Exception as error:  # noqa: BLE001 - it is raised again where the result is fetched
            answer = (_sendable(error), None)
        try:
            connection.send(answer)
        except BrokenPipeError:
            return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _sendable(error: Exception) -> Exception:
    """The error with its traceback as a note; another in its place when it cannot be pickled."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, only to see whether it works
    except Exception:  # noqa: BLE001 - any library's exception class may fail here
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
