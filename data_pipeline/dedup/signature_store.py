"""Signatures as parquet files, one for each work unit, read in batches of columns.

Columns: doc_id (string), digest (16 bytes), bands (list of uint32, empty for a short text), url_key
(16 bytes, null for what is no web address) and fetched_at (seconds since 1970). The file's metadata
says how the values were drawn, so that signatures which cannot be compared are refused.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from contracts.errors import DataError
from data_pipeline.dedup.clusters import SignatureTable, signature_table
from data_pipeline.dedup.config import DedupConfig
from data_pipeline.dedup.rows import Rows, ids_of
from data_pipeline.dedup.url_key import fetched_seconds, url_key
from data_pipeline.records import Signature

FOLDER = "signatures"
"""Where a dataset keeps the signatures of the documents it kept."""
ROWS_PER_GROUP = 1 << 12
"""Documents that are written or read at once: 2 MB of values."""
TEXT_COLUMNS = ("digest", "bands")
URL_COLUMNS = ("url_key", "fetched_at")
_METADATA_KEY = b"headwater.signatures"
_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("digest", pa.binary(16), nullable=False),
        pa.field("bands", pa.list_(pa.uint32()), nullable=False),
        pa.field("url_key", pa.binary(16)),
        pa.field("fetched_at", pa.int64()),
    ]
)


def parameters(config: DedupConfig) -> str:
    """How signatures are drawn: equal for those that can be compared."""
    drawn = None if config.minhash is None else config.minhash.fingerprint()
    return json.dumps({"normal_form": 1, "minhash": drawn}, sort_keys=True)


class SignatureWriter:
    """Signatures to one file, in row groups; made by `signature_writer`."""

    def __init__(self, stream: IO[bytes], config: DedupConfig) -> None:
        schema = _SCHEMA.with_metadata({_METADATA_KEY: parameters(config).encode()})
        self._writer = pq.ParquetWriter(stream, schema, compression="zstd", use_dictionary=False)
        self._rows: list[tuple[Signature, bytes | None, int]] = []

    def add(self, signature: Signature, uri: str = "", fetched_at: str | None = None) -> None:
        """Add a document's signature; its address and the moment it was fetched, where known."""
        self._rows.append((signature, url_key(uri), fetched_seconds(fetched_at)))
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def add_table(self, table: pa.Table) -> None:
        """Add rows of another signature file."""
        self._flush()
        if table.num_rows:
            self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = [
            pa.array([row[0].doc_id for row in self._rows], pa.string()),
            pa.array([row[0].digest for row in self._rows], pa.binary(16)),
            pa.array([row[0].bands for row in self._rows], pa.list_(pa.uint32())),
            pa.array([row[1] for row in self._rows], pa.binary(16)),
            pa.array([row[2] for row in self._rows], pa.int64()),
        ]
        self._writer.write_table(pa.table(columns, schema=self._writer.schema))
        self._rows = []

    def close(self) -> None:
        """Write what is left, and the file's end."""
        self._flush()
        self._writer.close()


@contextmanager
def signature_writer(url: str, config: DedupConfig) -> Iterator[SignatureWriter]:
    """A writer of signatures; the file stands when the block ends without an error."""
    with storage.atomic_write(url) as stream:
        writer = SignatureWriter(stream, config)
        yield writer
        writer.close()


def signature_bytes(signatures: Sequence[Signature], config: DedupConfig) -> bytes:
    """The content of a signature file: the same bytes for the same signatures in the same order."""
    stream = BytesIO()
    writer = SignatureWriter(stream, config)
    for signature in signatures:
        writer.add(signature)
    writer.close()
    return stream.getvalue()


def write_signatures(url: str, signatures: Sequence[Signature], config: DedupConfig) -> None:
    """Commit a signature file of documents without addresses."""
    storage.write_bytes(url, signature_bytes(signatures, config))


def copy_signatures(url: str, target: str, config: DedupConfig, leave: Collection[int]) -> None:
    """The signatures of a file but those at some positions, as another file."""
    left_out = np.array(sorted(leave), dtype=np.int64)
    with signature_writer(target, config) as writer:
        for start, batch in _batches(url, config, None):
            stays = np.ones(batch.num_rows, dtype=bool)
            there = left_out[(left_out >= start) & (left_out < start + batch.num_rows)]
            stays[there - start] = False
            writer.add_table(pa.Table.from_batches([batch]).filter(pa.array(stays)))


@dataclass(frozen=True)
class SignatureBatch:
    """Neighbouring rows of a signature file as columns; those not asked for are empty."""

    first_row: int
    doc_ids: list[str]
    digests: Rows
    """(N, 2)"""
    values: npt.NDArray[np.uint32]
    """(N, H); a row without values is zero."""
    has_values: npt.NDArray[np.bool_]
    """(N,) False where the text was too short for near-dedup."""
    url_keys: Rows
    """(N, 2); zero where the document has no address."""
    has_url: npt.NDArray[np.bool_]
    fetched_at: npt.NDArray[np.int64]
    """(N,) seconds since 1970; 0 where it is not known."""

    def __len__(self) -> int:
        return len(self.doc_ids)

    def ids(self, where: str) -> Rows:
        """(N, 2) the bits of the doc_ids.

        Raises:
            DataError: one is not 32 hex digits; `where` is the file.
        """
        return ids_of(self.doc_ids, where)


