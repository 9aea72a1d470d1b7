"""The store of documents as zstd parquet: the kept ones with their text, the dropped ones with why.

One row a document; every value a filter measured is a column, so that other thresholds can be tried
on the store alone. Written and read in row groups: a file of any size needs the memory of one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from contracts.errors import DataError
from data_pipeline.records import Document, Drop, Measures, Origin

ROW_GROUP_BYTES = 8 << 20
"""Text behind one row group."""
ROW_GROUP_ROWS = 4096
BATCH_ROWS = 256
"""Rows read at once."""
TEXT_SAMPLE_CHARACTERS = 2000
"""Of a dropped document's text that stays, for the eye."""

_ORIGIN = [
    pa.field("origin_path", pa.string()),
    pa.field("origin_offset", pa.int64()),
    pa.field("origin_length", pa.int64()),
]
_DOCUMENT = [
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("uri", pa.string(), nullable=False),
    pa.field("text", pa.string(), nullable=False),
    *_ORIGIN,
    pa.field("language", pa.string()),
    pa.field("language_score", pa.float64()),
    pa.field("metadata", pa.map_(pa.string(), pa.string())),
]
_DROP = [
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("stage", pa.string(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("value", pa.string()),
    pa.field("source", pa.string()),
    pa.field("uri", pa.string()),
    *_ORIGIN,
    pa.field("language", pa.string()),
    pa.field("language_score", pa.float64()),
    pa.field("text_sample", pa.string()),
]
MEASURE_PREFIX = "measure."
"""In front of each measured value's column."""


@dataclass(frozen=True)
class StoredDocument:
    """A document and what the filters measured of it."""

    document: Document
    measures: Measures = field(default_factory=dict)


@dataclass(frozen=True)
class StoredDrop:
    """A drop, with the beginning of the text where there was one."""

    drop: Drop
    text_sample: str = ""
    language: str | None = None
    language_score: float | None = None
    measures: Measures = field(default_factory=dict)

    @staticmethod
    def of(
        drop: Drop, document: Document | None = None, measures: Measures | None = None
    ) -> "StoredDrop":
        """The drop of a document whose text is known."""
        if document is None:
            return StoredDrop(drop)
        return StoredDrop(
            drop,
            document.text[:TEXT_SAMPLE_CHARACTERS],
            document.language,
            document.language_score,
            measures or {},
        )


class _Writer:
    """Rows to parquet in row groups, column by column.

    The columns of measures are those of `example`, or of the first row group without one.
    """

    def __init__(
        self,
        stream: IO[bytes],
        fields: Sequence[pa.Field],
        where: str,
        example: Measures | None = None,
    ) -> None:
        self._stream = stream
        self._fields = list(fields)
        self._example = example
        self._where = where
        self._rows: list[tuple[Any, ...]] = []
        self._measures: list[Measures] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._measured: dict[str, pa.DataType] = {}
        self.num_rows = 0

    def add(self, row: tuple[Any, ...], measures: Measures, num_bytes: int) -> None:
        self._rows.append(row)
        self._measures.append(measures)
        self._bytes += num_bytes
        self.num_rows += 1
        if self._bytes >= ROW_GROUP_BYTES or len(self._rows) >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = self._opened()
        known = self._measured.keys()
        unknown = {name for measures in self._measures for name in measures.keys() - known}
        if unknown:
            raise DataError(
                f"{self._where}: the measures {sorted(map(_column, unknown))} came up after the "
                "columns were fixed; a filter must give all its measures for each document"
            )
        values = list(zip(*self._rows, strict=True)) or [()] * len(self._fields)
        columns = [pa.array(v, f.type) for v, f in zip(values, self._fields, strict=True)]
        for name, kind in self._measured.items():
            columns.append(pa.array([measures.get(name) for measures in self._measures], kind))
        table = pa.Table.from_arrays(columns, schema=self._writer.schema)
        self._writer.write_table(table)
        self._rows, self._measures, self._bytes = [], [], 0

    def _opened(self) -> pq.ParquetWriter:
        examples = self._measures if self._example is None else [self._example]
        self._measured = _measured_types(examples)
        measured = [pa.field(_column(name), kind) for name, kind in self._measured.items()]
        schema = pa.schema(self._fields + measured)
        return pq.ParquetWriter(
            self._stream, schema, compression="zstd", use_dictionary=["origin_path"]
        )

    def close(self) -> None:
        if self._rows or self._writer is None:
            self._flush()
        assert self._writer is not None
        self._writer.close()


def _column(measure: str) -> str:
    return f"{MEASURE_PREFIX}{measure}"


def _measured_types(examples: Sequence[Measures]) -> dict[str, pa.DataType]:
    """{name: type of its column}, sorted."""
    types: dict[str, pa.DataType] = {}
    for measures in examples:
        if measures.keys() <= types.keys():
            continue
        for name, value in measures.items():
            if value is not None:
                types.setdefault(name, pa.string() if isinstance(value, str) else pa.float64())
    return dict(sorted(types.items()))


class DocumentWriter:
    """Kept documents to one parquet file; made by `document_writer`."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._writer = _Writer(stream, _DOCUMENT, where)

    @property
    def num_documents(self) -> int:
        """Documents added so far."""
        return self._writer.num_rows

    def add(self, stored: StoredDocument) -> None:
        """Add one document.

        Raises:
            DataError: it has a measure that no document of the first row group had.
        """
        document = stored.document
        row = (
            document.doc_id,
            document.source,
            document.uri,
            document.text,
            *_origin_columns(document.origin),
            document.language,
            document.language_score,
            sorted(document.metadata.items()),
        )
        self._writer.add(row, stored.measures, len(document.text))

    def close(self) -> None:
        """Write what is left, and the file's end."""
        self._writer.close()


class DropWriter:
    """Drops to one parquet file; made by `drop_writer`."""

    def __init__(self, stream: IO[bytes], where: str, measures: Measures) -> None:
        self._writer = _Writer(stream, _DROP, where, measures)

    def add(self, stored: StoredDrop) -> None:
        """Add one drop.

        Raises:
            DataError: it has a measure that the example did not have.
        """
        drop = stored.drop
        row = (
            drop.doc_id,
            drop.stage,
            drop.reason,
            None if drop.value is None else str(drop.value),
            drop.source,
            drop.uri,
            *_origin_columns(drop.origin),
            stored.language,
            stored.language_score,
            stored.text_sample,
        )
        self._writer.add(row, stored.measures, len(stored.text_sample))

    def close(self) -> None:
        """Write what is left, and the file's end."""
        self._writer.close()


@contextmanager
def document_writer(url: str) -> Iterator[DocumentWriter]:
    """A writer of kept documents; the file stands when the block ends without an error."""
    with storage.atomic_write(url) as stream:
        writer = DocumentWriter(stream, url)
        yield writer
        writer.close()


@contextmanager
def drop_writer(url: str, *, measures: Measures) -> Iterator[DropWriter]:
    """A writer of drops; the file stands when the block ends without an error.

    Args:
        url: the file.
        measures: any document's, for the names and kinds of the columns; records that were dropped
            before they were measured leave them empty.
    """
    with storage.atomic_write(url) as stream:
        writer = DropWriter(stream, url, measures)
        yield writer
        writer.close()


def _origin_columns(origin: Origin | None) -> tuple[str, int, int] | tuple[None, None, None]:
    return (None, None, None) if origin is None else (origin.path, origin.offset, origin.length)


def _origins(batch: pa.RecordBatch) -> Iterator[Origin | None]:
    for path, offset, length in zip(*(_values(batch.column(f.name)) for f in _ORIGIN), strict=True):
        yield None if path is None else Origin(path, offset, length)


def _batches(
    url: str, fields: Sequence[pa.Field], *, measures: bool = True
) -> Iterator[pa.RecordBatch]:
    expected = [field.name for field in fields]
    with storage.open_read(url) as stream:
        try:
            file = pq.ParquetFile(stream)
            found = file.schema_arrow.names
            if missing := sorted(set(expected) - set(found)):
                raise pa.ArrowInvalid(f"the columns {missing} are missing")
            more = [name for name in found if measures and name.startswith(MEASURE_PREFIX)]
            # In this thread: handing columns of a few kB to others costs more than decoding them.
            yield from file.iter_batches(BATCH_ROWS, columns=expected + more, use_threads=False)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{url} is not a document store file: {error}; remove it and run the data job again"
            ) from error


def _values(column: pa.Array) -> Sequence[Any]:
    """The values as Python has them."""
    if column.null_count == 0 and pa.types.is_primitive(column.type):
        values: list[Any] = column.to_numpy().tolist()  # several times as fast as to_pylist
        return values
    return list(column.to_pylist())


def read_documents(url: str, *, measures: bool = True) -> Iterator[StoredDocument]:
    """The documents of a file in its order, with their measures, or, for speed, without.

    Raises:
        DataError: the file is missing, torn, or not of this store.
    """
    names = ("doc_id", "source", "uri", "text", "language", "language_score")
    for batch in _batches(url, _DOCUMENT, measures=measures):
        rows = zip(
            *(_values(batch.column(name)) for name in names),
            _origins(batch),
            _maps(batch.column("metadata")),
            _measures(batch),
            strict=True,
        )
        for doc_id, source, uri, text, language, score, origin, metadata, measured in rows:
            place = origin or Origin("", 0)
            document = Document(doc_id, source, uri, text, place, language, score, metadata)
            yield StoredDocument(document, measured)


def _maps(column: pa.MapArray) -> Iterator[dict[str, str]]:
    """The map of each row; empty where there is none."""
    offsets = column.offsets.to_pylist()
    items = list(zip(column.keys.to_pylist(), column.items.to_pylist(), strict=True))
    for begin, end in pairwise(offsets):
        yield dict(items[begin:end])


def _measures(batch: pa.RecordBatch) -> Iterator[Measures]:
    """What was measured of each row."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    found = {
        name.removeprefix(MEASURE_PREFIX): column
        for name, column in columns.items()
        if name.startswith(MEASURE_PREFIX) and column.null_count < len(column)
    }
    values = [_values(column) for column in found.values()]
    if not values:
        yield from ({} for _ in range(batch.num_rows))
    elif any(column.null_count for column in found.values()):
        for row in zip(*values, strict=True):
            pairs = zip(found, row, strict=True)
            yield {name: value for name, value in pairs if value is not None}
    else:
        for row in zip(*values, strict=True):
            yield dict(zip(found, row, strict=True))


def read_drops(url: str) -> Iterator[StoredDrop]:
    """The drops of a file in its order.

    Raises:
        DataError: the file is missing, torn, or not of this store.
    """
    of_drop = ("doc_id", "stage", "reason", "value", "source", "uri")
    of_page = ("text_sample", "language", "language_score")
    for batch in _batches(url, _DROP):
        rows = zip(
            zip(*(_values(batch.column(name)) for name in of_drop), strict=True),
            zip(*(_values(batch.column(name)) for name in of_page), strict=True),
            _origins(batch),
            _measures(batch),
            strict=True,
        )
        for (doc_id, stage, reason, value, source, uri), of_text, origin, measures in rows:
            drop = Drop(doc_id, stage, reason, value, source or "", uri or "", origin)
            text, language, score = of_text
            yield StoredDrop(drop, text or "", language, score, measures)
