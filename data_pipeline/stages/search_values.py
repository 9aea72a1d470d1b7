"""Steps that look up the MinHash values of pairs, one document of a pair after the other.

`values`: to each pair (here, there) the node and the values of the document here, sent to where the
other one is; `similar`: both values compared, links of those that are alike; `found`: the table of
a block's duplicates, each with the document that is kept and its similarity to that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from data_pipeline.dedup.matching import (
    EDGE,
    RowStream,
    both_directions,
    distinct_rows,
    num_packed,
    packed,
    similarities,
)
from data_pipeline.dedup.rows import NODE, Numbers, Rows, doc_ids_of, nodes, places
from data_pipeline.dedup.runs import concatenated
from data_pipeline.dedup.signature_store import TEXT_COLUMNS, SignatureBatch, signature_batches
from data_pipeline.progress import ProgressFile
from data_pipeline.records import DuplicateOf
from data_pipeline.stages.search_matches import PAIR_COLUMNS
from data_pipeline.stages.search_rows import (
    BY_DIGEST,
    BY_ID,
    FOUND_COLUMNS,
    REPEAT_COLUMNS,
    is_among,
)
from data_pipeline.stages.search_task import SearchTask, SignedFile
from data_pipeline.stages.task import Outcome, work_path

REPEATED_ID = "repeated_id"
"""How a record is called that comes a second time under one id: a file that two globs name."""
URL, EXACT, MINHASH = "url", "exact", "minhash"
SCHEMA = pa.schema(
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
class _Joined:
    """Rows whose first number is a document of a batch, and what the batch says of them."""

    rows: Rows
    node: Rows
    """(N, 3) of the batch."""
    values: npt.NDArray[np.uint32]
    """(N, H) of the batch."""
    at: npt.NDArray[np.int64]
    """(R,) each row's document in the batch."""

    def packed(self) -> Rows:
        """(R, ...) the packed values of each row's document."""
        return packed(self.values[self.at])


def value_rows(task: SearchTask, progress: ProgressFile) -> Outcome:
    """(number there, node here, values here) of each pair."""
    del progress
    columns = value_columns(task)
    pairs = RowStream(distinct_rows(task.pieces("pairs", PAIR_COLUMNS)))
    with task.writers(("rows", columns, task.by_block)) as [writer]:
        for found in _joined(task, pairs):
            there = found.rows[:, 1:2]
            writer.add(np.concatenate([there, found.node[found.at], found.packed()], axis=1))
        num_rows = writer.num_rows
    return Outcome((task.path("rows"),), {"num_rows": num_rows})


def similar(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Links between the documents of pairs whose estimated similarity reaches the limit."""
    del progress
    assert task.dedup.minhash is not None
    num_values = task.layout.num_values
    rows_there = task.stream("rows", value_columns(task))
    with task.writers(("links", EDGE, task.by_node)) as [writer]:
        for found in _joined(task, rows_there):
            rows = found.rows
            alike = similarities(rows[:, 1 + NODE :], found.packed(), num_values)
            is_linked = alike >= task.dedup.minhash.min_similarity
            links = np.concatenate([rows[:, 1 : 1 + NODE], found.node[found.at]], axis=1)[is_linked]
            writer.add(both_directions(links))
        num_rows = writer.num_rows
    return Outcome((task.path("links"),), {"num_rows": num_rows})


def value_columns(task: SearchTask) -> int:
    """Columns of a row with the values of a document."""
    return 1 + NODE + num_packed(task.layout.num_values)


def found_table(task: SearchTask, progress: ProgressFile) -> Outcome:
    """The block's duplicates by unit and place in the unit."""
    del progress
    repeats = task.stream("repeats", REPEAT_COLUMNS)
    stars = task.stream("rows", value_columns(task))
    found = concatenated(task.pieces("found", FOUND_COLUMNS), FOUND_COLUMNS)
    exact = found[found[:, 1] == BY_DIGEST, 0]
    path = table_path(task.step, task.unit_id)
    num_found = 0
    with storage.atomic_write(storage.join(task.output_dir, path)) as stream:
        writer = pq.ParquetWriter(stream, SCHEMA, compression="zstd")
        for file in task.files:
            if file.unit < 0:
                continue

            def is_wanted(_: int, end: int, file: SignedFile = file) -> bool:
                return stars.has_below(_end(file, end)) or repeats.has_below(_end(file, end))

            batches = signature_batches(file.url, task.dedup, TEXT_COLUMNS, is_wanted=is_wanted)
            for batch in batches:
                end = _end(file, batch.first_row + len(batch))
                parts = [
                    _repeated(concatenated(repeats.below(end), REPEAT_COLUMNS)),
                    _alike(concatenated(stars.below(end), value_columns(task)), batch, file, exact),
                ]
                table = _table(parts, batch, file)
                num_found += table.num_rows
                if table.num_rows:
                    writer.write_table(table)
        writer.close()
    return Outcome((path,), {"num_duplicates": num_found})


def table_path(step: str, unit_id: str) -> str:
    """A block's table of duplicates, relative to the output folder."""
    return work_path(step, unit_id, "duplicates.parquet")


@dataclass(frozen=True)
class _Part:
    """Duplicates found in one way: their numbers, what is kept, how, and how alike they are."""

    numbers: Numbers
    kept: Rows
    methods: npt.NDArray[np.str_]
    alike: npt.NDArray[np.float64]
    """NaN where no similarity was estimated."""


def _repeated(rows: Rows) -> _Part:
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]  # an id that is repeated comes first
    methods = np.where(rows[:, 1] == BY_ID, REPEATED_ID, URL)
    return _Part(rows[:, 0], rows[:, 2:], methods, np.full(len(rows), np.nan))


