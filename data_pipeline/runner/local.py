"""Tasks in this process, or in processes of this machine."""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Generic, Literal

import psutil
from pydantic import PositiveInt

from contracts.config import Config
from data_pipeline.runner.measure import measured
from data_pipeline.runner.protocol import (
    ArgumentT,
    Measured,
    ResultT,
    StageRequest,
    StageWork,
    TaskFailed,
    TaskResult,
    request_of,
)
from data_pipeline.runner.retry import RetryConfig
from data_pipeline.runner.schedule import Policy, Schedule
from data_pipeline.runner.stragglers import StragglerConfig
from data_pipeline.runner.workers import Worker, wait_any


class LocalRunnerConfig(Config):
    """Tasks in this process, or in processes of this machine."""

    kind: Literal["local"] = "local"
    num_workers: PositiveInt = 1
    """Processes; 1 runs the tasks in this one."""
    memory_bytes: PositiveInt | None = None
    """What the requests of tasks that run at once may add up to; None: this machine's memory."""
    max_in_flight_bytes: PositiveInt = 1 << 40
    """Input bytes of tasks that run at once; one task always may."""
    stages: Mapping[str, StageRequest] = {}
    """Requests by stage, where the defaults do not fit: `stages.map.memory_bytes=4000000000`."""
    retry: RetryConfig = RetryConfig()
    """How often broken infrastructure is tried again."""
    stragglers: StragglerConfig = StragglerConfig()
    """When a task that runs too long is started a second time."""

    def build(self) -> "LocalRunner":
        """The runner; its processes start at once, beside what the caller does next."""
        return LocalRunner(self)


class LocalRunner:
    """Tasks one after another in this process, or in `num_workers` spawned ones."""

    def __init__(self, config: LocalRunnerConfig) -> None:
        self._config = config
        self._pool = _Pool(config.num_workers if config.num_workers > 1 else 0)
        self._policy = Policy(
            config.num_workers, config.max_in_flight_bytes, config.retry, config.stragglers
        )

    @property
    def requested(self) -> Collection[str]:
        return self._config.stages.keys()

    def run(
        self, work: StageWork[ArgumentT, ResultT]
    ) -> Iterator[TaskResult[ResultT] | TaskFailed]:
        """Results as they arrive."""
        if self._config.num_workers == 1:
            here = _InThisProcess(work.function)
            return Schedule(work, here, self._policy).results()
        request = request_of(work.stage, self._config.stages)
        slots = _slots(request, self._config)
        executor = _InProcesses(work.function, self._pool, slots)
        return Schedule(work, executor, self._policy).results()

    def close(self) -> None:
        """End the processes; a task that is running leaves only what the next run sweeps away."""
        self._pool.close()


def _slots(request: StageRequest, config: LocalRunnerConfig) -> int:
    """Tasks of one stage that fit beside each other; at least one."""
    memory = config.memory_bytes or psutil.virtual_memory().total
    by_memory = memory // request.memory_bytes
    by_cpus = math.floor(config.num_workers / request.num_cpus)
    return max(1, min(config.num_workers, by_memory, by_cpus))


class _InThisProcess(Generic[ArgumentT, ResultT]):
    """Each task runs when its result is fetched."""

    num_slots = 1
    max_submitted = 1

    def __init__(self, function: Callable[[ArgumentT], ResultT]) -> None:
        self._function = function
        self._arguments: dict[int, ArgumentT] = {}
        self._number = 0

    def submit(self, argument: ArgumentT, *, is_copy: bool) -> int:
        del is_copy  # with one slot none is asked for
        self._number += 1
        self._arguments[self._number] = argument
        return self._number

    def wait(self, handles: Sequence[int], timeout_seconds: float) -> Sequence[int]:
        if not handles:
            time.sleep(timeout_seconds)
        return handles

    def result(self, handle: int) -> Measured[ResultT]:
        return measured(self._function, self._arguments.pop(handle))

    def cancel(self, handle: int) -> None:
        self._arguments.pop(handle, None)


class _Pool:
    """The worker processes; started with the pool, and again where one died."""

    def __init__(self, num_workers: int) -> None:
        self._idle = deque(Worker() for _ in range(num_workers))
        self._busy: set[Worker] = set()

    def take(self) -> Worker:
        """An idle worker; a new one in the place of one that is gone."""
        while self._idle:
            worker = self._idle.popleft()
            if worker.is_alive:
                break
            worker.kill()
        else:
            worker = Worker()
        self._busy.add(worker)
        return worker

    def give(self, worker: Worker) -> None:
        """A worker is idle again, or gone."""
        self._busy.discard(worker)
        if worker.is_alive:
            self._idle.append(worker)
        else:
            worker.kill()

    def close(self) -> None:
        """End all."""
        workers = [*self._idle, *self._busy]
        self._idle.clear()
        self._busy.clear()
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.wait_stopped()


class _InProcesses(Generic[ArgumentT, ResultT]):
    """One task for each worker; the handle of an attempt is its number."""

    def __init__(
        self, function: Callable[[ArgumentT], ResultT], pool: _Pool, num_slots: int
    ) -> None:
        self._function = function
        self._pool = pool
        self._workers: dict[int, Worker] = {}
        self._number = 0
        self.num_slots = num_slots
        self.max_submitted = num_slots

    def submit(self, argument: ArgumentT, *, is_copy: bool) -> int:
        del is_copy  # another worker in any case
        self._number += 1
        worker = self._pool.take()
        self._workers[self._number] = worker
        worker.send((self._function, argument))
        return self._number

    def wait(self, handles: Sequence[int], timeout_seconds: float) -> Sequence[int]:
        if not handles:
            time.sleep(timeout_seconds)
            return []
        numbers = {id(self._workers[handle]): handle for handle in handles}
        ready = wait_any([self._workers[handle] for handle in handles], timeout_seconds)
        return [numbers[id(worker)] for worker in ready]

    def result(self, handle: int) -> Measured[ResultT]:
        worker = self._workers.pop(handle)
        try:
            return worker.receive()
        finally:
            self._pool.give(worker)

    def cancel(self, handle: int) -> None:
        worker = self._workers.pop(handle)
        worker.kill()
        self._pool.give(worker)
