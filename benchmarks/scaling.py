"""`python -m benchmarks scaling`: how much faster two workers are than one, local and through Ray.

Runs the data job with one and with two workers in turn, `pairs` times for each runner, and judges
the median ratio. The span goes from the first record read to the committed manifest; start-up is
printed apart. The table of stages says where the rest goes: `busy` is the workers' time in tasks
over the time they had, so a serial stage shows as 50 %. A first run, not measured, warms the caches
and trains the tokenizer, which is one task whatever the number of workers; shards are small enough
that writing has several units, as a crawl of real size has. Only a quiet machine gives a
meaningful figure. Options: `pages=2000 pairs=5 runners=local,ray extractor=resiliparse`.
"""

import json
import logging
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.crawl import Crawl, made_crawl
from benchmarks.processes import ONE_THREAD, ROOT, StepError, run_command
from contracts.errors import EXIT_BAD_CONFIG, EXIT_DONE, EXIT_FAILED
from data_pipeline.timeline import StageReport, read_timeline

logger = logging.getLogger(__name__)

CACHE = ROOT / ".benchmarks"
CONFIG = ROOT / "configs" / "data" / "common_crawl.yaml"
BARS = {"local": 1.85, "ray": 1.7}
"""Times the speed of one worker that two must reach."""
DEFAULTS = {"pages": "4000", "pairs": "5", "runners": "local,ray", "extractor": "balanced"}
RUN_SECONDS = 1200.0
UNIT_BYTES = 2_000_000
"""Compressed bytes of a work unit: enough units that none is waited for alone."""


@dataclass(frozen=True)
class Job:
    """What all runs do."""

    crawl: Crawl
    extractor: str
    tokenizer: Mapping[str, object]


@dataclass(frozen=True)
class Timed:
    """One run of the job."""

    startup_seconds: float
    seconds: float
    """From the first record read to the committed manifest."""
    stages: tuple[StageReport, ...]


def run(options: Mapping[str, str]) -> int:
    """The benchmark; 1 when a bar is missed."""
    unknown = sorted(set(options) - set(DEFAULTS))
    given = {**DEFAULTS, **options}
    runners = given["runners"].split(",")
    if unknown or not set(runners) <= set(BARS):
        sys.stderr.write(f"scaling: options are {DEFAULTS}, not {dict(options)}\n")
        return EXIT_BAD_CONFIG
    try:
        crawl = made_crawl(CACHE, int(given["pages"]))
        job = Job(crawl, given["extractor"], _tokenizer(crawl, given["extractor"]))
        ratios = {name: measured_ratio(name, job, int(given["pairs"])) for name in runners}
    except StepError as error:
        sys.stderr.write(f"{error}\n{error.tail}\n")
        return EXIT_FAILED
    held = True
    for name, ratio in ratios.items():
        held = held and ratio >= BARS[name]
        verdict = "holds" if ratio >= BARS[name] else f"missed by {BARS[name] - ratio:.2f}"
        sys.stdout.write(f"{name}: two workers {ratio:.2f}x of one, bar {BARS[name]}x {verdict}\n")
    return EXIT_DONE if held else EXIT_FAILED


def _tokenizer(crawl: Crawl, extractor: str) -> Mapping[str, object]:
    """The section that takes the model of a first run."""
    kept = CACHE / "work" / "scaling.model"
    timed("local", 2, Job(crawl, extractor, {"kind": "train", "vocab_size": 32000}), model=kept)
    return {"kind": "existing", "path": str(kept)}


def measured_ratio(runner: str, job: Job, pairs: int) -> float:
    """Median of the pairs' ratios, with a table of the stages.

    Raises:
        StepError: a run failed.
    """
    runs: dict[int, list[Timed]] = {1: [], 2: []}
    for pair in range(pairs):
        order = (1, 2) if pair % 2 == 0 else (2, 1)
        for workers in order:
            runs[workers].append(timed(runner, workers, job))
        one, two = runs[1][-1], runs[2][-1]
        logger.info(
            "%s pair %d: %.1f s and %.1f s, %.2fx; start-up %.1f s and %.1f s",
            *(runner, pair + 1, one.seconds, two.seconds, one.seconds / two.seconds),
            *(one.startup_seconds, two.startup_seconds),
        )
    sys.stdout.write(stage_table(runner, runs[1], runs[2]))
    return statistics.median(
        one.seconds / two.seconds for one, two in zip(runs[1], runs[2], strict=True)
    )


def timed(runner: str, workers: int, job: Job, *, model: Path | None = None) -> Timed:
    """One run in a folder of its own, removed afterwards; its tokenizer is kept as `model`.

    Raises:
        StepError: it failed.
    """
    folder = CACHE / "work" / "scaling"
    shutil.rmtree(folder, ignore_errors=True)
    out = folder / "out"
    source = {
        "kind": "common_crawl",
        "name": "web",
        "files": [str(job.crawl.folder / "warc" / "*.warc.gz")],
        "unit_bytes": UNIT_BYTES,
    }
    overrides: Mapping[str, object] = {
        "output_dir": str(out),
        "sources": [source],
        "extractor": {"kind": job.extractor},
        "runner": {"kind": runner, "num_workers": workers},
        "tokenizer": job.tokenizer,
        "shards.chunk_tokens": 1 << 16,
        "shards.shard_tokens": 1 << 17,
        "tracking": {"kind": "none"},
    }
    given = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    command = [sys.executable, "-m", "data_pipeline", "run", str(CONFIG), *given]
    launched = time.time()
    step = f"{runner} with {workers}"
    log = folder / "log.txt"
    run_command(step, command, log=log, timeout=RUN_SECONDS, environment=ONE_THREAD)
    stages = tuple(read_timeline(str(out)))
    first = min(stage.first_task_at for stage in stages)
    manifest = Path(out, "train", "manifest.json")
    if not manifest.exists():
        raise StepError(step, f"left no {manifest}", "")
    end = manifest.stat().st_mtime
    if model is not None:
        shutil.copy(out / "tokenizer" / "tokenizer.model", model)
    shutil.rmtree(out)
    return Timed(first - launched, end - first, stages)


def stage_table(runner: str, ones: Sequence[Timed], twos: Sequence[Timed]) -> str:
    """Median seconds of each stage with one and two workers, and how busy two were."""
    lines = [f"{runner:<14}{'one, s':>10}{'two, s':>10}{'ratio':>8}{'tasks':>7}{'busy':>7}"]
    one, two = _by_stage(ones), _by_stage(twos)
    for stage, reports in two.items():
        alone = statistics.median(report.seconds for report in one[stage])
        both = statistics.median(report.seconds for report in reports)
        busy = statistics.median(r.task_seconds / (2 * r.seconds) for r in reports)
        lines.append(
            f"{stage:<14}{alone:>10.2f}{both:>10.2f}{alone / both:>8.2f}"
            f"{reports[0].num_tasks:>7}{100 * busy:>6.0f}%"
        )
    for name, runs in (("one", ones), ("two", twos)):
        whole = statistics.median(run.seconds for run in runs)
        staged = statistics.median(sum(s.seconds for s in run.stages) for run in runs)
        startup = statistics.median(run.startup_seconds for run in runs)
        lines.append(
            f"with {name}: {whole:.2f} s, of them in stages {staged:.2f} s; "
            f"start-up {startup:.2f} s"
        )
    return "\n".join(lines) + "\n"


def _by_stage(runs: Sequence[Timed]) -> dict[str, list[StageReport]]:
    found: dict[str, list[StageReport]] = defaultdict(list)
    for run in runs:
        for report in run.stages:
            found[report.stage].append(report)
    return found
