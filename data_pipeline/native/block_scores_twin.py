"""Scores of a page's text blocks in Python: what block_scores.c does, with the same output."""

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

REACH = 3
LEVELS = 4
AHEAD = 6
WINDOWS = (4, 10)
EVEN = 4000
"""The score of a block that is as likely main text as not; scores lie between 0 and twice this."""
CONTEXT = (
    "score",
    *(f"score_{step:+d}" for step in range(-REACH, REACH + 1) if step),
    *(f"up_{level}_score" for level in range(LEVELS)),
    *(f"window_{width}_score" for width in WINDOWS),
    *("path_score", "main_chars_before", "main_chars_after", "main_place", "page_main_chars"),
    *("page_main_blocks", "page_score", "core_main_place", "core_main_depth", "branch_score"),
    *("since_main", "core_main_score", "until_main"),
)
"""Names of the columns of `score_context`, in their order."""


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


def score_context(blocks: Int32s, elements: Int32s, scores: Int32s) -> Int32s:
    """(blocks, CONTEXT) numbers of what scores stand around each block."""
    num_blocks = len(blocks)
    index, rows = np.arange(num_blocks), elements.astype(np.int64).T
    own, chars, scores64 = (
        *(blocks[:, 2].astype(np.int64), blocks[:, 3].astype(np.int64)),
        scores.astype(np.int64),
    )
    is_main = scores64 > EVEN
    chars_to, weighted_to = _sums(chars), _sums(chars * scores64)
    main_to = _sums(np.where(is_main, chars, 0))
    total = int(main_to[-1])

    def mean(first: Int64s, end: Int64s) -> Int64s:
        share: Int64s = (weighted_to[end] - weighted_to[first]) // np.maximum(
            chars_to[end] - chars_to[first], 1
        )
        return share

    columns = [scores64]
    for step in range(-REACH, REACH + 1):
        if step:
            other = index + step
            is_there = (other >= 0) & (other < num_blocks)
            columns.append(np.where(is_there, scores64[np.clip(other, 0, num_blocks - 1)], -1))
    element = own
    for _ in range(LEVELS):
        columns.append(mean(rows[3][element], rows[4][element]))
        element = rows[0][element]
    for width in WINDOWS:
        columns.append(
            mean(np.maximum(index - width, 0), np.minimum(index + width + 1, num_blocks))
        )
    path = rows[6][own]
    path_chars, path_weighted = np.zeros((2, len(elements)), np.int64)
    np.add.at(path_chars, path, chars)
    np.add.at(path_weighted, path, chars * scores64)
    columns.append(path_weighted[path] // np.maximum(path_chars[path], 1))
    before = main_to[index] - main_to[np.maximum(index - AHEAD, 0)]
    after = main_to[np.minimum(index + 1 + AHEAD, num_blocks)] - main_to[index + 1]
    core = _core(rows, main_to)
    first, end = int(rows[3][core]), int(rows[4][core])
    place = np.where(index < first, index - first, np.where(index >= end, index - end + 1, 0))
    branch = _branches(rows[0], core)[own]
    there = np.maximum(branch, 0)
    branch_score = np.where(branch < 0, -1, mean(rows[3][there], rows[4][there]))
    last = np.maximum.accumulate(np.where(is_main, index, -1))
    last = np.concatenate([np.full(1, -1), last[:-1]])
    next_main = np.minimum.accumulate(np.where(is_main, index, num_blocks)[::-1])[::-1]
    next_main = np.concatenate([next_main[1:], np.full(1, num_blocks)])
    everywhere = np.ones(num_blocks, np.int64)
    whole = mean(np.zeros(1, np.int64), np.full(1, num_blocks))[0]
    columns += [
        *(np.minimum(before, 1 << 20), np.minimum(after, 1 << 20)),
        *(main_to[:-1] * 1000 // max(total, 1), everywhere * min(total, 1 << 20)),
        *(everywhere * int(is_main.sum()), everywhere * whole, place),
        np.where(place == 0, rows[5][own] - rows[5][core], -1),
        *(branch_score, np.where(last < 0, -1, index - last)),
        everywhere * mean(np.full(1, first), np.full(1, end))[0],
        np.where(next_main == num_blocks, -1, next_main - index),
    ]
    return np.stack(columns, axis=1).astype(np.int32)


def _core(rows: Int64s, main_to: Int64s) -> int:
    """The deepest element with at least 51 % of the main text."""
    total = int(main_to[-1])
    if not total:
        return 0
    main = main_to[rows[4]] - main_to[rows[3]]
    return int(np.nonzero(main * 100 >= 51 * total)[0][-1])


def _branches(parents: Int64s, core: int) -> Int64s:
    """The child of `core` that each element stands in; -1 outside."""
    branch = np.full(len(parents), -1)
    for number in range(1, len(parents)):
        parent = parents[number]
        branch[number] = number if parent == core else branch[parent]
    return branch


def _sums(values: Int64s) -> Int64s:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])
