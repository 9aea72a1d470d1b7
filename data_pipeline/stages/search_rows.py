"""Steps that read a block's signatures and write rows of hashes, parted and sorted.

`ids`: of doc_ids and addresses; `texts`: of digests and of all MinHash values at once; `bands`: of
the values of each band. A document that an earlier step has removed has no rows in a later one.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from data_pipeline.dedup.matching import band_keys, hashed
from data_pipeline.dedup.minhash import mix
from data_pipeline.dedup.rows import NODE, Numbers, Rows, nodes, places
from data_pipeline.dedup.runs import concatenated
from data_pipeline.dedup.signature_store import (
    TEXT_COLUMNS,
    URL_COLUMNS,
    SignatureBatch,
    signature_batches,
)
from data_pipeline.progress import ProgressFile
from data_pipeline.stages.search_task import SearchTask
from data_pipeline.stages.task import Outcome

ID_COLUMNS, TEXT_KEY_COLUMNS, BAND_COLUMNS = 3 + NODE, 2 + NODE, 2
"""Columns of the rows: hash (and its second half, whose lowest bit tells the kind), the order of
crawling, and the node; a band's key has the document's number alone."""
REPEAT_COLUMNS, FOUND_COLUMNS = 2 + NODE, 2
BY_ID, BY_URL = 0, 1
BY_DIGEST, BY_VALUES = 0, 1
NEW_ORDER = 1 << 62
"""Order of a new document that was fetched at the end of time; committed ones have 0."""
_U = np.uint64
_ODD = _U(1)
_Chosen = tuple[SignatureBatch, Numbers, Rows]


def id_rows(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Rows of doc_ids and, where configured, of addresses."""
    del progress
    with task.writers(("rows", ID_COLUMNS, task.by_hash)) as [writer]:
        for batch, numbers, node in _documents(task, URL_COLUMNS if task.dedup.url else ()):
            ids = node_ids(node)
            order = np.where(is_new(task, numbers), _U(NEW_ORDER), _U(0))
            writer.add(_rows(mix(ids[:, 0]) + (ids[:, 1] & _ODD), ids[:, 1] & ~_ODD, order, node))
            if not task.dedup.url:
                continue
            latest_first = order - np.minimum(order, batch.fetched_at.astype(np.uint64))
            keys = batch.url_keys
            rows = _rows(keys[:, 0], keys[:, 1] | _ODD, latest_first, node)
            writer.add(rows[batch.has_url])
        num_rows = writer.num_rows
    return Outcome((task.path("rows"),), {"num_rows": num_rows})


def text_rows(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Rows of the digests, and of the hashes of all MinHash values."""
    del progress
    removed = concatenated(task.pieces("repeats", REPEAT_COLUMNS), REPEAT_COLUMNS)[:, 0]
    with task.writers(("rows", TEXT_KEY_COLUMNS, task.by_hash)) as [writer]:
        for batch, numbers, node in _documents(task, TEXT_COLUMNS):
            stays = ~is_among(numbers, removed)
            if task.dedup.exact:
                digest = batch.digests[stays]
                writer.add(_rows(digest[:, 0], digest[:, 1] & ~_ODD, node[stays]))
            if task.dedup.minhash is not None:
                stays &= batch.has_values
                values = batch.values[stays]
                writer.add(_rows(hashed(values, 0), hashed(values, 1) | _ODD, node[stays]))
        num_rows = writer.num_rows
    return Outcome((task.path("rows"),), {"num_rows": num_rows})


def band_rows(task: SearchTask, progress: ProgressFile) -> Outcome:
    """Rows of the keys of bands; of documents with the same values only of the first."""
    del progress
    assert task.dedup.minhash is not None
    repeats = concatenated(task.pieces("repeats", REPEAT_COLUMNS), REPEAT_COLUMNS)[:, 0]
    found = concatenated(task.pieces("found", FOUND_COLUMNS), FOUND_COLUMNS)
    removed = np.union1d(repeats, found[found[:, 1] == BY_VALUES, 0])
    with task.writers(("rows", BAND_COLUMNS, task.by_hash)) as [writer]:
        for batch, numbers, _ in _documents(task, TEXT_COLUMNS):
            stays = batch.has_values & ~is_among(numbers, removed)
            left = numbers[stays]
            for keys in band_keys(batch.values[stays], task.dedup.minhash.rows_per_band):
                writer.add(np.stack([keys, left], axis=1))
        num_rows = writer.num_rows
    return Outcome((task.path("rows"),), {"num_rows": num_rows})


def _documents(task: SearchTask, columns: tuple[str, ...]) -> Iterator[_Chosen]:
    """The block's documents in batches, with their numbers and nodes."""
    for file in task.files:
        for batch in signature_batches(file.url, task.dedup, columns):
            numbers = places(file.number, batch.first_row, len(batch))
            yield batch, numbers, nodes(file.dataset, batch.ids(file.url), numbers)


def _rows(*columns: npt.NDArray[np.uint64]) -> Rows:
    return np.concatenate([c if c.ndim == 2 else c[:, np.newaxis] for c in columns], axis=1)


def node_ids(node: Rows) -> Rows:
    """(N, 2) the bits of the doc_ids of nodes."""
    ids = np.empty((len(node), 2), dtype=np.uint64)
    ids[:, 0] = (node[:, 0] << _U(8)) | (node[:, 1] >> _U(56))
    ids[:, 1] = (node[:, 1] << _U(8)) | (node[:, 2] >> _U(56))
    return ids


def is_new(task: SearchTask, numbers: Numbers) -> npt.NDArray[np.bool_]:
    """(N,) whether documents are the job's own."""
    return numbers >= _U(task.layout.first_new)


def is_among(numbers: Numbers, those: Numbers) -> npt.NDArray[np.bool_]:
    """(N,) whether each number is one of the sorted `those`."""
    if not len(those):
        return np.zeros(len(numbers), dtype=bool)
    at = np.minimum(np.searchsorted(those, numbers), len(those) - 1)
    found: npt.NDArray[np.bool_] = those[at] == numbers
    return found
