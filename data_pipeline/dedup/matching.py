"""What is found in sorted rows: repeats in a group, candidate pairs in a bucket, and clusters.

Each function reads sorted pieces of any size, as `merged` gives them, and holds one piece: a group
that goes on in the next piece is remembered by its first row, a bucket by its first members.

Clusters are connected components by alternating stars (Kiveris et al. 2014, "Connected components
in MapReduce and beyond"): a large star links what is above a node to the lowest of its
neighbourhood, a small star what is below; when neither moves a link, each node is linked to the
lowest of its component alone.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from data_pipeline.dedup.minhash import mix
from data_pipeline.dedup.rows import NODE, Numbers, Rows, group_starts, is_before

EDGE = 2 * NODE
"""Columns of a link: two nodes."""


def with_first(pieces: Iterable[Rows], num_keys: int) -> Iterator[tuple[Rows, Rows]]:
    """Each piece, and beside each row the first row of its group.

    Args:
        pieces: sorted rows.
        num_keys: columns that are equal in a group.
    """
    first: Rows | None = None
    for rows in pieces:
        starts = group_starts(rows[:, :num_keys])
        firsts = rows[starts]
        if first is not None and (rows[0, :num_keys] == first[:num_keys]).all():
            firsts[0] = first
        first = firsts[-1].copy()
        yield rows, np.repeat(firsts, np.diff(np.append(starts, len(rows))), axis=0)


class Buckets:
    """Candidate pairs among the members of each bucket of equal band keys.

    Each member is compared with the first `max_comparisons` members of its bucket, by their place
    in the plan: all pairs of a small bucket, a bounded number for each member of a large one.
    Pairs of two documents committed before are left out.
    """

    def __init__(self, max_comparisons: int, first_new: int) -> None:
        self._limit = max_comparisons
        self._first_new = np.uint64(first_new)
        self._leaders = np.zeros((0, 2), dtype=np.uint64)

    def pairs(self, rows: Rows) -> Iterator[Rows]:
        """(P, 2) numbers of the pairs that the next piece of (key, number) rows gives."""
        known = self._leaders
        if len(known) and known[0, 0] != rows[0, 0]:
            known = known[:0]
        rows = np.concatenate([known, rows])
        starts = group_starts(rows[:, :1])
        sizes = np.diff(np.append(starts, len(rows)))
        last = rows[starts[-1] :]
        self._leaders = last[: self._limit].copy()
        place = np.arange(len(rows)) - np.repeat(starts, sizes)
        begins = np.repeat(starts, sizes)
        is_candidate = (np.repeat(sizes, sizes) > 1) & (rows[:, 1] >= self._first_new)
        is_candidate[: len(known)] = False
        members = np.flatnonzero(is_candidate)
        for leader in range(self._limit):
            members = members[place[members] > leader]
            if not len(members):
                return
            yield np.stack([rows[begins[members] + leader, 1], rows[members, 1]], axis=1)


def distinct_rows(pieces: Iterable[Rows]) -> Iterator[Rows]:
    """Each row once, of sorted rows."""
    last: Rows | None = None
    for rows in pieces:
        is_new = np.ones(len(rows), dtype=bool)
        is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
        if last is not None:
            is_new[0] = bool((rows[0] != last).any())
        last = rows[-1].copy()
        if is_new.any():
            yield rows[is_new]


def large_star(pieces: Iterable[Rows]) -> Iterator[tuple[Rows, int]]:
    """Links (higher, lower) of the next round, and how many differ from this one's.

    Args:
        pieces: (E, 6) sorted links, each in both directions.
    """
    for rows, firsts in with_first(distinct_rows(pieces), NODE):
        node, other = rows[:, :NODE], rows[:, NODE:]
        lowest = np.where(is_before(firsts[:, NODE:], node)[:, np.newaxis], firsts[:, NODE:], node)
        is_above = is_before(node, other)
        links = np.concatenate([other[is_above], lowest[is_above]], axis=1)
        moved = (lowest[is_above] != node[is_above]).any(axis=1)
        yield links, int(moved.sum())


def small_star(pieces: Iterable[Rows]) -> Iterator[tuple[Rows, int]]:
    """Links (higher, lower) of the next round, and how many differ from this one's.

    Args:
        pieces: (E, 6) sorted links, each from its higher node.
    """
    for rows, firsts in with_first(distinct_rows(pieces), NODE):
        is_first = (rows == firsts).all(axis=1)
        others = rows[~is_first, NODE:]
        moved = np.concatenate([others, firsts[~is_first, NODE:]], axis=1)
        yield np.concatenate([rows[is_first], moved]), len(moved)


def both_directions(links: Rows) -> Rows:
    """Each link from either end."""
    return np.concatenate([links, np.concatenate([links[:, NODE:], links[:, :NODE]], axis=1)])


class RowStream:
    """Sorted pieces as one stream that is read up to a number."""

    def __init__(self, pieces: Iterable[Rows]) -> None:
        self._pieces = iter(pieces)
        self._rows: Rows | None = next(self._pieces, None)

    def has_below(self, limit: int) -> bool:
        """Whether a row is left whose first number is lower."""
        return self._rows is not None and int(self._rows[0, 0]) < limit

    def below(self, limit: int) -> Iterator[Rows]:
        """The rows whose first number is lower, in pieces; each once."""
        while self._rows is not None:
            end = int(np.searchsorted(self._rows[:, 0], np.uint64(limit)))
            rows, rest = self._rows[:end], self._rows[end:]
            self._rows = rest if len(rest) else next(self._pieces, None)
            if len(rows):
                yield rows
            if len(rest):
                return


def packed(values: npt.NDArray[np.uint32]) -> Rows:
    """(N, ceil(H / 4)) the low 16 bits of the (N, H) values, four to a number.

    Two values that differ agree in these bits once in 65,536 times.
    """
    size = num_packed(values.shape[1])
    low = np.zeros((len(values), 4 * size), dtype="<u2")
    low[:, : values.shape[1]] = values & np.uint32(0xFFFF)
    return low.view("<u8").astype(np.uint64, copy=False)


def num_packed(num_values: int) -> int:
    """Columns of `packed`."""
    return (num_values + 3) // 4


def similarities(first: Rows, second: Rows, num_values: int) -> npt.NDArray[np.float64]:
    """(N,) share of equal values of each pair of packed rows."""
    a = np.ascontiguousarray(first, dtype="<u8").view("<u2")[:, :num_values]
    b = np.ascontiguousarray(second, dtype="<u8").view("<u2")[:, :num_values]
    return (a == b).mean(axis=1) if num_values else np.zeros(len(first))


def band_keys(values: npt.NDArray[np.uint32], rows_per_band: int) -> Iterator[Numbers]:
    """(N,) key of each band in turn; equal for equal values of the same band."""
    for band in range(values.shape[1] // rows_per_band):
        yield hashed(values[:, band * rows_per_band : (band + 1) * rows_per_band], band + 1)


def hashed(values: npt.NDArray[np.uint32], seed: int) -> Numbers:
    """(N,) a hash of each row of (N, R) values."""
    keys = mix(np.full(len(values), seed + 1, dtype=np.uint64))
    for column in values.T:
        keys = mix(keys ^ column)
    return keys
