"""The row end to end: WARC files to kept, deduplicated token ids on disk, two cores.

Ours runs as its users run it, `python -m data_pipeline run`, through Ray. Time counts from the
first record read (ours: from the start of the task that reads it) to the committed manifest (peers:
to the last file of tokens); start-up is told beside it. Both read the same files and use the same
tokenizer.
"""

import json
import logging
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Job
from benchmarks.processes import ROOT, StepError, run_command, run_measurement
from benchmarks.schedule import Schedule, failure_note
from benchmarks.table import Figure
from contracts.shards import read_manifest

logger = logging.getLogger(__name__)

CONFIG = ROOT / "configs" / "data" / "common_crawl.yaml"
CORES = 2
OWN_SECONDS = 400.0
PEER_SECONDS = 700.0
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Run:
    """One run end to end."""

    pages: int
    kept: int
    tokens: int
    startup_seconds: float
    seconds: float
    """From the first record read to the end."""
    note: str = ""

    @property
    def pages_per_second(self) -> float:
        """On one core."""
        return self.pages / self.seconds / CORES


class Course:
    """The runs of one who goes end to end."""

    def __init__(self, who: str, *, is_required: bool = True) -> None:
        self.who = who
        self.is_required = is_required
        self.runs: list[Run] = []
        self.failure: StepError | None = None

    @property
    def rate(self) -> float | None:
        """Median pages a second on one core."""
        if self.failure or not self.runs:
            return None
        return statistics.median(run.pages_per_second for run in self.runs)

    @property
    def figure(self) -> Figure:
        """For the table."""
        if self.failure or not self.runs:
            reason = failure_note(self.failure) if self.failure else "never run"
            return Figure(self.who, None, reason, self.is_required)
        run = self.runs[-1]
        startup = statistics.median(run.startup_seconds for run in self.runs)
        note = (
            f"kept {run.kept} of {run.pages} ({100 * run.kept / max(1, run.pages):.0f} %), "
            f"{run.tokens / 1e6:.2f} M tokens, {run.seconds:.1f} s after {startup:.1f} s to start, "
            f"{len(self.runs)} run{'s' * (len(self.runs) > 1)} {run.note}"
        )
        return Figure(self.who, self.rate, note.rstrip(), self.is_required)

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Keep a failure for the table, and its log for the reader."""
        try:
            yield
        except StepError as failure:
            logger.warning("%s: %s\n%s", self.who, failure, failure.tail)
            self.failure = failure
        else:
            if self.runs:
                run = self.runs[-1]
                logger.info("%s: %.1f pages/s a core, %s", self.who, run.pages_per_second, run)


def run_ours(schedule: Schedule, *, extractor: str, warcs: Path, tokenizer: Path, name: str) -> Run:
    """The data job with one of its extractors.

    Raises:
        StepError: it failed.
    """
    folder = schedule.folder / "end_to_end" / name
    shutil.rmtree(folder, ignore_errors=True)
    out = folder / "out"
    overrides: Mapping[str, object] = {
        "output_dir": str(out),
        "sources": [{"kind": "common_crawl", "name": "web", "files": [str(warcs / "*.warc.gz")]}],
        "extractor": {"kind": extractor},
        "tokenizer": {"kind": "existing", "path": str(tokenizer)},
        "runner": {"kind": "ray", "num_workers": CORES},
        "tracking": {"kind": "none"},
    }
    given = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    command = [sys.executable, "-m", "data_pipeline", "run", str(CONFIG), *given]
    step = f"data_pipeline {extractor}"
    launched = time.time()
    limit = schedule.timeout(OWN_SECONDS, step)
    run_command(step, command, log=folder / "log.txt", timeout=limit)
    manifests = [out / split / "manifest.json" for split in SPLITS]
    written = [path for path in manifests if path.exists()]
    if not written:
        raise StepError(step, f"left no manifest in {out}", "")
    end = max(path.stat().st_mtime for path in written)
    first = first_task_started(out / "ledger" / "map", launched)
    found = [read_manifest(str(path)) for path in written]
    counts = found[0].counts
    run = Run(
        pages=int(counts["in"]),
        kept=int(counts["kept"]),
        tokens=sum(manifest.num_tokens for manifest in found),
        startup_seconds=first - launched,
        seconds=end - first,
    )
    shutil.rmtree(out)
    return run


def first_task_started(ledger: Path, launched: float) -> float:
    """When the first task that reads began, just before its first record; `launched` if unknown.

    Each unit's record stands when the unit is done, and says how many seconds it took.
    """
    starts = []
    for path in ledger.glob("*.json"):
        cost = json.loads(path.read_text())["result"].get("cost", {})
        if "seconds" in cost:
            starts.append(path.stat().st_mtime - float(cost["seconds"]))
    return max(launched, min(starts, default=launched))


def run_peer(schedule: Schedule, *, python: str, module: str, job: Job, name: str) -> Run:
    """A peer's chain, in its environment.

    Raises:
        StepError: it failed.
    """
    folder = schedule.folder / "end_to_end" / name
    shutil.rmtree(folder, ignore_errors=True)
    launched = time.time()
    figures = run_measurement(
        python,
        module,
        {**job, "output_dir": str(folder / "out"), "workers": CORES},
        folder=folder,
        timeout=schedule.timeout(PEER_SECONDS, name),
    )
    shutil.rmtree(folder / "out", ignore_errors=True)
    return Run(
        pages=int(figures["pages"]),
        kept=int(figures["kept"]),
        tokens=int(figures.get("tokens", 0)),
        startup_seconds=figures["first_record"] - launched,
        seconds=figures["end"] - figures["first_record"],
        note=str(figures.get("note", "")),
    )
