"""Scores of a page's text blocks in Python: what block_scores.c does, with the same output."""

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]


def block_scores(rows: Int32s, nodes: Int32s, leaves: Int32s, roots: Int32s) -> Int32s:
    """(blocks,) sums of the trees' leaves."""
    scores = np.zeros(len(rows), np.int64)
    index = np.arange(len(rows))
    for root in roots:
        at = np.full(len(rows), root)
        while (inner := at >= 0).any():
            column, threshold, left, right = nodes[at[inner]].T
            is_left = rows[index[inner], column] <= threshold
            at[inner] = np.where(is_left, left, right)
        scores += leaves[~at]
    return scores.astype(np.int32)
