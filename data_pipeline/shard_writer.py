"""Packed rows to shards: tars of large chunks that stock webdataset decodes, and their index.

The layout is that of contracts/shards.py. The bytes of a shard depend on its rows alone: tar
headers carry no time, no user and no name of a place. Each shard, then its index, is committed
atomically, and checksums are taken while writing.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import xxhash
from pydantic import PositiveInt

from contracts import storage
from contracts.config import Config
from contracts.shards import INDEX_COLUMNS, SPAN_COLUMNS, ShardInfo
from data_pipeline.records import PackedSample, Span, TokenizedDocument

_BLOCK = tarfile.BLOCKSIZE
_quoted = json.encoder.encode_basestring  # a string in JSON, non-ASCII signs as they are


class ShardsConfig(Config):
    """Size of rows, chunks and shards."""

    seq_len: PositiveInt = 2048
    """Inputs of a packed row, which holds seq_len + 1 tokens."""
    chunk_tokens: PositiveInt = 1_048_576
    """Tokens of a chunk, rounded down to whole rows (at least one)."""
    shard_tokens: PositiveInt = 268_435_456
    """Tokens of a shard, rounded down to whole chunks (at least one)."""

    @property
    def rows_per_chunk(self) -> int:
        """Rows of every chunk but a shard's last."""
        return max(1, self.chunk_tokens // (self.seq_len + 1))

    @property
    def rows_per_shard(self) -> int:
        """Rows of every shard but a group's last."""
        row_tokens = self.seq_len + 1
        chunks = self.shard_tokens // (self.rows_per_chunk * row_tokens)
        return max(1, chunks) * self.rows_per_chunk


def write_shards(
    samples: Iterable[PackedSample],
    *,
    folder: str,
    prefix: str,
    config: ShardsConfig,
    group: int = 0,
    first_number: int = 0,
) -> list[ShardInfo]:
    """Write the rows of one group of one source as `<folder>/<prefix>-NNNNN.tar`, if any.

    Args:
        samples: rows as `pack` gives them, in order; taken as they are needed.
        folder: URL the shards and their indexes are committed under.
        prefix: begin of the file names; changes no byte of a file.
        config: sizes.
        group: number of the write group in its source, for the ShardInfo.
        first_number: NNNNN of the first shard.

    Raises:
        ValueError: a row is not config.seq_len + 1 long, or not of the first row's source.
    """
    rows = iter(samples)
    infos: list[ShardInfo] = []
    last: Span | None = None
    for first in rows:
        shard = _ShardWriter(first, config, last)
        rows_of_shard = chain([first], islice(rows, config.rows_per_shard - 1))
        infos.append(
            shard.write(rows_of_shard, folder, f"{prefix}-{first_number + len(infos):05d}", group)
        )
        last = shard.last_span
    return infos


@dataclass
class _Counts:
    num_samples: int = 0
    num_tokens: int = 0
    num_targets: int = 0
    num_bytes: int = 0


@dataclass(frozen=True)
class _Chunk:
    """Rows gathered for one chunk."""

    tokens: npt.NDArray[Any]
    """(n, seq_len + 1)."""
    spans: npt.NDArray[np.int32]
    """(S, 5)."""
    documents: list[TokenizedDocument]


class _ShardWriter:
    """One shard from its first row to its commit."""

    def __init__(self, first: PackedSample, config: ShardsConfig, last_span: Span | None) -> None:
        self._source = first.source
        self._config = config
        dtype = first.tokens.dtype.newbyteorder("<")
        # One buffer for all chunks: fresh pages would cost more than the copy into them.
        self._buffer = np.empty((config.rows_per_chunk, config.seq_len + 1), dtype=dtype)
        self._counts = _Counts()
        self._index: list[list[int]] = []
        self.last_span = last_span
        """The last part written; one that goes on in the next row repeats a token there."""

    def write(
        self, samples: Iterable[PackedSample], folder: str, name: str, group: int
    ) -> ShardInfo:
        """Commit the shard and its index."""
        tar_name, index_name = f"{name}.tar", f"{name}.idx.npy"
        rows = iter(samples)
        with storage.atomic_write(storage.join(folder, tar_name)) as stream:
            out = _HashingStream(stream)
            while chunk := self._gather(rows):
                self._write_chunk(out, chunk)
            end = 2 * _BLOCK
            out.write(b"\0" * (end + -(out.size + end) % tarfile.RECORDSIZE))
        index = _npy(np.array(self._index, dtype="<i8").reshape(-1, len(INDEX_COLUMNS)))
        storage.write_bytes(storage.join(folder, index_name), index)
        counts = self._counts
        return ShardInfo(
            path=tar_name,
            source=self._source,
            num_samples=counts.num_samples,
            num_tokens=counts.num_tokens,
            num_targets=counts.num_targets,
            num_bytes=counts.num_bytes,
            size_bytes=out.size,
            sha256=out.sha256.hexdigest(),
            rows_per_chunk=self._config.rows_per_chunk,
            index_path=index_name,
            index_sha256=storage.sha256_of_bytes(index),
            group=group,
        )

    def _gather(self, rows: Iterator[PackedSample]) -> _Chunk | None:
        """The rows of the next chunk, in the one buffer; None at the end."""
        spans: list[int] = []
        documents: list[TokenizedDocument] = []
        num_rows = num_bytes = num_repeated = 0
        for sample in islice(rows, len(self._buffer)):
            self._check(sample)
            self._buffer[num_rows] = sample.tokens
            num_repeated += self._goes_on(sample.spans[0])
            for document, position, length, offset in sample.spans:
                if not documents or documents[-1] is not document:
                    documents.append(document)
                spans += (num_rows, position, length, len(documents) - 1, offset)
            self.last_span = sample.spans[-1]
            num_bytes += sample.num_bytes
            num_rows += 1
        if num_rows == 0:
            return None
        table = np.array(spans, dtype="<i4").reshape(-1, len(SPAN_COLUMNS))
        num_placed = int(table[:, SPAN_COLUMNS.index("length")].sum())
        self._counts.num_samples += num_rows
        self._counts.num_bytes += num_bytes
        self._counts.num_tokens += num_placed - num_repeated
        self._counts.num_targets += num_placed - len(table)
        return _Chunk(self._buffer[:num_rows], table, documents)

    def _goes_on(self, span: Span) -> bool:
        """Whether a row's first part repeats the last token of the row before."""
        last = self.last_span
        return (
            last is not None
            and last.document is span.document
            and last.offset + last.length == span.offset + 1
        )

    def _check(self, sample: PackedSample) -> None:
        expected = self._config.seq_len + 1
        if len(sample.tokens) != expected:
            raise ValueError(
                f"a packed row has {len(sample.tokens)} tokens, expected seq_len + 1 = {expected}; "
                "pack with the seq_len of the shards"
            )
        if sample.source != self._source:
            raise ValueError(
                f"a packed row is of source {sample.source!r} in a shard of {self._source!r}; "
                "write each source by itself"
            )

    def _write_chunk(self, out: "_HashingStream", chunk: _Chunk) -> None:
        tokens, spans = chunk.tokens, chunk.spans
        entries = map(_document_entry, chunk.documents)
        documents = f"[{','.join(entries)}]".encode()
        # A key of its own for each chunk of a dataset: stock webdataset joins equal neighbours.
        key = f"{len(self._index):06d}-{xxhash.xxh3_64_hexdigest(_raw(tokens))}"
        self._index.append(
            [
                len(tokens),
                _write_array(out, f"{key}.tokens.npy", tokens),
                len(spans),
                _write_array(out, f"{key}.spans.npy", spans),
                len(documents),
                _write_member(out, f"{key}.documents.json", b"", documents),
            ]
        )


def _document_entry(document: TokenizedDocument) -> str:
    """The document's place and size as JSON; put together here, for speed, as `json` would."""
    origin = document.origin
    return (
        f'{{"doc_id":{_quoted(document.doc_id)},"section":{document.section},'
        f'"uri":{_quoted(document.uri)},"origin":{{"path":{_quoted(origin.path)},'
        f'"offset":{origin.offset},"length":{origin.length}}},'
        f'"num_tokens":{len(document.tokens)},"num_bytes":{document.num_bytes}}}'
    )


class _HashingStream:
    """Counts and hashes what passes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self.sha256.update(data)
        self.size += len(data)


def _npy_header(array: npt.NDArray[Any]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return header.getvalue()


def _raw(array: npt.NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array, not copied."""
    return array.reshape(-1).view(np.uint8).data


def _npy(array: npt.NDArray[Any]) -> bytes:
    return _npy_header(array) + bytes(_raw(array))


def _write_array(out: _HashingStream, name: str, array: npt.NDArray[Any]) -> int:
    """One `.npy` member; gives the place in the tar of its first value."""
    return _write_member(out, name, _npy_header(array), _raw(array))


def _write_member(out: _HashingStream, name: str, header: bytes, data: bytes | memoryview) -> int:
    size = len(header) + len(data)
    info = tarfile.TarInfo(name)  # mode 0644; time, user and group 0
    info.size = size
    out.write(info.tobuf(tarfile.USTAR_FORMAT))
    out.write(header)
    place = out.size
    out.write(data)
    out.write(b"\0" * (-size % _BLOCK))
    return place
