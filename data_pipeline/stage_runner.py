"""Runs a stage's tasks: those without a ledger record, with progress; gives the results of all."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from data_pipeline.ledger import Ledger
from data_pipeline.progress import ProgressFile, StageProgress, Tally, shown
from data_pipeline.runner import Runner, StageWork, TaskFailed
from data_pipeline.stages.task import Outcome, TaskT, as_result, run_task
from data_pipeline.timeline import StageReport, Timeline

logger = logging.getLogger(__name__)

Result = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """One task of a stage whose tasks may fail."""

    result: Result | None
    """None: the task failed."""
    error: Exception | None = None
    attempts: int = 0


class StageRunner:
    """The stages of one job, one after another."""

    def __init__(self, ledger: Ledger, runner: Runner) -> None:
        self.ledger = ledger
        self.timeline = Timeline(ledger.output_dir)
        self._units: dict[str, set[str]] = {}
        self._runner = runner

    @property
    def reports(self) -> Sequence[StageReport]:
        """How the stages went that had something to do."""
        return self.timeline.reports

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
        found = self._run(_Stage(stage, function, passes, may_fail=False), tasks, _ignore)
        results = [item.result for item in found]
        assert None not in results
        return [result for result in results if result is not None]

    def run_each(
        self,
        stage: str,
        function: Callable[[TaskT, ProgressFile], Outcome],
        tasks: Sequence[TaskT],
        *,
        watch: Callable[[TaskT, Found], None],
    ) -> list[Found]:
        """What became of each task, in their order; one that fails does not end the stage.

        Args:
            stage: name of the stage: of its records and its files.
            function: what a worker does with a task.
            tasks: one for each unit; a unit that stands twice runs once.
            watch: called for each unit as it arrives, first for those done before; what it raises
                ends the stage.
        """
        return self._run(_Stage(stage, function, 1, may_fail=True), tasks, watch)

    def _run(
        self,
        stage: "_Stage",
        tasks: Sequence[TaskT],
        watch: Callable[[TaskT, Found], None],
    ) -> list[Found]:
        by_id = {task.unit_id: task for task in tasks}
        self._units[stage.name] = set(by_id)
        done = self.ledger.find_all(stage.name, by_id)
        found: dict[str, Found] = {}
        for unit, task in by_id.items():
            if unit in done:
                found[unit] = Found(as_result(done[unit]))
                watch(task, found[unit])
        missing = [task for unit, task in by_id.items() if unit not in found]
        logger.info("stage=%s units=%d done_before=%d", stage.name, len(by_id), len(found))
        if missing:
            found |= self._run_missing(stage, missing, watch, num_done_before=len(found))
        return [found[task.unit_id] for task in tasks]

    def forget_others(self) -> None:
        """Remove what an earlier config left in the stages of this job; the job is over."""
        for stage in sorted(set(self._runner.requested) - set(self._units)):
            logger.warning("runner.stages.%s has no effect: no stage of that name ran", stage)
        for stage, units in self._units.items():
            removed = self.ledger.forget(stage, keep=units)
            if removed:
                logger.info("stage=%s removed %d units of an earlier config", stage, removed)

    def _run_missing(
        self,
        stage: "_Stage",
        missing: Sequence[TaskT],
        watch: Callable[[TaskT, Found], None],
        *,
        num_done_before: int,
    ) -> dict[str, Found]:
        found: dict[str, Found] = {}
        progress = StageProgress(
            stage.name,
            total_bytes=stage.passes * sum(task.num_bytes for task in missing),
            output_dir=self.ledger.output_dir,
            unit_ids=[task.unit_id for task in missing],
        )
        work = StageWork(
            stage.name,
            partial(run_task, stage.name, stage.function),
            missing,
            sizes=[task.num_bytes for task in missing],
            may_fail=stage.may_fail,
        )
        with shown(progress), self.timeline.stage(progress, num_done_before) as times:
            for item in self._runner.run(work):
                task = missing[item.index]
                times.ended(item)
                if isinstance(item, TaskFailed):
                    found[task.unit_id] = Found(None, item.error, item.num_attempts)
                    tally = Tally(0, stage.passes * task.num_bytes)
                else:
                    found[task.unit_id] = Found(item.value)
                    tally = _tally(item.value, stage.passes * task.num_bytes)
                progress.finished(task.unit_id, tally)
                watch(task, found[task.unit_id])
        logger.info("stage=%s %s", stage.name, progress.snapshot().line())
        return found


@dataclass(frozen=True)
class _Stage:
    name: str
    function: Callable[[Any, ProgressFile], Outcome]
    passes: int
    may_fail: bool


def _ignore(task: object, found: Found) -> None:
    del task, found


def _tally(result: Result, num_bytes: int) -> Tally:
    """What a finished task adds to the progress; only some stages count documents."""
    dropped: Counter[str] = Counter()
    for stage, reasons in result.get("dropped", {}).items():
        dropped.update({f"{stage}/{reason}": count for reason, count in reasons.items()})
    return Tally(int(result.get("num_in", 0)), num_bytes, dropped)
