"""Random access to the packed rows of a shard: memory map for local files, range reads for others.

Tokens of a row are one seek; the spans of its chunk are read once and kept for the rows to come.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts import storage
from contracts.errors import DataError
from contracts.shards import INDEX_COLUMNS, SPAN_COLUMNS, ShardInfo, ShardManifest

_KEPT_CHUNKS = 256  # whose spans are kept: about 10 MB where the file is remote
Rows = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True)
class RowSpans:
    """The parts of one packed row, in order of position; positions not covered are padding."""

    positions: npt.NDArray[np.int32]
    """(S,) first token of each part in the row."""
    lengths: npt.NDArray[np.int32]
    """(S,) tokens of each part."""
    documents: npt.NDArray[np.int32]
    """(S,) index in the chunk's documents."""
    offsets: npt.NDArray[np.int32]
    """(S,) place of the part's first token in its document."""


@dataclass(frozen=True)
class _ChunkSpans:
    table: npt.NDArray[np.int32]
    """(S, 5)."""
    starts: list[int]
    """Where each row's spans begin in the table, and the end."""


def _read_index(url: str) -> npt.NDArray[np.int64]:
    with storage.open_read(url) as stream:
        try:
            index: npt.NDArray[np.int64] = np.load(stream, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(
                f"{url} is not an index: {error}; restore it, or run the data job again"
            ) from error
    return index


class ShardReader:
    """Rows, spans and documents of one shard by row number; read when asked for."""

    def __init__(self, manifest: ShardManifest, shard: ShardInfo) -> None:
        self._url = manifest.shard_url(shard)
        self._shard = shard
        self._dtype = np.dtype(manifest.token_dtype).newbyteorder("<")
        self._row_tokens = manifest.seq_len + 1
        self._index = _read_index(manifest.index_url(shard))
        if self._index.ndim != 2 or self._index.shape[1] != len(INDEX_COLUMNS):
            raise DataError(
                f"{manifest.index_url(shard)}: shape {self._index.shape}, expected (chunks, "
                f"{len(INDEX_COLUMNS)}); run the data job again"
            )
        if int(self._index[:, 0].sum()) != shard.num_samples:
            raise DataError(
                f"{manifest.index_url(shard)}: {int(self._index[:, 0].sum())} rows, "
                f"the manifest says {shard.num_samples}; run the data job again"
            )
        self._spans: OrderedDict[int, _ChunkSpans] = OrderedDict()
        self._map: npt.NDArray[np.uint8] | None = None
        self._stream: Any = None
        if storage.is_local(self._url):
            try:
                mapped = np.memmap(storage.local_path(self._url), dtype=np.uint8, mode="r")
            except (OSError, ValueError) as error:
                raise DataError(f"{self._url} cannot be mapped: {error}; check the file") from error
            self._map = mapped.view(np.ndarray)  # slices of a memmap are ten times slower
            if len(self._map) != shard.size_bytes:
                raise DataError(
                    f"{self._url}: {len(self._map)} bytes, the manifest says {shard.size_bytes}; "
                    "the shard is torn: run the data job again"
                )

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the map or the stream."""
        self._map = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @property
    def num_rows(self) -> int:
        """Packed rows of the shard."""
        return self._shard.num_samples

    def _bytes(self, offset: int, size: int) -> npt.NDArray[np.uint8]:
        if self._map is not None:
            return self._map[offset : offset + size]
        if self._stream is None:
            self._stream = storage.open_read(self._url)
        self._stream.seek(offset)
        data = self._stream.read(size)
        if len(data) != size:
            raise DataError(
                f"{self._url}: {len(data)} bytes at offset {offset}, expected {size}; torn shard"
            )
        return np.frombuffer(data, dtype=np.uint8)

    def _chunk_of(self, row: int) -> tuple[int, int]:
        if not 0 <= row < self.num_rows:
            raise DataError(
                f"{self._url}: row {row} asked for, it has rows 0 to {self.num_rows - 1}"
            )
        return divmod(row, self._shard.rows_per_chunk)

    def row(self, row: int) -> Rows:
        """One packed row: (seq_len + 1,) uint16 or uint32, a view where the file is local."""
        found: Rows = self.rows(row, row + 1)[0]
        return found

    def rows(self, start: int, stop: int) -> Rows:
        """Rows start to stop of one chunk: (stop - start, seq_len + 1), one read.

        Raises:
            DataError: the range is empty, or leaves the chunk of its first row.
        """
        chunk, first = self._chunk_of(start)
        num_rows, tokens_offset = (int(v) for v in self._index[chunk, :2])
        if not 0 < stop - start <= num_rows - first:
            raise DataError(f"{self._url}: rows {start} to {stop} are not inside chunk {chunk}")
        row_bytes = self._row_tokens * self._dtype.itemsize
        data = self._bytes(tokens_offset + first * row_bytes, (stop - start) * row_bytes)
        return data.view(self._dtype).reshape(stop - start, self._row_tokens)

    def chunk_spans(self, chunk: int) -> npt.NDArray[np.int32]:
        """All spans of a chunk: (S, 5) int32, columns SPAN_COLUMNS, sorted by row and position."""
        num_spans, offset = int(self._index[chunk, 2]), int(self._index[chunk, 3])
        data = self._bytes(offset, num_spans * len(SPAN_COLUMNS) * 4)
        return data.view(np.dtype("<i4")).reshape(num_spans, len(SPAN_COLUMNS))

    def chunk_documents(self, chunk: int) -> list[dict[str, Any]]:
        """The documents a chunk's spans point at.

        Each: doc_id, section, uri, origin, num_tokens, num_bytes.
        """
        size, offset = int(self._index[chunk, 4]), int(self._index[chunk, 5])
        documents: list[dict[str, Any]] = json.loads(self._bytes(offset, size).tobytes())
        return documents

    def spans(self, row: int) -> RowSpans:
        """The parts of one row."""
        part = self._row_spans(row)
        return RowSpans(part[:, 1], part[:, 2], part[:, 3], part[:, 4])

    def _row_spans(self, row: int) -> npt.NDArray[np.int32]:
        chunk, first = self._chunk_of(row)
        kept = self._spans.get(chunk)
        if kept is None:
            table = self.chunk_spans(chunk)
            starts = np.searchsorted(table[:, 0], np.arange(self._index[chunk, 0] + 1))
            kept = self._spans[chunk] = _ChunkSpans(table, starts.tolist())
            if len(self._spans) > _KEPT_CHUNKS:
                self._spans.popitem(last=False)
        return kept.table[kept.starts[first] : kept.starts[first + 1]]

    def take(self, rows: Sequence[int]) -> Rows:
        """Rows in any order, of any chunks, repeats allowed: (len(rows), seq_len + 1), a copy."""
        taken = np.empty((len(rows), self._row_tokens), dtype=self._dtype)
        for place, row in enumerate(rows):
            taken[place] = self.row(row)
        return taken

    def segments(self, rows: Sequence[int]) -> npt.NDArray[np.int32]:
        """Which part each token of rows is in: (len(rows), seq_len + 1), 1, 2, ...; 0 padding."""
        steps = np.zeros((len(rows), self._row_tokens + 1), dtype=np.int32)
        for place, row in enumerate(rows):
            part = self._row_spans(row)
            numbers = np.arange(1, len(part) + 1, dtype=np.int32)
            steps[place, part[:, 1]] += numbers
            steps[place, part[:, 1] + part[:, 2]] -= numbers
        return np.cumsum(steps[:, :-1], axis=1, dtype=np.int32)

    def documents(self, row: int) -> list[dict[str, Any]]:
        """The documents of the chunk that holds `row`; `spans(row).documents` indexes them."""
        return self.chunk_documents(self._chunk_of(row)[0])

    @property
    def num_chunks(self) -> int:
        """Chunks of the shard."""
        return len(self._index)

    def chunk_rows(self, chunk: int) -> tuple[int, int]:
        """First row of a chunk, and the row behind its last."""
        first = chunk * self._shard.rows_per_chunk
        return first, first + int(self._index[chunk, 0])
