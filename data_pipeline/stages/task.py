"""What a task is, how a worker runs one, and what a unit counts.

A task carries the sections of the config that it needs, and its unit's id. A stage function reads
the files of the stage before it, writes its own under names made of that id, and returns their
names and counts; `run_task` commits the record behind them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from contracts.config import Json
from data_pipeline.ledger import Done, Ledger
from data_pipeline.progress import ProgressFile


class Task(Protocol):
    """What all tasks have."""

    @property
    def output_dir(self) -> str:
        """The job's output folder."""

    @property
    def unit_id(self) -> str:
        """Names the unit's files and its record."""

    @property
    def num_bytes(self) -> int:
        """What it reads, for progress."""


TaskT = TypeVar("TaskT", bound=Task)


@dataclass(frozen=True)
class Outcome:
    """What a stage function has written."""

    outputs: tuple[str, ...]
    """Paths relative to the output folder."""
    result: dict[str, Json]
    """Counts for the ledger."""


def run_task(
    stage: str, function: Callable[[TaskT, ProgressFile], Outcome], task: TaskT
) -> dict[str, Json]:
    """Run one task and commit its record; what a runner calls.

    Another attempt at the same task may run at the same time: both write the same bytes under the
    same names, each file by an atomic rename, and the record of the first is the one that stands.

    Returns:
        The result as the ledger holds it.
    """
    ledger = Ledger(task.output_dir)
    earlier = ledger.find(stage, task.unit_id)
    if earlier is not None:  # by an attempt whose end was not heard of
        return as_result(earlier)
    progress = ProgressFile(task.output_dir, task.unit_id)
    try:
        outcome = function(task, progress)
        done = ledger.commit(stage, task.unit_id, outputs=outcome.outputs, result=outcome.result)
    finally:
        progress.remove()
    return as_result(done)


def as_result(done: Done) -> dict[str, Json]:
    """What a record says of its unit."""
    assert isinstance(done.result, dict)
    return done.result


def work_path(stage: str, unit_id: str, what: str) -> str:
    """A unit's file, relative to the output folder."""
    return f"work/{stage}/{unit_id}.{what}"