def _alike(rows: Rows, batch: SignatureBatch, file: SignedFile, exact: Numbers) -> _Part:
    is_exact = is_among(rows[:, 0], exact)
    at = (rows[:, 0] - np.uint64(_end(file, batch.first_row))).astype(np.int64)
    alike = similarities(
        rows[:, 1 + NODE :], packed(batch.values[at]), batch.values.shape[1]
    ).round(6)
    alike[is_exact] = np.nan
    methods = np.where(is_exact, EXACT, MINHASH)
    return _Part(rows[:, 0], rows[:, 1 : 1 + NODE], methods, alike)


def _table(parts: Sequence[_Part], batch: SignatureBatch, file: SignedFile) -> pa.Table:
    numbers = np.concatenate([part.numbers for part in parts])
    order = np.argsort(numbers)
    positions = (numbers - np.uint64(_end(file, 0))).astype(np.int64)[order]
    alike = np.concatenate([part.alike for part in parts])[order]
    columns = [
        pa.array(np.full(len(order), file.unit, dtype=np.int32)),
        pa.array(positions.astype(np.int32)),
        pa.array([batch.doc_ids[i - batch.first_row] for i in positions], pa.string()),
        pa.array(doc_ids_of(np.concatenate([part.kept for part in parts])[order]), pa.string()),
        pa.array(np.concatenate([part.methods for part in parts])[order].tolist(), pa.string()),
        pa.array(alike, pa.float64(), mask=np.isnan(alike)),
    ]
    return pa.table(columns, schema=SCHEMA)


def duplicates_of(url: str, unit: int) -> dict[int, DuplicateOf]:
    """The duplicates of one unit by position, from a table that `found_table` wrote."""
    with storage.open_read(url) as stream:
        table = pq.read_table(stream, filters=[("unit", "=", unit)])
    return {
        row["position"]: DuplicateOf(
            row["doc_id"], row["kept_doc_id"], row["method"], row["similarity"]
        )
        for row in table.to_pylist()
    }


def _joined(task: SearchTask, stream: RowStream) -> Iterator[_Joined]:
    """The block's documents in batches, and rows whose first number is one of them."""
    for file in task.files:

        def is_wanted(_: int, end: int, file: SignedFile = file) -> bool:
            return stream.has_below(_end(file, end))

        for batch in signature_batches(file.url, task.dedup, TEXT_COLUMNS, is_wanted=is_wanted):
            numbers = places(file.number, batch.first_row, len(batch))
            node = nodes(file.dataset, batch.ids(file.url), numbers)
            for rows in stream.below(_end(file, batch.first_row + len(batch))):
                yield _Joined(rows, node, batch.values, (rows[:, 0] - numbers[0]).astype(np.int64))


def _end(file: SignedFile, row: int) -> int:
    """Number of a row of a file."""
    return int(places(file.number, row, 1)[0])
