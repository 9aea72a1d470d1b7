"""How the stages of a job went: one JSON line for each in `work/timeline.jsonl`, for the report.

Nothing here is part of the data: it differs from run to run. A job that goes on adds its lines.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from contracts import storage
from data_pipeline.progress import Sample, StageProgress
from data_pipeline.runner import TaskFailed, TaskResult

TIMELINE_PATH = "work/timeline.jsonl"


@dataclass(frozen=True)
class StageReport:
    """How a stage went."""

    stage: str
    num_tasks: int
    num_run: int
    """Of those: the others failed."""
    documents: int
    """Of the tasks that ran now."""
    read_bytes: int
    seconds: float
    num_done_before: int = 0
    """Tasks that an earlier run had done."""
    started_at: float = 0.0
    """Seconds since 1970."""
    first_task_at: float = 0.0
    """When the first task began to work: later than `started_at` while workers start."""
    task_seconds: float = 0.0
    """Of all tasks, as their workers counted them."""
    median_task_seconds: float = 0.0
    longest_task_seconds: float = 0.0
    num_workers: int = 0
    """Processes that ran a task."""
    peak_rss_bytes: int = 0
    """Most memory of one worker during a task; 0 where it is not known."""
    num_retries: int = 0
    num_copies: int = 0
    """Second attempts of tasks that ran too long."""
    num_quarantined: int = 0
    samples: tuple[Sample, ...] = ()
    """The counts as they grew."""


class StageTimes:
    """The tasks of a stage under way."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.first_task_at = math.inf
        self.workers: set[str] = set()
        self.peak_rss_bytes = 0
        self.num_retries = 0
        self.num_copies = 0
        self.num_failed = 0

    def ended(self, item: TaskResult[Any] | TaskFailed) -> None:
        """A task gave something, or failed for good."""
        if isinstance(item, TaskFailed):
            self.num_failed += 1
            self.num_retries += item.num_attempts - 1
            return
        self.seconds.append(item.seconds)
        self.first_task_at = min(self.first_task_at, item.started_at)
        self.workers.add(item.worker)
        self.peak_rss_bytes = max(self.peak_rss_bytes, item.peak_rss_bytes)
        self.num_retries += item.num_retries
        self.num_copies += item.num_copies


class Timeline:
    """The stages of this run, written as they end."""

    def __init__(self, output_dir: str) -> None:
        self._url = storage.join(output_dir, TIMELINE_PATH)
        self.reports: list[StageReport] = []

    @contextmanager
    def stage(self, progress: StageProgress, num_done_before: int) -> Iterator[StageTimes]:
        """Note what a stage does until the block ends, however it ends."""
        times = StageTimes()
        started_at = time.time()
        try:
            yield times
        finally:
            self._add(_report(progress, times, num_done_before, started_at))

    def _add(self, report: StageReport) -> None:
        self.reports.append(report)
        before = storage.read_bytes(self._url) if storage.exists(self._url) else b""
        line = json.dumps(asdict(report), separators=(",", ":"))
        storage.write_bytes(self._url, before + line.encode() + b"\n")


def read_timeline(output_dir: str) -> list[StageReport]:
    """The stages of all runs of a job so far, in their order; empty where there is no such file."""
    url = storage.join(output_dir, TIMELINE_PATH)
    if not storage.exists(url):
        return []
    reports = []
    for line in storage.read_bytes(url).decode().splitlines():
        tree = json.loads(line)
        samples = tuple(Sample(**sample) for sample in tree.pop("samples"))
        reports.append(StageReport(**tree, samples=samples))
    return reports


def _report(
    progress: StageProgress, times: StageTimes, num_done_before: int, started_at: float
) -> StageReport:
    last = progress.snapshot()
    return StageReport(
        stage=progress.stage,
        num_tasks=last.num_tasks,
        num_run=last.num_tasks - times.num_failed,
        documents=last.tally.documents,
        read_bytes=last.tally.bytes_read,
        seconds=last.seconds,
        num_done_before=num_done_before,
        started_at=started_at,
        first_task_at=min(times.first_task_at, time.time()),
        task_seconds=sum(times.seconds),
        median_task_seconds=median(times.seconds) if times.seconds else 0.0,
        longest_task_seconds=max(times.seconds, default=0.0),
        num_workers=len(times.workers),
        peak_rss_bytes=times.peak_rss_bytes,
        num_retries=times.num_retries,
        num_copies=times.num_copies,
        num_quarantined=times.num_failed,
        samples=tuple(progress.samples),
    )
