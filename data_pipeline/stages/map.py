"""Map: one work unit of a source becomes documents, signatures and drops.

A child process reads, extracts, filters and signs (`isolation`); this one writes and counts.
"""

import logging
import resource
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from contracts import storage
from contracts.config import Json
from data_pipeline import dedup
from data_pipeline.documents import document_writer, drop_writer
from data_pipeline.progress import ProgressFile
from data_pipeline.records import WorkUnit
from data_pipeline.stages.counting import Counting
from data_pipeline.stages.isolation import IsolatedWork, PageLimitsConfig
from data_pipeline.stages.record_work import (
    Batch,
    Kept,
    NoGuard,
    RecordWork,
    Resume,
    UnitWork,
    unit_batches,
)
from data_pipeline.stages.task import Outcome, work_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MapTask:
    """Read, extract, filter and sign one work unit."""

    output_dir: str
    unit_id: str
    work: UnitWork
    limits: PageLimitsConfig | None
    """None works in the task's own process."""

    @property
    def unit(self) -> WorkUnit:
        """What is read."""
        return self.work.unit

    @property
    def num_bytes(self) -> int:
        """Bytes of the file that the unit reads."""
        return self.unit.size_bytes


def signatures_path(unit_id: str) -> str:
    """A unit's signatures, relative to the output folder."""
    return work_path("map", unit_id, "signatures.parquet")


def map_unit(task: MapTask, progress: ProgressFile) -> Outcome:
    """Documents that pass the filters, their signatures, and every drop with its reason."""
    started = time.monotonic()
    paths = [
        work_path("map", task.unit_id, what)
        for what in ("documents.parquet", "drops.parquet", "signatures.parquet")
    ]
    documents_url, drops_url, signatures_url = (
        storage.join(task.output_dir, path) for path in paths
    )
    counting = Counting(progress)
    isolated = None if task.limits is None else IsolatedWork(task.work, task.limits)
    batches = _batches_here(task.work) if isolated is None else isolated.batches()
    first = next(batches)
    with (
        closing(batches),
        document_writer(documents_url) as documents,
        drop_writer(drops_url, measures=first.example or {}) as drops,
        dedup.signature_writer(signatures_url, task.work.dedup) as signatures,
    ):
        for batch in chain([first], batches):
            counting.others(batch.other_records, bytes_read=batch.bytes_read)
            for result in batch.results:
                counting.read(batch.bytes_read)
                if isinstance(result, Kept):
                    counting.kept(result.stored.document)
                    documents.add(result.stored)
                    uri = result.stored.document.uri
                    signatures.add(result.signature, uri, result.fetched_at)
                else:
                    counting.dropped(result.drop)
                    drops.add(result)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cost: dict[str, Json] = {
        "seconds": time.monotonic() - started,
        "peak_memory_bytes": peak + (0 if isolated is None else isolated.peak_memory_bytes),
    }
    return Outcome(tuple(paths), {**counting.counts().as_json(), "cost": cost})


def _batches_here(work: UnitWork) -> Generator[Batch]:
    """The results of a unit, made in this process: nothing guards it from a bad page."""
    return unit_batches(work, RecordWork(work), resume=Resume(), guard=NoGuard())
