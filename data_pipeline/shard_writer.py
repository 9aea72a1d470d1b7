"""Packed rows to shards: tars of large chunks that stock webdataset decodes, and their index.

The layout is that of contracts/shards.py. The bytes of a shard depend on its rows alone: tar
headers carry no time, no user and no name of a place. Each shard, then its index, is committed
atomically, and checksums are taken while writing.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash
from pydantic import PositiveInt

from contracts import storage
from contracts.config import Config
from contracts.shards import INDEX_COLUMNS, SPAN_COLUMNS, ShardInfo
from data_pipeline.records import PackedSample, SpanTable, TokenizedDocument

_BLOCK = tarfile.BLOCKSIZE
_ROW, _POSITION, _LENGTH, _DOCUMENT, _OFFSET = range(len(SPAN_COLUMNS))
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
    last: _Last | None = None
    for first in rows:
        shard = _ShardWriter(first, config, last)
        rows_of_shard = chain([first], islice(rows, config.rows_per_shard - 1))
        infos.append(
            shard.write(rows_of_shard, folder, f"{prefix}-{first_number + len(infos):05d}", group)
        )
        last = shard.last
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


class _Last(NamedTuple):
    """Where a part ended."""

    document: TokenizedDocument
    end: int
    """Tokens of the document up to there."""


@dataclass
class _Run:
    """Rows of one table that follow each other."""

    table: SpanTable
    begin: int
    end: int

    def spans(self, first_row: int) -> npt.NDArray[np.int32]:
        """(S, 5) of these rows; they are numbered from `first_row` on, documents from 0 on."""
        ends = self.table.row_ends
        spans = self.table.columns[ends[self.begin] : ends[self.end]].copy()
        spans[:, _ROW] += first_row - self.begin
        spans[:, _DOCUMENT] -= spans[0, _DOCUMENT]
        return spans

    def documents(self) -> Sequence[TokenizedDocument]:
        """Those that have a part in these rows."""
        ends, columns = self.table.row_ends, self.table.columns
        first, last = columns[ends[self.begin], _DOCUMENT], columns[ends[self.end] - 1, _DOCUMENT]
        return self.table.documents[first : last + 1]


class _ShardWriter:
    """One shard from its first row to its commit."""

    def __init__(self, first: PackedSample, config: ShardsConfig, last: "_Last | None") -> None:
        self._source = first.source
        self._config = config
        dtype = first.tokens.dtype.newbyteorder("<")
        # One buffer for all chunks: fresh pages would cost more than the copy into them.
        self._buffer = np.empty((config.rows_per_chunk, config.seq_len + 1), dtype=dtype)
        self._counts = _Counts()
        self._index: list[list[int]] = []
        self.last = last
        """The part written last; one that goes on in the next row repeats a token there."""

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
        runs: list[_Run] = []
        num_rows = num_bytes = 0
        for sample in islice(rows, len(self._buffer)):
            self._check(sample)
            self._buffer[num_rows] = sample.tokens
            table, row = sample.spans.table, sample.spans.row
            if runs and runs[-1].table is table and runs[-1].end == row:
                runs[-1].end += 1
            else:
                runs.append(_Run(table, row, row + 1))
            num_bytes += sample.num_bytes
            num_rows += 1
        if num_rows == 0:
            return None
        spans, documents = _joined(runs)
        num_placed = int(spans[:, _LENGTH].sum())
        num_repeated = self._num_repeated(spans, documents[0])
        self.last = _Last(documents[-1], int(spans[-1, _OFFSET] + spans[-1, _LENGTH]))
        self._counts.num_samples += num_rows
        self._counts.num_bytes += num_bytes
        self._counts.num_tokens += num_placed - num_repeated
        self._counts.num_targets += num_placed - len(spans)
        return _Chunk(self._buffer[:num_rows], spans, documents)

    def _num_repeated(self, spans: npt.NDArray[np.int32], first: TokenizedDocument) -> int:
        """How many rows begin with the last token of the row before."""
        document, offset = spans[:, _DOCUMENT], spans[:, _OFFSET]
        ends = offset + spans[:, _LENGTH]
        goes_on = (document[1:] == document[:-1]) & (offset[1:] == ends[:-1] - 1)
        at_first = (
            self.last is not None and self.last.document is first and self.last.end == offset[0] + 1
        )
        return int(np.count_nonzero(goes_on)) + int(at_first)

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
        documents = _document_table(chunk.documents)
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


def _joined(runs: Sequence[_Run]) -> tuple[npt.NDArray[np.int32], list[TokenizedDocument]]:
    """The parts of a chunk's rows, and its documents; one may go on from run to run."""
    tables = []
    documents: list[TokenizedDocument] = []
    num_rows = 0
    for run in runs:
        spans, more = run.spans(num_rows), run.documents()
        goes_on = bool(documents) and documents[-1] is more[0]
        spans[:, _DOCUMENT] += len(documents) - goes_on
        documents += more[goes_on:]
        tables.append(spans)
        num_rows += run.end - run.begin
    return np.concatenate(tables), documents


def _document_table(documents: Sequence[TokenizedDocument]) -> bytes:
    """Place and size of each document as JSON; put together here, for speed, as `json` would."""
    places: dict[str, str] = {}
    entries = []
    for document in documents:
        origin = document.origin
        place = places.get(origin.path)
        if place is None:
            place = places[origin.path] = f'"origin":{{"path":{_quoted(origin.path)},"offset":'
        entries.append(
            f'{{"doc_id":{_quoted(document.doc_id)},"section":{document.section},'
            f'"uri":{_quoted(document.uri)},{place}{origin.offset},"length":{origin.length}}},'
            f'"num_tokens":{len(document.tokens)},"num_bytes":{document.num_bytes}}}'
        )
    return f"[{','.join(entries)}]".encode()


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
