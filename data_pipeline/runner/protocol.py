"""What a runner takes and gives: the work of a stage, the results and failures of its tasks."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import PositiveFloat, PositiveInt

from contracts.config import Config

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")
ResultC = TypeVar("ResultC", covariant=True)
ArgumentC = TypeVar("ArgumentC", contravariant=True)
MIB = 1 << 20


class StageRequest(Config):
    """What one task of a stage asks of the machine that runs it."""

    num_cpus: PositiveFloat = 1.0
    """CPUs set aside for the task."""
    memory_bytes: PositiveInt = 1024 * MIB
    """Memory set aside for the task: tasks that do not fit beside each other wait."""


DEFAULT_REQUESTS: Mapping[str, StageRequest] = {
    "map": StageRequest(memory_bytes=1536 * MIB),
    "tokenizer": StageRequest(memory_bytes=4096 * MIB),
    "write": StageRequest(memory_bytes=1536 * MIB),
}
"""Stages that need another request than the fields' defaults."""


def request_of(stage: str, configured: Mapping[str, StageRequest]) -> StageRequest:
    """What a task of `stage` asks for: as configured, else the stage's default."""
    return configured.get(stage) or DEFAULT_REQUESTS.get(stage) or StageRequest()


@dataclass(frozen=True)
class StageWork(Generic[ArgumentT, ResultT]):
    """The tasks of one stage."""

    stage: str
    """The stage's name, for its request and for messages."""
    function: Callable[[ArgumentT], ResultT]
    """At the top level of a module, so that another process can import it."""
    arguments: Sequence[ArgumentT]
    """One for each task; small, and of picklable dataclasses and configs."""
    sizes: Sequence[int] | None = None
    """Bytes that each task reads; None: not known, all count alike."""
    may_fail: bool = False
    """A task that fails becomes a `TaskFailed` among the results; else it ends the stage."""

    def size(self, index: int) -> int:
        """Bytes that a task reads; 1 where it is not known."""
        return 1 if self.sizes is None else max(1, self.sizes[index])


@dataclass(frozen=True)
class Measured(Generic[ResultC]):
    """What a task gave, and what it took."""

    value: ResultC
    seconds: float
    """From its first line to its last, without waiting."""
    peak_rss_bytes: int
    """Most memory its process held while it ran; 0 where the system does not tell."""
    worker: str
    """host:pid"""
    started_at: float
    """Seconds since 1970, by the worker's clock."""


@dataclass(frozen=True)
class TaskResult(Generic[ResultC]):
    """What one task gave."""

    index: int
    """Place of the task in the list that was run."""
    value: ResultC
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    worker: str = ""
    started_at: float = 0.0
    num_retries: int = 0
    """Attempts that failed before."""
    num_copies: int = 0
    """Further attempts that were started because the first was slow."""


@dataclass(frozen=True)
class TaskFailed:
    """A task that gave nothing."""

    index: int
    error: Exception
    num_attempts: int


class Failure(Exception):  # noqa: N818 - what became of an attempt, told by an executor
    """An attempt was lost with its process or its node; the task itself said nothing."""

    def __init__(self, reason: str, *, counts: bool) -> None:
        super().__init__(reason)
        self.counts = counts
        """Whether it is one of the task's tries: its process died, not the node under it."""


class Executor(Protocol[ArgumentC, ResultC]):
    """Starts tasks of one stage somewhere, and fetches what they gave."""

    @property
    def num_slots(self) -> int:
        """Tasks that can run at once now."""

    @property
    def max_submitted(self) -> int:
        """Tasks that it takes at once; those over `num_slots` wait inside."""

    def submit(self, argument: ArgumentC, *, is_copy: bool) -> Any:
        """Start a task, elsewhere than the other attempt if it is a copy; gives a handle."""

    def wait(self, handles: Sequence[Any], timeout_seconds: float) -> Sequence[Any]:
        """Those that have ended; empty when none did in time."""

    def result(self, handle: Any) -> Measured[ResultC]:
        """What an ended task gave.

        Raises:
            Failure: its process or its node is gone.
            Exception: what the task raised.
        """

    def cancel(self, handle: Any) -> None:
        """End an attempt whose result no one wants; does not wait for it."""


class Runner(Protocol):
    """Runs the tasks of one stage after another."""

    @property
    def requested(self) -> Collection[str]:
        """Stages for which the config has a request of its own."""

    def run(
        self, work: StageWork[ArgumentT, ResultT]
    ) -> Iterator[TaskResult[ResultT] | TaskFailed]:
        """Results as they arrive; nothing is started while no one asks for the next."""
        ...

    def close(self) -> None:
        """Give back what was started; running tasks are ended."""
        ...
