"""Counts of the running tasks, shown as they grow: a bar on a terminal, else a log line.

Each task writes its counts to a small file of the output folder every second or two; one thread of
the driver reads those files. So progress looks the same on every runner and costs a task nothing.
"""

import contextlib
import json
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from contracts import storage
from contracts.errors import DataError

logger = logging.getLogger(__name__)

WRITE_SECONDS = 1.5
SHOW_SECONDS = 1.0
LOG_SECONDS = 10.0
SAMPLE_SECONDS = 5.0
MAX_SAMPLES = 400


@dataclass(frozen=True)
class Sample:
    """The counts of a stage at one moment, for the report's curves."""

    seconds: float
    """Since the stage began."""
    documents: int
    bytes_read: int
    rss_bytes: int
    """Memory of the running tasks' processes together, as they last told."""


@dataclass
class Tally:
    """What a task has done so far."""

    documents: int = 0
    """Records or documents that went in."""
    bytes_read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """By `stage/reason`."""

    def add(self, other: "Tally") -> None:
        """Add another task's counts."""
        self.documents += other.documents
        self.bytes_read += other.bytes_read
        self.dropped.update(other.dropped)


def progress_folder(output_dir: str) -> str:
    """Where running tasks write their counts."""
    return storage.join(output_dir, "work", "progress")


class ProgressFile:
    """A task's side: `update` as often as it likes, written at most every WRITE_SECONDS."""

    def __init__(self, output_dir: str, unit_id: str) -> None:
        self._url = storage.join(progress_folder(output_dir), f"{unit_id}.json")
        self._next = time.monotonic() + WRITE_SECONDS

    def update(self, tally: Tally) -> None:
        """Show these counts, when it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + WRITE_SECONDS
        tree = [tally.documents, tally.bytes_read, dict(tally.dropped), _rss_bytes()]
        data = json.dumps(tree).encode()
        if not storage.is_local(self._url):
            storage.write_bytes(self._url, data)
            return
        path = storage.local_path(self._url)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        partial.write_bytes(data)
        partial.replace(path)

    def remove(self) -> None:
        """The task is over: its counts are in the ledger."""
        if storage.is_local(self._url):
            storage.local_path(self._url).unlink(missing_ok=True)


def _rss_bytes() -> int:
    """Memory of this process."""
    return int(psutil.Process().memory_info().rss)


def read_progress(url: str) -> tuple[Tally, int]:
    """A task's counts and memory as last written; zero before the first time."""
    try:
        documents, bytes_read, dropped, rss_bytes = json.loads(storage.read_bytes(url))
    except (DataError, ValueError):
        return Tally(), 0
    return Tally(documents, bytes_read, Counter(dropped)), rss_bytes


class StageProgress:
    """The driver's side of one stage: finished tasks, plus what the running ones have written."""

    def __init__(
        self, stage: str, *, total_bytes: int, output_dir: str, unit_ids: Sequence[str]
    ) -> None:
        self.stage = stage
        self._total_bytes = max(total_bytes, 1)
        self._num_tasks = len(unit_ids)
        self._folder = progress_folder(output_dir)
        self._unfinished = set(unit_ids)
        self._finished = Tally()
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self.samples: list[Sample] = []
        """The counts as they grew: what the report draws."""
        self._next_sample = 0.0
        self._sample_seconds = SAMPLE_SECONDS

    def finished(self, unit_id: str, tally: Tally) -> None:
        """A task is done: its counts are final."""
        with self._lock:
            self._finished.add(tally)
            self._unfinished.discard(unit_id)

    def snapshot(self) -> "Snapshot":
        """The counts of this moment."""
        with self._lock:
            total = Tally(
                self._finished.documents, self._finished.bytes_read, +self._finished.dropped
            )
            num_done = self._num_tasks - len(self._unfinished)
        rss_bytes = 0
        for url in storage.list_files(storage.join(self._folder, "*.json")):
            if url.rpartition("/")[2].removesuffix(".json") in self._unfinished:
                tally, rss = read_progress(url)
                total.add(tally)
                rss_bytes += rss
        seconds = time.monotonic() - self._started
        self._keep(Sample(seconds, total.documents, total.bytes_read, rss_bytes))
        return Snapshot(self.stage, total, seconds, self._total_bytes, num_done, self._num_tasks)

    def _keep(self, sample: Sample) -> None:
        """Remember a moment; of a long stage every second, then every fourth and so on."""
        with self._lock:
            if self.samples and sample.seconds < self._next_sample:
                return
            self.samples.append(sample)
            if len(self.samples) >= MAX_SAMPLES:
                self.samples[:] = self.samples[1::2]
                self._sample_seconds *= 2
            self._next_sample = sample.seconds + self._sample_seconds


@dataclass(frozen=True)
class Snapshot:
    """The counts of a stage at one moment."""

    stage: str
    tally: Tally
    seconds: float
    total_bytes: int
    num_done: int
    num_tasks: int

    @property
    def fraction(self) -> float:
        """Part of the stage's bytes that were read."""
        return min(1.0, self.tally.bytes_read / self.total_bytes)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds to go at the speed so far; None before there is one."""
        if not self.tally.bytes_read:
            return None
        return self.seconds * (1 - self.fraction) / max(self.fraction, 1e-9)

    def line(self) -> str:
        """One line: done, speed, time to go, drops."""
        speed = max(self.seconds, 1e-3)
        parts = [
            f"{self.num_done}/{self.num_tasks} units",
            f"{self.tally.documents:,} documents",
            f"{self.tally.documents / speed:,.0f} documents/s",
            f"{self.tally.bytes_read / 1e6 / speed:.1f} MB/s",
            f"ETA {_clock(self.eta_seconds)}",
        ]
        if self.tally.dropped:
            top = self.tally.dropped.most_common(4)
            parts.append("dropped " + ", ".join(f"{name} {count:,}" for name, count in top))
        return " · ".join(parts)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


@contextmanager
def shown(progress: StageProgress, console: Console | None = None) -> Iterator[None]:
    """Show a stage's progress until the block ends: a bar on a terminal, log lines elsewhere."""
    console = console or Console(stderr=True)
    stop = threading.Event()
    loop = _draw if console.is_terminal else _log
    thread = threading.Thread(target=loop, args=(progress, stop, console), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _log(progress: StageProgress, stop: threading.Event, console: Console) -> None:
    del console
    seconds = 0.0
    while not stop.wait(SAMPLE_SECONDS):
        snapshot = progress.snapshot()
        seconds += SAMPLE_SECONDS
        if seconds >= LOG_SECONDS:
            logger.info("stage=%s %s", progress.stage, snapshot.line())
            seconds = 0.0


def _draw(progress: StageProgress, stop: threading.Event, console: Console) -> None:
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}"),
    )
    with Progress(*columns, console=console, transient=False) as bar:
        row = bar.add_task(progress.stage, total=1.0, line="")
        done = False
        while not done:
            done = stop.wait(SHOW_SECONDS)
            with contextlib.suppress(OSError):
                snapshot = progress.snapshot()
                bar.update(row, completed=snapshot.fraction, line=snapshot.line())
