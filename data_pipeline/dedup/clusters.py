"""Which documents repeat which: clusters of duplicates, and the one of each that is kept.

Two documents, not both committed before, are linked when their digests are equal, or when all
values of one band agree and the estimated Jaccard similarity reaches the threshold. A cluster is
what links connect, over any number of steps. Of each cluster the first in priority stays (the
earliest dataset, then the lowest doc_id); the others become DuplicateOf, except documents of
datasets that are already committed: those are never evicted.

Where more than `max_comparisons` documents share a band, each is compared only with the first so
many of them in the order of the table; of documents whose values are all equal only one stands
there. But for that bound the result does not depend on the order of input, and a second pass over
what is kept finds nothing.

All steps are array operations over the whole table (448 bytes a document at 112 values): this is
the reference; `data_pipeline.stages.search` finds the same over files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_pipeline.dedup.config import DedupConfig
from data_pipeline.dedup.minhash import MinHashConfig, mix
from data_pipeline.records import DuplicateOf, Signature

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
PAIRS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class SignatureTable:
    """Signatures of many documents as columns; N documents, H values."""

    doc_ids: npt.NDArray[np.str_]
    """(N,)"""
    digests: npt.NDArray[np.void]
    """(N,) 16 bytes each."""
    bands: npt.NDArray[np.uint32]
    """(N, H); a row without values is zero."""
    has_bands: BoolArray
    """(N,) False where the text was too short for near-dedup."""
    dataset: IntArray
    """(N,) place of the document's dataset in the order of commitment."""
    num_committed: int
    """Documents of datasets numbered below are committed; those at or above it are new."""

    def __len__(self) -> int:
        return len(self.doc_ids)


def signature_table(datasets: Sequence[Sequence[Signature]], num_committed: int) -> SignatureTable:
    """The table of several datasets' signatures: committed ones by age, then the new ones."""
    signatures = [signature for dataset in datasets for signature in dataset]
    sizes = [len(dataset) for dataset in datasets]
    width = max((len(signature.bands) for signature in signatures), default=0)
    bands = np.zeros((len(signatures), width), dtype=np.uint32)
    has_bands = np.zeros(len(signatures), dtype=bool)
    for i, signature in enumerate(signatures):
        if len(signature.bands):
            bands[i], has_bands[i] = signature.bands, True
    return SignatureTable(
        doc_ids=np.array([signature.doc_id for signature in signatures], dtype=np.str_),
        digests=np.array([signature.digest for signature in signatures], dtype="V16"),
        bands=bands,
        has_bands=has_bands,
        dataset=np.repeat(np.arange(len(sizes)), sizes),
        num_committed=num_committed,
    )


def find_duplicates(table: SignatureTable, config: DedupConfig) -> list[DuplicateOf]:
    """What is not kept, in order of doc_id; the same for any order of the table's rows."""
    order = np.lexsort((table.doc_ids, table.dataset))
    doc_ids, dataset = table.doc_ids[order], table.dataset[order]
    digests, has_bands = table.digests[order], table.has_bands[order]
    bands = np.ascontiguousarray(table.bands[order])
    forest = Forest(len(order))

    first_of_digest = _first_equal(digests.view(np.uint64).reshape(-1, 2))
    is_repeat = np.zeros(len(order), dtype=bool)
    if config.exact:
        is_repeat = first_of_digest < np.arange(len(order))
        is_repeat &= dataset >= table.num_committed
        forest.union(first_of_digest[is_repeat], np.flatnonzero(is_repeat))
    if config.minhash is not None:
        is_new = dataset >= table.num_committed
        signed = _Signed(forest, bands, is_new, order, config.max_comparisons)
        _link_similar(signed, has_bands, config.minhash)

    kept = forest.roots()
    evicted = np.flatnonzero((kept < np.arange(len(order))) & (dataset >= table.num_committed))
    exact, similar = evicted[is_repeat[evicted]], evicted[~is_repeat[evicted]]
    duplicates = [
        DuplicateOf(str(doc_ids[i]), str(doc_ids[kept[i]]), method="exact") for i in exact
    ]
    similarities = _similarities(bands, kept[similar], similar).round(6).tolist()
    duplicates += [
        DuplicateOf(str(doc_ids[i]), str(doc_ids[kept[i]]), method="minhash", similarity=estimate)
        for i, estimate in zip(similar, similarities, strict=True)
    ]
    return sorted(duplicates, key=lambda duplicate: duplicate.doc_id)


