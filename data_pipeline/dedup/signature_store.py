"""Signatures as parquet files: one file for each work unit, and all of a dataset as one table.

Columns: doc_id (string), digest (16 bytes), bands (list of uint32, empty for a short text). The
file's metadata says how the values were drawn, so that signatures which cannot be compared are
refused.
"""

import json
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from contracts.errors import DataError
from data_pipeline.dedup.clusters import SignatureTable
from data_pipeline.dedup.config import DedupConfig
from data_pipeline.records import Signature

FOLDER = "signatures"
"""Where a dataset keeps the signatures of the documents it kept."""
_METADATA_KEY = b"headwater.signatures"
_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("digest", pa.binary(16), nullable=False),
        pa.field("bands", pa.list_(pa.uint32()), nullable=False),
    ]
)


def _parameters(config: DedupConfig) -> bytes:
    drawn = None if config.minhash is None else config.minhash.fingerprint()
    return json.dumps({"normal_form": 1, "minhash": drawn}, sort_keys=True).encode()


def signature_bytes(signatures: Sequence[Signature], config: DedupConfig) -> bytes:
    """The content of a signature file: the same bytes for the same signatures in the same order."""
    table = pa.table(
        [
            pa.array([signature.doc_id for signature in signatures], pa.string()),
            pa.array([signature.digest for signature in signatures], pa.binary(16)),
            pa.array([signature.bands for signature in signatures], pa.list_(pa.uint32())),
        ],
        schema=_SCHEMA.with_metadata({_METADATA_KEY: _parameters(config)}),
    )
    stream = BytesIO()
    pq.write_table(table, stream, compression="zstd", use_dictionary=False)
    return stream.getvalue()


def write_signatures(url: str, signatures: Sequence[Signature], config: DedupConfig) -> None:
    """Commit a signature file."""
    storage.write_bytes(url, signature_bytes(signatures, config))


def read_signatures(url: str, config: DedupConfig) -> list[Signature]:
    """The signatures of a file, in its order.

    Raises:
        DataError: it is not a signature file, or its values were drawn in another way.
    """
    table = _read(url, config)
    offsets, values = _list_parts(table.column("bands"))
    return [
        Signature(doc_id, digest, values[start:end])
        for doc_id, digest, start, end in zip(
            table.column("doc_id").to_pylist(),
            table.column("digest").to_pylist(),
            offsets[:-1],
            offsets[1:],
            strict=True,
        )
    ]


def read_table(new: Sequence[str], config: DedupConfig) -> SignatureTable:
    """The table of this job's signature files, behind those of the datasets in `config.against`.

    Raises:
        DataError: a file cannot be used, or a dataset of `against` has no signatures.
    """
    datasets = [_dataset_files(folder) for folder in config.against]
    urls = [url for files in datasets for url in files] + list(new)
    tables = [_read(url, config) for url in urls]
    places = [i for i, files in enumerate(datasets) for _ in files] + [len(datasets)] * len(new)
    sizes = [table.num_rows for table in tables]
    width = 0 if config.minhash is None else config.minhash.num_hashes
    bands = np.zeros((sum(sizes), width), dtype=np.uint32)
    has_bands = np.zeros(sum(sizes), dtype=bool)
    start = 0
    for url, table in zip(urls, tables, strict=True):
        offsets, values = _list_parts(table.column("bands"))
        lengths = np.diff(offsets)
        if not np.isin(lengths, (0, width)).all():
            raise DataError(
                f"{url}: a document has {lengths.max()} MinHash values, expected 0 or {width}; "
                "the file is damaged: make its dataset again"
            )
        rows = start + np.flatnonzero(lengths)
        bands[rows] = values.reshape(len(rows), width)
        has_bands[rows] = True
        start += table.num_rows
    return SignatureTable(
        doc_ids=_strings([table.column("doc_id") for table in tables]),
        digests=np.frombuffer(
            b"".join(b"".join(table.column("digest").to_pylist()) for table in tables), dtype="V16"
        ),
        bands=bands,
        has_bands=has_bands,
        dataset=np.repeat(np.array(places, dtype=np.int64), sizes),
        num_committed=len(datasets),
    )


def _dataset_files(folder: str) -> list[str]:
    files = storage.list_files(storage.join(folder, FOLDER, "*.parquet"))
    if not files:
        raise DataError(
            f"dedup.against: {folder} holds no {FOLDER}/*.parquet; "
            "give the output folder of a finished data job"
        )
    return files


def _read(url: str, config: DedupConfig) -> pa.Table:
    try:
        with storage.open_read(url) as stream:
            table = pq.read_table(stream)
    except pa.ArrowInvalid as error:
        raise DataError(f"{url} is not a parquet file: {error}; make its dataset again") from error
    found = (table.schema.metadata or {}).get(_METADATA_KEY, b"(nothing)")
    expected = _parameters(config)
    if found != expected:
        raise DataError(
            f"{url} holds signatures drawn as {found.decode()}, this job draws them as "
            f"{expected.decode()}; give `dedup.minhash` the same values, or leave the dataset "
            "out of `dedup.against`"
        )
    return table


def _list_parts(
    column: pa.ChunkedArray,
) -> tuple["np.typing.NDArray[np.int64]", "np.typing.NDArray[np.uint32]"]:
    """Offsets (N + 1,) and values (sum of lengths,) of a list column."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    lengths = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    values = array.flatten().to_numpy(zero_copy_only=False).astype(np.uint32, copy=False)
    return np.concatenate([[0], np.cumsum(lengths)]), values


def _strings(columns: Sequence[pa.ChunkedArray]) -> "np.typing.NDArray[np.str_]":
    return np.array([text for column in columns for text in column.to_pylist()], dtype=np.str_)