def signature_batches(
    url: str,
    config: DedupConfig,
    columns: Collection[str] = (),
    *,
    is_wanted: Callable[[int, int], bool] | None = None,
) -> Iterator[SignatureBatch]:
    """The rows of a file in order, a bounded number at once.

    Args:
        url: the file.
        config: how this job draws signatures.
        columns: what is read beside the doc_ids.
        is_wanted: whether the rows from the first number up to the second are; None: all.

    Raises:
        DataError: it is not a signature file, or its values were drawn in another way.
    """
    width = 0 if config.minhash is None else config.minhash.num_hashes
    names = {"doc_id", *columns}
    for start, batch in _batches(url, config, names, is_wanted=is_wanted):
        doc_ids = batch.column("doc_id").to_pylist()
        values, has_values = _values(batch, width, url)
        url_keys, has_url = _halves(batch, "url_key")
        fetched_at = np.zeros(len(doc_ids), dtype=np.int64)
        if "fetched_at" in batch.schema.names:
            fetched_at = batch.column("fetched_at").fill_null(0).to_numpy()
        yield SignatureBatch(
            first_row=start,
            doc_ids=doc_ids,
            digests=_halves(batch, "digest")[0],
            values=values,
            has_values=has_values,
            url_keys=url_keys,
            has_url=has_url,
            fetched_at=fetched_at,
        )


def read_signatures(url: str, config: DedupConfig) -> list[Signature]:
    """The signatures of a file, in its order.

    Raises:
        DataError: it is not a signature file, or its values were drawn in another way.
    """
    found = []
    for batch in signature_batches(url, config, TEXT_COLUMNS):
        digests = batch.digests.astype(">u8").tobytes()
        for i, doc_id in enumerate(batch.doc_ids):
            values = batch.values[i] if batch.has_values[i] else batch.values[i, :0]
            found.append(Signature(doc_id, digests[16 * i : 16 * i + 16], values))
    return found


def read_table(new: Sequence[str], config: DedupConfig) -> SignatureTable:
    """The table of this job's signature files, behind those of the datasets in `config.against`.

    Raises:
        DataError: a file cannot be used, or a dataset of `against` has no signatures.
    """
    datasets = [dataset_files(folder) for folder in config.against]
    return signature_table(
        [
            [signature for url in urls for signature in read_signatures(url, config)]
            for urls in [*datasets, list(new)]
        ],
        len(datasets),
    )


def dataset_files(folder: str) -> list[str]:
    """The signature files of an earlier job.

    Raises:
        DataError: there are none.
    """
    files = storage.list_files(storage.join(folder, FOLDER, "*.parquet"))
    if not files:
        raise DataError(
            f"dedup.against: {folder} holds no {FOLDER}/*.parquet; "
            "give the output folder of a finished data job"
        )
    return files


def num_signatures(url: str, config: DedupConfig) -> int:
    """Documents in a file, from its footer.

    Raises:
        DataError: it is not a signature file, or its values were drawn in another way.
    """
    with storage.open_read(url) as stream:
        return int(_opened(stream, url, config).metadata.num_rows)


def _opened(stream: IO[bytes], url: str, config: DedupConfig) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(stream)
    except pa.ArrowInvalid as error:
        raise DataError(f"{url} is not a parquet file: {error}; make its dataset again") from error
    found = (file.schema_arrow.metadata or {}).get(_METADATA_KEY, b"(nothing)").decode()
    if found != parameters(config):
        raise DataError(
            f"{url} holds signatures drawn as {found}, this job draws them as "
            f"{parameters(config)}; give `dedup.minhash` the same values, or leave the dataset "
            "out of `dedup.against`"
        )
    return file


def _batches(
    url: str,
    config: DedupConfig,
    names: Collection[str] | None,
    *,
    is_wanted: Callable[[int, int], bool] | None = None,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """First row and batch, in order; None reads all columns."""
    with storage.open_read(url) as stream:
        file = _opened(stream, url, config)
        columns = None if names is None else sorted({*names} & {*file.schema_arrow.names})
        start = 0
        for group in range(file.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            if is_wanted is not None and not is_wanted(start, start + num_rows):
                start += num_rows
                continue
            try:
                table = file.read_row_group(group, columns=columns)
            except (pa.ArrowInvalid, OSError) as error:
                raise DataError(f"{url} is damaged: {error}; make its dataset again") from error
            for batch in table.to_batches(max_chunksize=ROWS_PER_GROUP):
                yield start, batch
                start += batch.num_rows


def _values(
    batch: pa.RecordBatch, width: int, url: str
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """(N, H) MinHash values and (N,) whether a row has any."""
    if "bands" not in batch.schema.names:
        return np.zeros((batch.num_rows, 0), dtype=np.uint32), np.zeros(batch.num_rows, dtype=bool)
    array = batch.column("bands")
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    if not np.isin(lengths, (0, width)).all():
        raise DataError(
            f"{url}: a document has {lengths.max()} MinHash values, expected 0 or {width}; "
            "the file is damaged: make its dataset again"
        )
    has_values = lengths > 0
    flat = array.flatten().to_numpy(zero_copy_only=False).astype(np.uint32, copy=False)
    if has_values.all() and width:
        return flat.reshape(-1, width), has_values
    values = np.zeros((batch.num_rows, width), dtype=np.uint32)
    values[has_values] = flat.reshape(-1, width) if width else values[has_values]
    return values, has_values


def _halves(batch: pa.RecordBatch, name: str) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """(N, 2) the halves of a column of 16 bytes, and (N,) whether it is not null."""
    if name not in batch.schema.names:
        return np.zeros((batch.num_rows, 2), dtype=np.uint64), np.zeros(batch.num_rows, dtype=bool)
    column = batch.column(name)
    is_there = column.is_valid().to_numpy(zero_copy_only=False)
    raw = b"".join(column.fill_null(bytes(16)).to_pylist())
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64).reshape(-1, 2), is_there
