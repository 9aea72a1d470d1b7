"""Runs the tasks of a stage: in this process, in processes of this machine, or on a Ray cluster.

A task is a function of the top level of a module and one small argument; its result is small too:
texts and tokens pass through files. What comes out does not depend on the runner nor on the number
of workers, only the order of arrival does. Broken infrastructure (a worker killed, a node lost, a
network error) is tried again with growing pauses; an error of the data or of the config is not.
"""

import errno
import logging
import multiprocessing
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from contracts.config import Config
from contracts.errors import DataError, LaunchError
from contracts.logs import configure_logging

logger = logging.getLogger(__name__)

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")
ResultC = TypeVar("ResultC", covariant=True)

LASTING_ERRNOS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR),
    }
)
"""Errors of the system that another try does not mend."""
CLIENT_LIBRARIES = frozenset({"aiohttp", "aiobotocore", "botocore", "gcsfs"})
"""Clients of object stores whose errors are not all OSErrors; named, so that none is imported."""
CLUSTER_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""With 0 Ray takes the loopback for this machine's address on Linux too; else it listens to all."""
POLL_SECONDS = 1.0


class RetryConfig(Config):
    """How often broken infrastructure is tried again."""

    max_attempts: PositiveInt = 3
    """Tries of one task before the job fails."""
    backoff_seconds: NonNegativeFloat = 2.0
    """Pause before the second try; it doubles with each further one."""


class LocalRunnerConfig(Config):
    """Tasks in this process, or in processes of this machine."""

    kind: Literal["local"] = "local"
    num_workers: PositiveInt = 1
    """Processes; 1 runs the tasks in this one."""
    retry: RetryConfig = RetryConfig()
    """How often broken infrastructure is tried again."""

    def build(self) -> "LocalRunner":
        """The runner; nothing is started yet."""
        return LocalRunner(self)


class RayRunnerConfig(Config):
    """Tasks on a Ray cluster, or on a Ray of this machine alone."""

    kind: Literal["ray"] = "ray"
    address: str | None = None
    """`auto` or host:port of a cluster to join; None starts a Ray on this machine's loopback."""
    num_workers: PositiveInt | None = None
    """CPUs of a Ray started here; None takes all of the machine's. Not for a cluster to join."""
    num_cpus_per_task: PositiveFloat = 1.0
    """CPUs that Ray sets aside for each task."""
    max_in_flight: PositiveInt = 256
    """Tasks handed to Ray at once; the others wait in the plan."""
    include_dashboard: bool = False
    """Start Ray's dashboard with a Ray started here."""
    retry: RetryConfig = RetryConfig()
    """How often broken infrastructure is tried again."""

    def build(self) -> "RayRunner":
        """The runner, joined to its cluster; loads ray."""
        return RayRunner(self)


RunnerConfig = Annotated[LocalRunnerConfig | RayRunnerConfig, Field(discriminator="kind")]


@dataclass(frozen=True)
class TaskResult(Generic[ResultC]):
    """What one task gave."""

    index: int
    """Place of the task in the list that was run."""
    value: ResultC


class Runner(Protocol):
    """Runs the tasks of one stage after another."""

    def run(
        self,
        stage: str,
        function: Callable[[ArgumentT], ResultT],
        arguments: Sequence[ArgumentT],
    ) -> Iterator[TaskResult[ResultT]]:
        """Results as they arrive.

        Args:
            stage: the stage's name, for messages.
            function: at the top level of a module, so that another process can import it.
            arguments: one for each task; small, and of picklable dataclasses and configs.
        """
        ...

    def close(self) -> None:
        """Give back what was started; running tasks are ended."""
        ...


def is_transient(error: BaseException) -> bool:
    """Whether the same task may succeed when it is tried again: network and storage trouble."""
    if isinstance(error, OSError):
        return error.errno not in LASTING_ERRNOS
    return any(cls.__module__.partition(".")[0] in CLIENT_LIBRARIES for cls in type(error).__mro__)


class _Attempts:
    """Counts the tries of each task of a stage, and pauses between them."""

    def __init__(self, stage: str, config: RetryConfig) -> None:
        self._stage = stage
        self._config = config
        self._failed: dict[int, int] = {}

    def failed(self, index: int, error: BaseException) -> None:
        """Count a failure, and pause.

        Raises:
            LaunchError: it was the last try.
        """
        count = self._failed[index] = self._failed.get(index, 0) + 1
        if count >= self._config.max_attempts:
            raise LaunchError(
                f"stage {self._stage}: task {index} failed {count} times, the limit "
                f"(runner.retry.max_attempts); the last time: {type(error).__name__}: {error}; "
                "mend the cause and run the same command again, it goes on from here"
            ) from error
        pause = self._config.backoff_seconds * 2 ** (count - 1)
        logger.warning(
            "stage=%s task=%d attempt=%d failed (%s: %s); next try in %.1f s",
            self._stage,
            index,
            count,
            type(error).__name__,
            error,
            pause,
        )
        time.sleep(pause)


