"""Rows of unsigned 64-bit numbers: what the search for duplicates sorts, and how a document is one.

A document is a node of three numbers: its dataset and the first 56 bits of its doc_id, the next 64,
then the last 8 and where it stands (file, row). So rows of nodes sort by dataset, then doc_id: by
who is kept.
"""

import numpy as np
import numpy.typing as npt

from contracts.errors import DataError

Rows = npt.NDArray[np.uint64]
"""(N, C)"""
Numbers = npt.NDArray[np.uint64]

ROW_BITS, FILE_BITS, DATASET_BITS = 28, 28, 8
MAX_DATASETS = (1 << DATASET_BITS) - 1
MAX_FILES = 1 << FILE_BITS
NODE = 3
"""Columns of a node."""
_U = np.uint64
_PLACE = _U((1 << 56) - 1)
_LOW_BYTE = _U(255)


def sorted_rows(rows: Rows) -> Rows:
    """The rows in lexicographic order."""
    if len(rows) < 2:
        return rows
    first = np.ascontiguousarray(rows[:, 0])
    order = np.argsort(first, kind="stable")  # merges sorted runs that stand one after another
    first = first[order]
    is_tied = np.zeros(len(rows), dtype=bool)
    equal = first[1:] == first[:-1]
    is_tied[1:] |= equal
    is_tied[:-1] |= equal
    tied = np.flatnonzero(is_tied)
    if len(tied) and rows.shape[1] > 1:
        those = rows[order[tied]]
        order[tied] = order[tied[np.lexsort(those.T[::-1])]]
    return rows[order]


def distinct(rows: Rows) -> Rows:
    """Sorted rows without repeats."""
    if len(rows) < 2:
        return rows
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[is_new]


def group_starts(keys: Rows) -> npt.NDArray[np.int64]:
    """Where runs of equal (N, K) keys begin."""
    is_new = np.ones(len(keys), dtype=bool)
    is_new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return np.flatnonzero(is_new)


def is_before(first: Rows, second: Rows) -> npt.NDArray[np.bool_]:
    """(N,) whether each row of the first (N, C) stands before its partner."""
    before = np.zeros(len(first), dtype=bool)
    undecided = np.ones(len(first), dtype=bool)
    for column in range(first.shape[1]):
        a, b = first[:, column], second[:, column]
        before |= undecided & (a < b)
        undecided &= a == b
    return before


def ids_of(doc_ids: list[str], where: str) -> Rows:
    """(N, 2) the 128 bits of each doc_id.

    Raises:
        DataError: one is not 32 hex digits.
    """
    try:
        raw = b"".join(map(bytes.fromhex, doc_ids))
    except ValueError:
        raw = b""
    if len(raw) != 16 * len(doc_ids):
        bad = next((name for name in doc_ids if not _is_id(name)), "")
        raise DataError(f"{where}: doc_id {bad!r} is not 32 hex digits; make its dataset again")
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def _is_id(name: str) -> bool:
    try:
        return len(bytes.fromhex(name)) == 16
    except ValueError:
        return False


def places(file: int, first_row: int, size: int) -> Numbers:
    """(size,) numbers of a file's rows from `first_row` on."""
    return np.arange(first_row, first_row + size, dtype=np.uint64) + _U(file << ROW_BITS)


def nodes(dataset: int, ids: Rows, numbers: Numbers) -> Rows:
    """(N, 3) documents as nodes."""
    rows = np.empty((len(ids), NODE), dtype=np.uint64)
    high, low = ids[:, 0], ids[:, 1]
    rows[:, 0] = (high >> _U(8)) | _U(dataset << 56)
    rows[:, 1] = ((high & _LOW_BYTE) << _U(56)) | (low >> _U(8))
    rows[:, 2] = ((low & _LOW_BYTE) << _U(56)) | numbers
    return rows


def numbers_of(nodes_: Rows) -> Numbers:
    """(N,) where each node's document stands: file and row."""
    return nodes_[:, 2] & _PLACE


def doc_ids_of(nodes_: Rows) -> list[str]:
    """The doc_id of each node."""
    ids = np.empty((len(nodes_), 2), dtype=">u8")
    ids[:, 0] = (nodes_[:, 0] << _U(8)) | (nodes_[:, 1] >> _U(56))
    ids[:, 1] = (nodes_[:, 1] << _U(8)) | (nodes_[:, 2] >> _U(56))
    text = ids.tobytes().hex()
    return [text[i : i + 32] for i in range(0, len(text), 32)]


def datasets_of(nodes_: Rows) -> npt.NDArray[np.int64]:
    """(N,) the dataset of each node."""
    return (nodes_[:, 0] >> _U(56)).astype(np.int64)
