"""How the search for duplicates grows: CPU seconds and peak memory of its tasks at 1x, 4x and 16x.

Signatures are drawn with known clusters (5 % exact copies, 5 % near ones at a similarity of .9), as
a job's map stage would have written them; every task runs in a process of its own, so that its peak
is its own. Options: `documents` (of 1x), `memory_bytes`, `folder`, `plot`.
"""

import logging
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import xxhash

from data_pipeline.dedup import DedupConfig, signature_writer
from data_pipeline.dedup.minhash import mix
from data_pipeline.dedup.rows import Rows
from data_pipeline.dedup.signature_store import TEXT_COLUMNS, signature_batches
from data_pipeline.progress import ProgressFile
from data_pipeline.records import Signature
from data_pipeline.stages.search import Earlier, Step, search, search_plan
from data_pipeline.stages.search_task import SearchTask, SignedFile

logger = logging.getLogger(__name__)

GROWTH = (1, 4, 16)
DOCUMENTS_PER_FILE = 25_000
COPIES, NEAR_SHARE, NEAR_SIMILARITY = 0.1, 0.05, 0.9
"""Documents that copy another, those among them that differ in some values, and in how few."""
MIN_RECALL = 0.999
MEGABYTE = 1 << 20
HEAD = "documents | tasks | CPU s | us/document | largest task s | peak MB | MB moved"
PLOT = "docs/images/dedup_growth.png"


@dataclass
class Grown:
    """What one size took."""

    num_documents: int
    num_tasks: int = 0
    cpu_seconds: float = 0.0
    largest_task_seconds: float = 0.0
    peak_bytes: int = 0
    """Of the largest task, the interpreter and its libraries left out."""
    rows_bytes: int = 0
    """Of all rows that went from step to step."""
    by_step: dict[str, float] = field(default_factory=dict)
    recall: float = 0.0
    num_false: int = 0


def run(options: Mapping[str, str]) -> int:
    """Measure three sizes, print them, and draw the plot."""
    first = int(options.get("documents", "60000"))
    memory_bytes = int(options.get("memory_bytes", str(64 * MEGABYTE)))
    with tempfile.TemporaryDirectory() as folder:  # what libraries load on first use is no task's
        for file in range(2):
            _draw(f"{folder}/{file}", 0, 100, DedupConfig())
            next(signature_batches(f"{folder}/{file}", DedupConfig(), TEXT_COLUMNS))
    sizes = []
    for factor in GROWTH:
        with tempfile.TemporaryDirectory(dir=options.get("folder")) as folder:
            grown = measured(folder, factor * first, DedupConfig(memory_bytes=memory_bytes))
        logger.info("%s", line(grown))
        sizes.append(grown)
    logger.info(
        "%s", "documents | tasks | CPU s | us/document | largest task s | peak MB | MB moved"
    )
    for grown in sizes:
        logger.info("%s", line(grown))
    draw(sizes, memory_bytes, Path(options.get("plot", PLOT)))
    is_bounded = all(grown.peak_bytes <= memory_bytes + 64 * MEGABYTE for grown in sizes)
    # Two documents at .9 share no band once in 2,600 times: 1 - (1 - .9 ** 8) ** 14.
    is_right = all(grown.recall >= MIN_RECALL and grown.num_false == 0 for grown in sizes)
    return 0 if is_bounded and is_right else 1


def line(grown: Grown) -> str:
    """One size as a row of the table."""
    steps = sorted(grown.by_step.items(), key=lambda item: -item[1])[:5]
    return (
        f"{grown.num_documents:>9,} | {grown.num_tasks:>4} | {grown.cpu_seconds:7.1f} | "
        f"{grown.cpu_seconds / grown.num_documents * 1e6:5.1f} | {grown.largest_task_seconds:5.1f} "
        f"| {grown.peak_bytes / 1e6:6.0f} | {grown.rows_bytes / 1e6:7.0f} | "
        f"recall {grown.recall:.4f}, false {grown.num_false} | "
        + ", ".join(f"{step} {seconds:.1f}" for step, seconds in steps)
    )


def measured(folder: str, num_documents: int, config: DedupConfig) -> Grown:
    """Draw signatures and search them, each task in its own process."""
    grown = Grown(num_documents)
    files = []
    for number, start in enumerate(range(0, num_documents, DOCUMENTS_PER_FILE)):
        count = min(DOCUMENTS_PER_FILE, num_documents - start)
        url = f"{folder}/{number}.parquet"
        _in_process(_draw, url, start, count, config)
        files.append(SignedFile(url, number, 0, count, number))
    plan = search_plan(folder, "benchmark", config, files, Earlier())

    def run_step(step: str, function: Step, tasks: Sequence[SearchTask]) -> list[dict[str, Any]]:
        results = []
        for task in tasks:
            usage = _in_process(_task, function, task)
            results.append(usage.value)
            grown.num_tasks += 1
            grown.cpu_seconds += usage.cpu_seconds
            grown.largest_task_seconds = max(grown.largest_task_seconds, usage.cpu_seconds)
            grown.peak_bytes = max(grown.peak_bytes, usage.peak_bytes)
            name = step.rstrip("0123456789_")
            grown.by_step[name] = grown.by_step.get(name, 0.0) + usage.cpu_seconds
        return results

    search(plan, run_step, folder)
    grown.rows_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*.runs"))
    found: set[int] = set()
    for path in set(plan.tables().values()):
        ids = pq.read_table(f"{folder}/{path}", columns=["doc_id"]).column("doc_id").to_pylist()
        found.update(int(doc_id[-8:], 16) for doc_id in ids)
    _judge(grown, found)
    return grown