class LocalRunner:
    """Tasks one after another in this process, or in `num_workers` spawned ones."""

    def __init__(self, config: LocalRunnerConfig) -> None:
        self._config = config
        self._pool: ProcessPoolExecutor | None = None

    def run(
        self,
        stage: str,
        function: Callable[[ArgumentT], ResultT],
        arguments: Sequence[ArgumentT],
    ) -> Iterator[TaskResult[ResultT]]:
        """Results as they arrive; with one worker, in the order of the arguments."""
        attempts = _Attempts(stage, self._config.retry)
        if self._config.num_workers > 1:
            yield from self._in_processes(function, arguments, attempts)
            return
        for index, argument in enumerate(arguments):
            yield TaskResult(index, _with_retries(function, argument, index, attempts))

    def _in_processes(
        self,
        function: Callable[[ArgumentT], ResultT],
        arguments: Sequence[ArgumentT],
        attempts: _Attempts,
    ) -> Iterator[TaskResult[ResultT]]:
        waiting = list(range(len(arguments)))[::-1]
        running: dict[Future[ResultT], int] = {}
        while waiting or running:
            while waiting and len(running) < 2 * self._config.num_workers:
                index = waiting.pop()
                try:
                    running[self._workers().submit(function, arguments[index])] = index
                except BrokenProcessPool:
                    waiting.append(index)
                    break
            finished, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                index = running.pop(future)
                try:
                    value = future.result()
                except BrokenProcessPool as error:
                    # Which task's worker died is not known: all that were running go back.
                    waiting += [index, *running.values()]
                    running.clear()
                    self.close()
                    attempts.failed(index, error)
                    break
                except Exception as error:
                    if not is_transient(error):
                        raise
                    attempts.failed(index, error)
                    waiting.append(index)
                else:
                    yield TaskResult(index, value)

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._config.num_workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
            )
        return self._pool

    def close(self) -> None:
        """End the processes; a task that is running leaves only what the next run sweeps away."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


def _start_worker() -> None:
    """A worker leaves Ctrl-C to the process that started it, and logs warnings only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging(level=logging.WARNING)


def _with_retries(
    function: Callable[[ArgumentT], ResultT],
    argument: ArgumentT,
    index: int,
    attempts: _Attempts,
) -> ResultT:
    while True:
        try:
            return function(argument)
        except Exception as error:
            if not is_transient(error):
                raise
            attempts.failed(index, error)


class RayRunner:
    """Tasks on Ray, a bounded number at once.

    Raises:
        LaunchError: the cluster cannot be joined.
    """

    def __init__(self, config: RayRunnerConfig) -> None:
        if config.address is None:
            os.environ.setdefault(CLUSTER_VARIABLE, "0")
        import ray  # heavy: loaded when this adapter is built

        self._config = config
        self._ray: Any = ray
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**_ray_arguments(config))
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise LaunchError(
                f"runner.address={config.address}: Ray cannot be joined or started: {error}; "
                "check `ray status` there, or set runner.kind=local"
            ) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # ray.init puts its own in place

    def run(
        self,
        stage: str,
        function: Callable[[ArgumentT], ResultT],
        arguments: Sequence[ArgumentT],
    ) -> Iterator[TaskResult[ResultT]]:
        """Results as they arrive."""
        ray = self._ray
        broken = (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.ObjectLostError,
            ray.exceptions.RaySystemError,
        )
        attempts = _Attempts(stage, self._config.retry)
        remote = ray.remote(num_cpus=self._config.num_cpus_per_task, max_retries=0)(_run_in_folder)
        remote = remote.options(name=f"data:{stage}")
        folder = str(Path.cwd())
        waiting = list(range(len(arguments)))[::-1]
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < self._config.max_in_flight:
                index = waiting.pop()
                running[remote.remote(folder, function, arguments[index])] = index
            # A short wait keeps this thread open to signals.
            finished, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            for reference in finished:
                index = running.pop(reference)
                try:
                    value = ray.get(reference)
                except broken as error:
                    attempts.failed(index, error)
                    waiting.append(index)
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    if not is_transient(cause):
                        raise cause from error
                    attempts.failed(index, cause)
                    waiting.append(index)
                except ray.exceptions.RayError as error:
                    raise LaunchError(
                        f"stage {stage}: the Ray cluster is gone: {error}; look at its nodes, and "
                        "run the same command again, it goes on from here"
                    ) from error
                else:
                    yield TaskResult(index, value)

    def close(self) -> None:
        """Leave the cluster; a Ray started here ends."""
        self._ray.shutdown()


def _run_in_folder(
    folder: str, function: Callable[[ArgumentT], ResultT], argument: ArgumentT
) -> ResultT:
    """Run a task where the job was started, so that relative paths mean the same there.

    Raises:
        DataError: this node has no such folder.
    """
    if not Path(folder).is_dir():
        raise DataError(
            f"{folder}, where the job was started, is not a folder of node {platform.node()}: "
            "give output_dir and files as paths all nodes reach (absolute, or URLs), and start "
            "the job in a folder that all nodes have, such as /tmp"
        )
    os.chdir(folder)
    return function(argument)


def _ray_arguments(config: RayRunnerConfig) -> dict[str, Any]:
    """What `ray.init` is told.

    A Ray started here listens on the loopback alone (see CLUSTER_VARIABLE). Workers of a cluster
    get this program's packages, whatever stands in their environment.
    """
    arguments: dict[str, Any] = {"log_to_driver": True, "logging_level": logging.WARNING}
    if config.address is None:
        return arguments | {
            "address": "local",
            "num_cpus": config.num_workers,
            "include_dashboard": config.include_dashboard,
            "dashboard_host": "127.0.0.1",
        }
    packages = [Path(__file__).parent, Path(__file__).parent.parent / "contracts"]
    return arguments | {
        "address": config.address,
        "runtime_env": {"py_modules": [str(path) for path in packages]},
    }
