"""The loop that all runners share: what is started when, tried again, copied, and given up.

Bounds: never more tasks at the executor than it takes, and never more bytes than
`max_in_flight_bytes` (one task always may). Back-pressure: the results are a generator, and the
next task is handed out only when the consumer asks for the next result. A stage that is slow to
finish its tasks, or a driver that is slow to take them, thus stops the supply; nothing piles up
but file names.

A task may have two attempts at once: a copy of a slow one, or one on a host that was cut off and
is late. The first to end counts, the others are cancelled; what they still write is the same bytes
under the same name.
"""

import heapq
import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic

from contracts.errors import LaunchError
from data_pipeline.runner.protocol import (
    ArgumentT,
    Executor,
    Failure,
    Measured,
    ResultT,
    StageWork,
    TaskFailed,
    TaskResult,
)
from data_pipeline.runner.retry import RetryConfig, ends_the_job, is_transient
from data_pipeline.runner.stragglers import StragglerConfig, StragglerWatch

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Longest wait in one piece: keeps the driver open to signals, and looks for slow tasks."""


@dataclass(frozen=True)
class Policy:
    """The bounds of a runner."""

    max_in_flight: int
    max_in_flight_bytes: int
    retry: RetryConfig
    stragglers: StragglerConfig


@dataclass
class _Task:
    """One task's history."""

    attempts: set[Any] = field(default_factory=set)
    """Handles of those that run now."""
    num_failed: int = 0
    num_lost_nodes: int = 0
    num_copies: int = 0


