"""The store of documents as zstd parquet: the kept ones with their text, the dropped ones with why.

One row a document; every value a filter measured is a column, so that other thresholds can be tried
on the store alone. Written and read in row groups: a file of any size needs the memory of one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from contracts.errors import DataError
from data_pipeline.records import Document, Drop, Measures, Origin

ROW_GROUP_BYTES = 8 << 20
"""Text behind one row group."""
ROW_GROUP_ROWS = 4096
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
    """Rows to parquet in row groups.

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
        self._fields = list(fields) + _measure_fields([_measure_columns(example or {})])
        self._infers = example is None
        self._where = where
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self.num_rows = 0

    def add(self, row: dict[str, Any], measures: Measures, num_bytes: int) -> None:
        self._rows.append(row | _measure_columns(measures))
        self._bytes += num_bytes
        self.num_rows += 1
        if self._bytes >= ROW_GROUP_BYTES or len(self._rows) >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            found = _measure_fields(self._rows) if self._infers else []
            schema = pa.schema(self._fields + found)
            self._writer = pq.ParquetWriter(
                self._stream, schema, compression="zstd", use_dictionary=["origin_path"]
            )
        schema = self._writer.schema
        known = set(schema.names)
        unknown = sorted({name for row in self._rows for name in row} - known)
        if unknown:
            raise DataError(
                f"{self._where}: the measures {unknown} came up after the columns were fixed; "
                "a filter must give all its measures for each document"
            )
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=schema))
        self._rows, self._bytes = [], 0

    def close(self) -> None:
        if self._rows or self._writer is None:
            self._flush()
        assert self._writer is not None
        self._writer.close()


def _measure_columns(measures: Measures) -> dict[str, Any]:
    return {f"{MEASURE_PREFIX}{name}": value for name, value in measures.items()}


def _measure_fields(rows: Sequence[dict[str, Any]]) -> list[pa.Field]:
    types: dict[str, pa.DataType] = {}
    for row in rows:
        for name, value in row.items():
            if name.startswith(MEASURE_PREFIX) and value is not None:
                types.setdefault(name, pa.string() if isinstance(value, str) else pa.float64())
    return [pa.field(name, types[name]) for name in sorted(types)]


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
        row = {
            "doc_id": document.doc_id,
            "source": document.source,
            "uri": document.uri,
            "text": document.text,
            **_origin_columns(document.origin),
            "language": document.language,
            "language_score": document.language_score,
            "metadata": sorted(document.metadata.items()),
        }
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
        row = {
            "doc_id": drop.doc_id,
            "stage": drop.stage,
            "reason": drop.reason,
            "value": None if drop.value is None else str(drop.value),
            "source": drop.source,
            "uri": drop.uri,
            **_origin_columns(drop.origin),
            "language": stored.language,
            "language_score": stored.language_score,
            "text_sample": stored.text_sample,
        }
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


def _origin_columns(origin: Origin | None) -> dict[str, Any]:
    if origin is None:
        return {"origin_path": None, "origin_offset": None, "origin_length": None}
    return {
        "origin_path": origin.path,
        "origin_offset": origin.offset,
        "origin_length": origin.length,
    }


def _origin_of(row: Mapping[str, Any]) -> Origin | None:
    if row["origin_path"] is None:
        return None
    return Origin(row["origin_path"], row["origin_offset"], row["origin_length"])


def _rows(url: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    with storage.open_read(url) as stream:
        try:
            file = pq.ParquetFile(stream)
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, columns=columns).to_batches(256):
                    yield from batch.to_pylist()
        except (pa.ArrowInvalid, KeyError) as error:
            raise DataError(
                f"{url} is not a document store file: {error}; remove it and run the data job again"
            ) from error


def read_documents(url: str) -> Iterator[StoredDocument]:
    """The documents of a file in its order, with their measures.

    Raises:
        DataError: the file is missing, torn, or not of this store.
    """
    for row in _rows(url, None):
        document = Document(
            doc_id=row["doc_id"],
            source=row["source"],
            uri=row["uri"],
            text=row["text"],
            origin=_origin_of(row) or Origin("", 0),
            language=row["language"],
            language_score=row["language_score"],
            metadata=dict(row["metadata"] or ()),
        )
        yield StoredDocument(document, _measures_of(row))


def read_drops(url: str) -> Iterator[StoredDrop]:
    """The drops of a file in its order.

    Raises:
        DataError: the file is missing, torn, or not of this store.
    """
    for row in _rows(url, None):
        drop = Drop(
            doc_id=row["doc_id"],
            stage=row["stage"],
            reason=row["reason"],
            value=row["value"],
            source=row["source"] or "",
            uri=row["uri"] or "",
            origin=_origin_of(row),
        )
        yield StoredDrop(
            drop,
            row["text_sample"] or "",
            row["language"],
            row["language_score"],
            _measures_of(row),
        )


def _measures_of(row: Mapping[str, Any]) -> Measures:
    return {
        name.removeprefix(MEASURE_PREFIX): value
        for name, value in row.items()
        if name.startswith(MEASURE_PREFIX) and value is not None
    }
