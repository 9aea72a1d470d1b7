"""Sorted runs of rows on disk, parted by their first number: a shuffle in bounded memory.

A writer sorts what fills its buffer and writes it as one run; a reader merges the part of all runs,
of any number of files, between two numbers. So memory is the buffers', whatever the number of rows;
what is merged does not depend on the sizes of runs or parts.

A file: the rows of all runs (`<u8`); for each run P + 1 offsets of its parts, in rows; the P - 1
numbers at which parts begin; last `HWRUNS01`, columns, runs and P.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt

from contracts import storage
from contracts.errors import ConfigError, DataError
from data_pipeline.dedup.rows import Numbers, Rows, sorted_rows

MAGIC = b"HWRUNS01"
_TRAILER = struct.Struct("<8sQQQ")
READERS = 4
"""Parts of a task's memory: a quarter for each of two readers, half for what it writes."""
MIN_BUFFER_BYTES = 4096
"""A merge reads at least this much of a run at once."""
WRITE_SHARES, MERGE_SHARES = 4, 6
"""Copies of a buffer at once: while it is sorted, and while its pieces are worked on."""
TOP = 1 << 64


def hash_bounds(num_parts: int) -> Numbers:
    """Where each part but the first begins, for numbers spread over all 64 bits."""
    return np.array([(i * TOP) // num_parts for i in range(1, num_parts)], dtype=np.uint64)


class RunWriter:
    """Rows to one file of runs; made by `run_writer`."""

    def __init__(self, stream: IO[bytes], num_columns: int, bounds: Numbers, memory: int) -> None:
        self._stream = stream
        self._columns = num_columns
        self._bounds = bounds
        self._limit = max(memory // WRITE_SHARES // (8 * num_columns), 1)
        self._parts: list[Rows] = []
        self._held = 0
        self._written = 0
        self._offsets: list[npt.NDArray[np.int64]] = []

    @property
    def num_rows(self) -> int:
        """Rows added so far."""
        return self._written + self._held

    def add(self, rows: Rows) -> None:
        """Add rows in any order."""
        for start in range(0, len(rows), self._limit):
            part = rows[start : start + self._limit]
            if self._held + len(part) > self._limit:
                self._flush()
            self._parts.append(part)
            self._held += len(part)

    def _flush(self) -> None:
        if not self._held:
            return
        rows = sorted_rows(np.concatenate(self._parts))
        self._parts, self._held = [], 0
        cuts = np.searchsorted(rows[:, 0], self._bounds)
        self._offsets.append(self._written + np.concatenate([[0], cuts, [len(rows)]]))
        self._stream.write(np.ascontiguousarray(rows, dtype="<u8").data)
        self._written += len(rows)

    def close(self) -> None:
        """Write what is left, and the index."""
        self._flush()
        num_parts = len(self._bounds) + 1
        for offsets in self._offsets:
            self._stream.write(offsets.astype("<i8").data)
        self._stream.write(self._bounds.astype("<u8").tobytes())
        self._stream.write(_TRAILER.pack(MAGIC, self._columns, len(self._offsets), num_parts))


@contextmanager
def run_writer(
    url: str, num_columns: int, *, bounds: Numbers, memory_bytes: int
) -> Iterator[RunWriter]:
    """A writer of runs; the file stands when the block ends without an error.

    Args:
        url: the file.
        num_columns: numbers in a row.
        bounds: (P - 1,) first numbers at which parts begin.
        memory_bytes: what the writer may hold.
    """
    with storage.atomic_write(url) as stream:
        writer = RunWriter(stream, num_columns, bounds, memory_bytes)
        yield writer
        writer.close()


@dataclass(frozen=True)
class RunSource:
    """A file of runs as a reader sees it."""

    url: str
    shift: tuple[int, ...] = ()
    """Added to the columns, as the rows of an earlier dataset need it; empty: nothing."""


@dataclass
class _Cursor:
    """What is left of one run between two numbers."""

    url: str
    at: int
    """Row of the file that is read next."""
    left: int
    shift: Rows | None
    buffer: Rows

    def fill(self, size: int, num_columns: int) -> None:
        """Read on until the buffer holds `size` rows, where it is less than half full."""
        if not self.left or 2 * len(self.buffer) >= size:
            return
        count = min(self.left, size - len(self.buffer))
        with storage.open_read(self.url) as stream:
            stream.seek(8 * num_columns * self.at)
            data = stream.read(8 * num_columns * count)
        if len(data) != 8 * num_columns * count:
            raise DataError(f"{self.url} is cut off: remove it and run the same command again")
        rows = np.frombuffer(data, dtype="<u8").reshape(count, num_columns)
        if self.shift is not None:
            rows = rows + self.shift
        self.at += count
        self.left -= count
        self.buffer = np.concatenate([self.buffer, rows]) if len(self.buffer) else rows

    def take(self, last: tuple[int, ...] | None) -> Rows:
        """Rows up to and with `last`; all of the buffer for None."""
        end = len(self.buffer) if last is None else _count_to(self.buffer, last)
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken


def _count_to(rows: Rows, last: tuple[int, ...]) -> int:
    """How many sorted rows stand at or before `last`."""
    low = int(np.searchsorted(rows[:, 0], np.uint64(last[0]), side="left"))
    high = int(np.searchsorted(rows[:, 0], np.uint64(last[0]), side="right"))
    while low < high:
        middle = (low + high) // 2
        if tuple(rows[middle].tolist()) <= last:
            low = middle + 1
        else:
            high = middle
    return low


def merged(
    sources: Iterable[RunSource],
    num_columns: int,
    *,
    between: tuple[int, int] = (0, TOP),
    memory_bytes: int,
) -> Iterator[Rows]:
    """All rows whose first number is in the range, in order, in pieces that fit the memory.

    Raises:
        ConfigError: there are more runs than the memory has buffers for.
        DataError: a file is not one of runs, or is cut off.
    """
    low, high = between
    cursors = [c for source in sources for c in _cursors(source, num_columns, low, high)]
    size = memory_bytes // MERGE_SHARES // (8 * num_columns * max(len(cursors), 1))
    if cursors and size < max(MIN_BUFFER_BYTES // (8 * num_columns), 1):
        needed = READERS * len(cursors) * MERGE_SHARES * max(MIN_BUFFER_BYTES, 8 * num_columns)
        raise ConfigError(
            f"dedup.memory_bytes={READERS * memory_bytes} is too small to merge {len(cursors)} "
            f"sorted runs of this corpus; set it to {needed} or more"
        )
    while True:
        for cursor in cursors:
            cursor.fill(size, num_columns)
        cursors = [cursor for cursor in cursors if len(cursor.buffer)]
        if not cursors:
            return
        ends = [tuple(c.buffer[-1].tolist()) for c in cursors if c.left]
        last = min(ends) if ends else None
        rows = sorted_rows(np.concatenate([cursor.take(last) for cursor in cursors]))
        begin = int(np.searchsorted(rows[:, 0], np.uint64(low)))
        end = len(rows) if high >= TOP else int(np.searchsorted(rows[:, 0], np.uint64(high)))
        if begin < end:
            yield rows[begin:end]


def _cursors(source: RunSource, num_columns: int, low: int, high: int) -> list[_Cursor]:
    """The runs of a file that may hold numbers in the range."""
    offsets, bounds = _index(source.url, num_columns)
    shift = np.array([source.shift], dtype=np.uint64) if source.shift else None
    assert shift is None or shift[0, 0] == 0, "parts are found by the first number as it stands"
    first = int(np.searchsorted(bounds, np.uint64(low), side="right"))
    last = len(bounds) if high >= TOP else int(np.searchsorted(bounds, np.uint64(high)))
    empty = np.zeros((0, num_columns), dtype=np.uint64)
    return [
        _Cursor(source.url, int(run[first]), int(run[last + 1] - run[first]), shift, empty)
        for run in offsets
        if run[last + 1] > run[first]
    ]


def _index(url: str, num_columns: int) -> tuple[npt.NDArray[np.int64], Numbers]:
    """(R, P + 1) offsets and (P - 1,) bounds of a file."""
    size = storage.file_info(url).size_bytes
    with storage.open_read(url) as stream:
        stream.seek(max(size - _TRAILER.size, 0))
        trailer = stream.read(_TRAILER.size)
        if len(trailer) < _TRAILER.size or trailer[:8] != MAGIC:
            raise DataError(f"{url} is not a file of sorted runs: remove it and run again")
        _, columns, num_runs, num_parts = _TRAILER.unpack(trailer)
        num_offsets = num_runs * (num_parts + 1)
        begin = size - _TRAILER.size - 8 * (num_offsets + num_parts - 1)
        if columns != num_columns or begin < 0:
            raise DataError(
                f"{url} holds rows of {columns} numbers, expected {num_columns}; "
                "remove it and run again"
            )
        stream.seek(begin)
        offsets = np.frombuffer(stream.read(8 * num_offsets), dtype="<i8")
        bounds = np.frombuffer(stream.read(8 * (num_parts - 1)), dtype="<u8")
    return offsets.reshape(num_runs, num_parts + 1), bounds.astype(np.uint64)


def concatenated(pieces: Iterable[Rows], num_columns: int) -> Rows:
    """All pieces as one array; only of what is known to fit."""
    found: Sequence[Rows] = [*pieces]
    return np.concatenate(found) if found else np.zeros((0, num_columns), dtype=np.uint64)
