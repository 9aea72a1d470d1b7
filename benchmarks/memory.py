"""How much memory the workers of a data job hold, over time: it must stay low, and flat.

Runs a job over a crawl (the one of `python -m benchmarks data`, its files repeated up to the size
wanted) with local workers, and samples the resident memory of each worker with all processes below
it. Pages that two processes share count twice: the figure is an upper bound.

Options: megabytes=1000 of WARC, workers=2, extractor=fast, plot=FILE; pages=8000 of the crawl that
is repeated.
"""

import logging
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median

import matplotlib as mpl
import psutil

from benchmarks.crawl import FULL_PAGES, made_crawl
from benchmarks.data import CACHE
from benchmarks.processes import ROOT

mpl.use("Agg")
from matplotlib import pyplot as plt

logger = logging.getLogger(__name__)

MAX_BYTES = 1_500_000_000
MAX_GROWTH = 1.10
"""Median of the last third of a run by that of its middle third."""
SAMPLE_SECONDS = 0.5
WARM_BYTES = 50_000_000
"""A child that never holds as much is no worker."""
CONFIG = """
output_dir: {output}
sources:
  - {{kind: common_crawl, name: web, files: ["{crawl}/*.warc.gz"], unit_bytes: 16777216}}
extractor: {extractor}
filters:
  - {{kind: url}}
  - {{kind: language, languages: null, min_score: 0.65}}
  - {{kind: length, min_words: 50}}
  - {{kind: gopher_repetition}}
  - {{kind: gopher_quality}}
  - {{kind: c4}}
  - {{kind: fineweb}}
tokenizer: {{kind: train, vocab_size: 8192}}
shards: {{seq_len: 1024}}
runner: {{kind: local, num_workers: {workers}}}
tracking: {{kind: none}}
"""


@dataclass(frozen=True)
class Sample:
    """What one worker held at one moment."""

    seconds: float
    worker: int
    rss_bytes: int


def run(options: Mapping[str, str]) -> int:
    """Run the job, print what its workers held, draw it; 1 where it was too much or grew."""
    megabytes = float(options.get("megabytes", "1000"))
    cache = CACHE / "data"
    crawl = made_crawl(cache, int(options.get("pages", FULL_PAGES)))
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        held = linked(crawl.warcs, Path(folder) / "crawl", int(megabytes * 1e6))
        config = Path(folder) / "job.yaml"
        config.write_text(
            CONFIG.format(
                output=Path(folder) / "out",
                crawl=Path(folder) / "crawl",
                extractor=options.get("extractor", "fast"),
                workers=options.get("workers", "2"),
            )
        )
        samples, map_seconds, code = sampled_job(config, Path(folder) / "out")
    if code:
        sys.stdout.write(f"the job ended with code {code}\n")
        return 1
    if "plot" in options:
        draw(samples, map_seconds, Path(options["plot"]), megabytes=held / 1e6)
    return verdict(samples, map_seconds, held)


def linked(files: Sequence[Path], folder: Path, num_bytes: int) -> int:
    """Links to the files, over and over, until they hold `num_bytes`; what they hold."""
    folder.mkdir()
    held = 0
    for number, file in enumerate(cycle(files)):
        if held >= num_bytes:
            return held
        (folder / f"{number:05d}-{file.name}").symlink_to(file.resolve())
        held += file.stat().st_size
    return held


def sampled_job(config: Path, output: Path) -> tuple[list[Sample], float, int]:
    """Run a job; what its workers held, when its map stage ended, and its exit code."""
    command = [sys.executable, "-m", "data_pipeline", "run", str(config)]
    job = subprocess.Popen(command, cwd=ROOT)  # noqa: S603 - our own command
    process = psutil.Process(job.pid)
    samples: list[Sample] = []
    started = time.monotonic()
    map_seconds = 0.0
    while job.poll() is None:
        seconds = time.monotonic() - started
        if not (output / "ledger" / "dedup").exists():
            map_seconds = seconds
        samples += [Sample(seconds, *found) for found in _held_by_workers(process)]
        time.sleep(SAMPLE_SECONDS)
    return samples, map_seconds, job.returncode


def _held_by_workers(job: psutil.Process) -> list[tuple[int, int]]:
    """(process id, resident bytes of it and all below it) of each child of a job."""
    found = []
    try:
        for worker in job.children():
            family = [worker, *worker.children(recursive=True)]
            found.append((worker.pid, sum(_rss(member) for member in family)))
    except psutil.NoSuchProcess:
        return []
    return found


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def by_worker(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The samples of each worker; other children of the job are left out."""
    found: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.worker].append(sample)
    return [held for held in found.values() if max(s.rss_bytes for s in held) > WARM_BYTES]


def verdict(samples: Sequence[Sample], map_seconds: float, held: int) -> int:
    """Print the figures of each worker; 1 where a bound is broken."""
    code = 0
    for number, own in enumerate(by_worker(samples)):
        peak = max(sample.rss_bytes for sample in own)
        mapping = [s.rss_bytes for s in own if s.seconds <= map_seconds]
        third = len(mapping) // 3
        if not third:
            continue
        growth = median(mapping[2 * third :]) / median(mapping[third : 2 * third])
        is_held = peak <= MAX_BYTES and growth <= MAX_GROWTH
        code |= not is_held
        sys.stdout.write(
            f"worker {number}: peak {peak / 1e6:,.0f} MB (bar {MAX_BYTES / 1e6:,.0f}), map stage's "
            f"last third / middle third {growth:.3f} (bar {MAX_GROWTH}) "
            f"{'holds' if is_held else 'MISSED'}\n"
        )
    sys.stdout.write(
        f"memory: {held / 1e6:,.0f} MB of WARC, {'bars hold' if not code else 'a bar is missed'}\n"
    )
    return code


def draw(samples: Sequence[Sample], map_seconds: float, place: Path, *, megabytes: float) -> None:
    """Draw each worker's memory over time."""
    figure, axes = plt.subplots(figsize=(8, 4), dpi=120)
    for number, own in enumerate(by_worker(samples)):
        axes.plot(
            [s.seconds for s in own],
            [s.rss_bytes / 1e6 for s in own],
            label=f"worker {number}",
            linewidth=1,
        )
    axes.axhline(MAX_BYTES / 1e6, color="tab:red", linestyle="--", linewidth=1, label="bar")
    axes.axvline(map_seconds, color="grey", linestyle=":", linewidth=1, label="end of map")
    axes.set_xlabel("seconds")
    axes.set_ylabel("MB resident, with all child processes")
    axes.set_ylim(bottom=0)
    axes.set_title(f"A data job over {megabytes:,.0f} MB of WARC, 2 local workers")
    axes.legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place)
    plt.close(figure)
