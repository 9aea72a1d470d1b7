"""Runs a stage's tasks: those without a ledger record, with progress; gives the results of all."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from data_pipeline.ledger import Ledger
from data_pipeline.progress import ProgressFile, StageProgress, Tally, shown
from data_pipeline.runner import Runner
from data_pipeline.stages.task import Outcome, TaskT, run_task

logger = logging.getLogger(__name__)

Result = dict[str, Any]


@dataclass(frozen=True)
class StageReport:
    """How a stage went."""

    stage: str
    num_tasks: int
    num_run: int
    """The others were done before."""
    documents: int
    """Of the tasks that ran now."""
    read_bytes: int
    seconds: float


class StageRunner:
    """The stages of one job, one after another."""

    def __init__(self, ledger: Ledger, runner: Runner) -> None:
        self.ledger = ledger
        self.reports: list[StageReport] = []
        self._units: dict[str, set[str]] = {}
        self._runner = runner

    def run(
        self,
        stage: str,
        function: Callable[[TaskT, ProgressFile], Outcome],
        tasks: Sequence[TaskT],
        *,
        passes: int = 1,
    ) -> list[Result]:
        """The results of all tasks, in their order.

        Args:
            stage: name of the stage: of its records and its files.
            function: what a worker does with a task.
            tasks: one for each unit; a unit that stands twice runs once.
            passes: times a task reads its bytes.
        """
        by_id = {task.unit_id: task for task in tasks}
        self._units[stage] = set(by_id)
        results: dict[str, Result] = {}
        for unit in by_id:
            done = self.ledger.find(stage, unit)
            if done is not None:
                assert isinstance(done.result, dict)
                results[unit] = done.result
        missing = [task for unit, task in by_id.items() if unit not in results]
        logger.info(
            "stage=%s units=%d done_before=%d", stage, len(by_id), len(by_id) - len(missing)
        )
        if missing:
            results |= self._run_missing(stage, function, missing, passes=passes)
        return [results[task.unit_id] for task in tasks]

    def forget_others(self) -> None:
        """Remove what an earlier config left in the stages of this job."""
        for stage, units in self._units.items():
            removed = self.ledger.forget(stage, keep=units)
            if removed:
                logger.info("stage=%s removed %d units of an earlier config", stage, removed)

    def _run_missing(
        self,
        stage: str,
        function: Callable[[TaskT, ProgressFile], Outcome],
        missing: Sequence[TaskT],
        *,
        passes: int,
    ) -> dict[str, Result]:
        results: dict[str, Result] = {}
        progress = StageProgress(
            stage,
            total_bytes=passes * sum(task.num_bytes for task in missing),
            output_dir=self.ledger.output_dir,
            unit_ids=[task.unit_id for task in missing],
        )
        with shown(progress):
            for found in self._runner.run(stage, partial(run_task, stage, function), missing):
                task = missing[found.index]
                results[task.unit_id] = found.value
                progress.finished(task.unit_id, _tally(found.value, passes * task.num_bytes))
        last = progress.snapshot()
        logger.info("stage=%s %s", stage, last.line())
        self.reports.append(
            StageReport(
                stage,
                num_tasks=len(missing),
                num_run=len(missing),
                documents=last.tally.documents,
                read_bytes=last.tally.bytes_read,
                seconds=last.seconds,
            )
        )
        return results


def _tally(result: Result, num_bytes: int) -> Tally:
    """What a finished task adds to the progress; only some stages count documents."""
    dropped: Counter[str] = Counter()
    for stage, reasons in result.get("dropped", {}).items():
        dropped.update({f"{stage}/{reason}": count for reason, count in reasons.items()})
    return Tally(int(result.get("num_in", 0)), num_bytes, dropped)