def _judge(grown: Grown, found: set[int]) -> None:
    """Of an original and its copy exactly one goes; no other document does."""
    originals = _originals(np.arange(grown.num_documents, dtype=np.uint64))
    copies = np.flatnonzero(originals >= 0)
    hit = sum((int(copy) in found) or (int(originals[copy]) in found) for copy in copies)
    related = set(copies.tolist()) | set(originals[copies].tolist())
    grown.recall = hit / max(len(copies), 1)
    grown.num_false = len(found - related)


def _shares(numbers: Rows) -> npt.NDArray[np.float64]:
    """(N,) a number in [0, 1) for each document."""
    return mix(numbers + np.uint64(1)).astype(np.float64) / 2**64


def _originals(numbers: Rows) -> npt.NDArray[np.int64]:
    """(N,) the document that each one copies, -1 for none: a function of its number alone."""
    shares = _shares(numbers)
    chosen = mix(numbers ^ np.uint64(1 << 40)) % np.maximum(numbers, np.uint64(1))
    is_copy = (shares < COPIES) & (numbers > 0) & (_shares(chosen) >= COPIES)
    return np.where(is_copy, chosen.astype(np.int64), -1)


def _draw(url: str, start: int, count: int, config: DedupConfig) -> None:
    """The signatures of documents `start` to `start + count`."""
    assert config.minhash is not None
    width = config.minhash.num_hashes
    numbers = np.arange(start, start + count, dtype=np.uint64)
    originals = _originals(numbers)
    roots = np.where(originals >= 0, originals, numbers.astype(np.int64)).astype(np.uint64)
    columns = np.arange(width, dtype=np.uint64)
    values = mix(roots[:, np.newaxis] * np.uint64(width) + columns)
    own = mix((numbers[:, np.newaxis] * np.uint64(width) + columns) ^ np.uint64(1 << 50))
    is_near = (originals >= 0) & (_shares(numbers) < NEAR_SHARE)
    is_changed = is_near[:, np.newaxis] & (own.astype(np.float64) / 2**64 > NEAR_SIMILARITY)
    values = np.where(is_changed, own, values).astype(np.uint32)
    with signature_writer(url, config) as writer:
        for number, row in zip(numbers.tolist(), values, strict=True):
            doc_id = f"{xxhash.xxh3_128_hexdigest(b'%d' % number)[:24]}{number:08x}"
            digest = xxhash.xxh3_128_digest(row.tobytes())
            writer.add(Signature(doc_id, digest, row), f"https://h{number}.example/")


@dataclass(frozen=True)
class _Usage:
    value: Any
    cpu_seconds: float
    peak_bytes: int


def _in_process(function: Any, *arguments: Any) -> _Usage:
    """Run a function in a forked process; its result, CPU time and growth of memory."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    usage: _Usage = ours.recv()
    process.join()
    return usage


def _child(pipe: Connection, function: Any, arguments: tuple[Any, ...]) -> None:
    before, started = _resident_bytes(), time.process_time()
    value = function(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send(_Usage(value, time.process_time() - started, max(0, peak - before)))


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def _task(function: Step, task: SearchTask) -> dict[str, Any]:
    return function(task, ProgressFile(task.output_dir, task.unit_id)).result


def draw(sizes: Sequence[Grown], memory_bytes: int, path: Path) -> None:
    """CPU seconds and peak memory against documents."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    documents = [grown.num_documents for grown in sizes]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    left.plot(documents, [grown.cpu_seconds for grown in sizes], "o-", label="all tasks")
    left.plot(documents, [g.largest_task_seconds for g in sizes], "s--", label="largest task")
    left.set(xlabel="documents", ylabel="CPU seconds", xscale="log", yscale="log")
    right.plot(documents, [g.peak_bytes / 1e6 for g in sizes], "o-", label="largest task")
    right.axhline(memory_bytes / 1e6, color="grey", ls=":", label="dedup.memory_bytes")
    whole = [documents[0] * 448 / 1e6, documents[-1] * 448 / 1e6]
    right.plot([documents[0], documents[-1]], whole, ":", label="all signatures in memory")
    right.set(xlabel="documents", ylabel="peak memory, MB", xscale="log", yscale="log")
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.suptitle("Deduplication: 1x, 4x, 16x documents")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