class Schedule(Generic[ArgumentT, ResultT]):
    """One stage under way."""

    def __init__(
        self,
        work: StageWork[ArgumentT, ResultT],
        executor: Executor[ArgumentT, ResultT],
        policy: Policy,
    ) -> None:
        self._work = work
        self._executor = executor
        self._policy = policy
        self._watch = StragglerWatch(policy.stragglers, work.size)
        # The largest first: then the stage's end, where workers run dry, is short.
        order = sorted(range(len(work.arguments)), key=work.size, reverse=True)
        self._waiting = deque(order)
        self._later: list[tuple[float, int]] = []
        self._tasks: dict[int, _Task] = {}
        """Of tasks that run or failed; gone when they end: 100,000 tasks leave nothing behind."""
        self._running: dict[Any, int] = {}
        """Handles in the order in which they were submitted."""
        self._started: dict[Any, float] = {}
        self._bytes_in_flight = 0

    def results(self) -> Iterator[TaskResult[ResultT] | TaskFailed]:
        """Results as they arrive.

        Raises:
            LaunchError: a task failed too often, in a stage whose tasks may not fail.
            Exception: what a task raised, in such a stage; a full disk in any.
        """
        try:
            while self._waiting or self._running or self._later:
                self._submit_what_fits()
                self._copy_slow_ones()
                for handle in self._executor.wait(list(self._running), self._wait_seconds()):
                    if handle in self._running:  # else its task has ended by another attempt
                        found = self._ended(handle)
                        if found is not None:
                            yield found
        finally:
            for handle in self._running:
                self._executor.cancel(handle)

    def _submit_what_fits(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._waiting.appendleft(heapq.heappop(self._later)[1])
        limit = min(self._policy.max_in_flight, self._executor.max_submitted)
        while self._waiting and len(self._running) < limit:
            size = self._work.size(self._waiting[0])
            if self._running and self._bytes_in_flight + size > self._policy.max_in_flight_bytes:
                break
            self._start(self._waiting.popleft(), is_copy=False)
        for handle in list(self._running)[: self._executor.num_slots]:
            self._started.setdefault(handle, now)  # those behind wait inside the executor

    def _start(self, index: int, *, is_copy: bool) -> None:
        handle = self._executor.submit(self._work.arguments[index], is_copy=is_copy)
        self._running[handle] = index
        self._bytes_in_flight += self._work.size(index)
        self._tasks.setdefault(index, _Task()).attempts.add(handle)

    def _wait_seconds(self) -> float:
        if not self._later:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(0.0, self._later[0][0] - time.monotonic()))

    def _copy_slow_ones(self) -> None:
        """Give idle workers a second copy of tasks that run too long."""
        if self._waiting or len(self._running) >= self._executor.num_slots:
            return
        now = time.monotonic()
        for handle, index in list(self._running.items()):
            limit = self._watch.limit_seconds(index)
            elapsed = now - self._started.get(handle, now)
            task = self._tasks[index]
            if limit is None or elapsed <= limit or len(task.attempts) > 1:
                continue
            logger.warning(
                "stage=%s task=%d runs for %.0f s, %.0f s were to be expected at most: "
                "starting a copy of it",
                *(self._work.stage, index, elapsed, limit),
            )
            task.num_copies += 1
            self._start(index, is_copy=True)
            if len(self._running) >= self._executor.num_slots:
                return

    def _ended(self, handle: Any) -> TaskResult[ResultT] | TaskFailed | None:
        index = self._running[handle]
        self._drop(handle)
        try:
            measured = self._executor.result(handle)
        except Exception as error:  # noqa: BLE001 - judged, and raised again where it ends the stage
            return self._failed(index, error)
        return self._succeeded(index, measured)

    def _drop(self, handle: Any) -> None:
        index = self._running.pop(handle)
        self._started.pop(handle, None)
        self._bytes_in_flight -= self._work.size(index)
        self._tasks[index].attempts.discard(handle)

    def _forget(self, index: int) -> _Task:
        """The task is over: its other attempts are cancelled."""
        task = self._tasks[index]
        for other in list(task.attempts):
            self._drop(other)
            self._executor.cancel(other)
        return self._tasks.pop(index)

    def _succeeded(self, index: int, measured: Measured[ResultT]) -> TaskResult[ResultT]:
        self._watch.finished(index, measured.seconds)
        task = self._forget(index)
        if task.num_copies:
            logger.info("stage=%s task=%d done by %s", self._work.stage, index, measured.worker)
        return TaskResult(
            index,
            measured.value,
            seconds=measured.seconds,
            peak_rss_bytes=measured.peak_rss_bytes,
            worker=measured.worker,
            started_at=measured.started_at,
            num_retries=task.num_failed + task.num_lost_nodes,
            num_copies=task.num_copies,
        )

    def _failed(self, index: int, error: Exception) -> TaskFailed | None:
        """Try again later, or give the task up."""
        task = self._tasks[index]
        if not is_transient(error):
            return self._given_up(index, error)
        if isinstance(error, Failure) and not error.counts:
            task.num_lost_nodes += 1
        else:
            task.num_failed += 1
        retry = self._policy.retry
        is_last = (
            task.num_failed >= retry.max_attempts or task.num_lost_nodes >= retry.max_lost_nodes
        )
        if is_last:
            return self._given_up(index, self._too_often(index, task, error))
        if task.attempts:  # another attempt is still running
            return None
        pause = retry.pause(task.num_failed + task.num_lost_nodes)
        logger.warning(
            "stage=%s task=%d attempt=%d failed (%s: %s); next try in %.1f s",
            *(self._work.stage, index, task.num_failed + task.num_lost_nodes),
            *(type(error).__name__, error, pause),
        )
        heapq.heappush(self._later, (time.monotonic() + pause, index))
        return None

    def _too_often(self, index: int, task: _Task, error: Exception) -> LaunchError:
        count = task.num_failed + task.num_lost_nodes
        failure = LaunchError(
            f"stage {self._work.stage}: task {index} failed {count} times, the limit "
            f"(runner.retry.max_attempts, max_lost_nodes); the last time: "
            f"{type(error).__name__}: {error}; "
            "mend the cause and run the same command again, it goes on from here"
        )
        failure.__cause__ = error
        return failure

    def _given_up(self, index: int, error: Exception) -> TaskFailed:
        task = self._forget(index)
        if not self._work.may_fail or ends_the_job(error):
            raise error
        return TaskFailed(index, error, task.num_failed + task.num_lost_nodes or 1)