class Forest:
    """Disjoint sets of 0 to N - 1; the lowest number of a set stands for it."""

    def __init__(self, size: int) -> None:
        self._parent: IntArray = np.arange(size)

    def union(self, first: IntArray, second: IntArray) -> None:
        """Join the sets of each pair."""
        while len(first):
            first, second = self.find(first), self.find(second)
            apart = first != second
            first, second = first[apart], second[apart]
            np.minimum.at(self._parent, np.maximum(first, second), np.minimum(first, second))

    def find(self, members: IntArray) -> IntArray:
        """The lowest member of each one's set."""
        found = self._parent[members]
        while True:
            above = self._parent[found]
            if np.array_equal(above, found):
                self._parent[members] = found
                return found
            found = above

    def roots(self) -> IntArray:
        """(N,) `find` of all."""
        return self.find(np.arange(len(self._parent)))


def _first_equal(values: npt.NDArray[np.uint64]) -> IntArray:
    """(N,) lowest position of a row equal to each of the (N, C) rows."""
    order = np.lexsort(values.T)  # stable: of equal rows the lowest position comes first
    in_order = values[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (in_order[1:] != in_order[:-1]).any(axis=1)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[is_new][np.cumsum(is_new) - 1]
    return first


@dataclass(frozen=True)
class _Signed:
    """What the comparison of documents needs, in order of priority."""

    forest: "Forest"
    bands: npt.NDArray[np.uint32]
    is_new: BoolArray
    place: IntArray
    """(N,) place of each document in the table."""
    max_comparisons: int


def _link_similar(signed: _Signed, has_bands: BoolArray, config: MinHashConfig) -> None:
    """Join documents that share a band and are similar enough, band by band.

    Documents whose values are all equal have the same links, so one of them stands for all.
    """
    bands = signed.bands
    rows = np.flatnonzero(has_bands)
    first = rows[_first_equal(_band_keys(bands[rows])[:, np.newaxis])]
    is_copy = (first < rows) & (_similarities(bands, first, rows) == 1.0) & signed.is_new[rows]
    signed.forest.union(first[is_copy], rows[is_copy])
    rows = rows[~is_copy]
    for band in range(config.num_bands):
        start = band * config.rows_per_band
        keys = _band_keys(bands[rows, start : start + config.rows_per_band])
        by_key = np.lexsort((signed.place[rows], keys))
        _link_buckets(signed, rows[by_key], keys[by_key], config.min_similarity)


def _band_keys(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """(N,) one key for the (N, R) values of a band; verification parts unequal ones that meet."""
    keys = np.zeros(len(values), dtype=np.uint64)
    for column in values.T:
        keys = mix(keys ^ column)
    return keys


def _link_buckets(
    signed: _Signed, members: IntArray, keys: npt.NDArray[np.uint64], min_similarity: float
) -> None:
    """Compare pairs inside each run of equal keys, but those joined already.

    Round r compares the r-th member of every bucket with those behind it; a bucket whose members
    are all joined leaves. So a bucket of a thousand copies costs one round.
    """
    forest = signed.forest
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    sizes = np.diff(np.concatenate([starts, [len(keys)]])).astype(np.int64)
    bucket = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(keys)) - np.repeat(starts.astype(np.int64), sizes)
    leader_of_bucket = starts.astype(np.int64)
    is_open = sizes[bucket] > 1
    members_left, bucket, place = members[is_open], bucket[is_open], place[is_open]
    for current in range(signed.max_comparisons):
        if not len(members_left):
            return
        leaders = members[leader_of_bucket[bucket] + current]
        is_behind = place > current
        _link_pairs(signed, leaders[is_behind], members_left[is_behind], min_similarity)
        roots = forest.find(members_left)
        edges = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
        lengths = np.diff(np.concatenate([edges, [len(bucket)]]))
        is_apart = np.minimum.reduceat(roots, edges) != np.maximum.reduceat(roots, edges)
        is_open = np.repeat(is_apart & (lengths > current + 2), lengths)
        members_left, bucket, place = members_left[is_open], bucket[is_open], place[is_open]


def _link_pairs(signed: _Signed, first: IntArray, second: IntArray, min_similarity: float) -> None:
    forest = signed.forest
    is_open = (forest.find(first) != forest.find(second)) & (
        signed.is_new[first] | signed.is_new[second]
    )
    first, second = first[is_open], second[is_open]
    similar = _similarities(signed.bands, first, second) >= min_similarity
    forest.union(first[similar], second[similar])


def _similarities(
    bands: npt.NDArray[np.uint32], first: IntArray, second: IntArray
) -> npt.NDArray[np.float64]:
    """(P,) estimated Jaccard similarity of each pair: the share of values with equal low halves."""
    parts = [np.zeros(0)]
    bands = bands.astype(np.uint16)  # the low 16 bits, as the search over files compares them
    for start in range(0, len(first), PAIRS_AT_ONCE):
        chunk = slice(start, start + PAIRS_AT_ONCE)
        parts.append((bands[first[chunk]] == bands[second[chunk]]).mean(axis=1))
    return np.concatenate(parts)
