"""Dedup: which documents of the whole job repeat another, told by unit and place in the unit."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from data_pipeline.dedup import DedupConfig, find_duplicates, read_signatures, read_table
from data_pipeline.progress import ProgressFile
from data_pipeline.records import DuplicateOf
from data_pipeline.stages.task import Outcome, work_path

REPEATED_ID = "repeated_id"
"""How a record is called that comes a second time under one id: a file that two globs name."""
_ROWS_PER_GROUP = 1 << 16
_SCHEMA = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("position", pa.int32()),
        pa.field("doc_id", pa.string()),
        pa.field("kept_doc_id", pa.string()),
        pa.field("method", pa.string()),
        pa.field("similarity", pa.float64()),
    ]
)


@dataclass(frozen=True)
class DedupTask:
    """Compare the signatures of all units."""

    output_dir: str
    unit_id: str
    map_ids: tuple[str, ...]
    """Units in the order of the plan."""
    dedup: DedupConfig
    num_bytes: int


def dedup_all(task: DedupTask, progress: ProgressFile) -> Outcome:
    """A table of duplicates, by unit and position of the document in it."""
    del progress  # one pass over arrays
    urls = [
        storage.join(task.output_dir, work_path("map", unit, "signatures.parquet"))
        for unit in task.map_ids
    ]
    table = read_table(urls, task.dedup)
    duplicates = {found.doc_id: found for found in find_duplicates(table, task.dedup)}
    committed = set(table.doc_ids[table.dataset < table.num_committed].tolist())
    doc_ids = [[s.doc_id for s in read_signatures(url, task.dedup)] for url in urls]
    rows = list(_placed(doc_ids, duplicates, committed))
    path = work_path("dedup", task.unit_id, "duplicates.parquet")
    with storage.atomic_write(storage.join(task.output_dir, path)) as stream:
        found = pa.Table.from_pylist(rows, schema=_SCHEMA)
        pq.write_table(found, stream, compression="zstd", row_group_size=_ROWS_PER_GROUP)
    return Outcome((path,), {"num_duplicates": len(rows)})


def _placed(
    doc_ids: Sequence[Sequence[str]],
    duplicates: Mapping[str, DuplicateOf],
    committed: Collection[str],
) -> Iterator[dict[str, Any]]:
    """Each duplicate where it stands; of records with one id, all but the first are repeats."""
    seen = set(committed)
    for unit, of_unit in enumerate(doc_ids):
        for position, doc_id in enumerate(of_unit):
            found = duplicates.get(doc_id)
            if doc_id in seen:
                found = DuplicateOf(doc_id, doc_id, REPEATED_ID)
            elif found is not None and found.kept_doc_id == doc_id:
                found = None
            seen.add(doc_id)
            if found is not None:
                yield {
                    "unit": unit,
                    "position": position,
                    "doc_id": doc_id,
                    "kept_doc_id": found.kept_doc_id,
                    "method": found.method,
                    "similarity": found.similarity,
                }


def duplicates_of(url: str, unit: int) -> dict[int, DuplicateOf]:
    """The duplicates of one unit by position, from a file that `dedup_all` wrote."""
    with storage.open_read(url) as stream:
        table = pq.read_table(stream, filters=[("unit", "=", unit)])
    return {
        row["position"]: DuplicateOf(
            row["doc_id"], row["kept_doc_id"], row["method"], row["similarity"]
        )
        for row in table.to_pylist()
    }
