"""Scores of a page's text blocks by boosted trees, by block_scores.c or its twin in Python."""

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from data_pipeline.native import block_scores_twin as twin
from data_pipeline.native import library

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees over whole numbers.

    Attributes:
        nodes: (nodes, 4) int32: column, threshold, left, right; a row whose value is at most the
            threshold goes left; a child below 0 is leaf `~child`.
        leaves: (leaves,) int32.
        roots: (trees,) int32, where each tree begins, numbered like children.
        width: columns of the rows that they score.
    """

    nodes: Int32s
    leaves: Int32s
    roots: Int32s
    width: int

    def __post_init__(self) -> None:
        nodes, leaves, roots = self.nodes, self.leaves, self.roots
        children = np.concatenate([nodes[:, 2:].ravel(), roots])
        is_sound = (
            ((nodes[:, 0] >= 0) & (nodes[:, 0] < self.width)).all()
            and ((children < len(nodes)) & (~children < len(leaves))).all()
            and _is_downward(nodes)
        )
        if not is_sound:
            raise ValueError(
                f"trees of {len(nodes)} nodes and {len(leaves)} leaves over {self.width} columns: "
                "a column, child or leaf lies outside, or a child before its parent"
            )


def block_scores(rows: Int32s, trees: Trees, *, is_native: bool = True) -> Int32s:
    """(rows,) int32 sums of leaves."""
    if rows.shape[1] != trees.width:
        raise ValueError(f"rows of {rows.shape[1]} columns: the trees were made for {trees.width}")
    compiled = library() if is_native else None
    if compiled is None:
        return twin.block_scores(rows, trees.nodes, trees.leaves, trees.roots)
    scores = np.empty(len(rows), np.int32)
    _scoring(compiled)(
        *(rows, len(rows), trees.width, trees.nodes, trees.leaves, trees.roots),
        *(len(trees.roots), scores),
    )
    return scores


def _is_downward(nodes: Int32s) -> bool:
    """Whether every inner child stands behind its parent, so that each walk ends."""
    children = nodes[:, 2:]
    behind = children > np.arange(len(nodes))[:, None]
    return bool((behind | (children < 0)).all())


@cache
def _scoring(compiled: ctypes.CDLL) -> "ctypes._NamedFuncPointer":
    int32s = np.ctypeslib.ndpointer(np.int32, flags="C")
    number = ctypes.c_int64
    function = compiled.hw_block_scores
    function.restype = None
    function.argtypes = [int32s, number, number, int32s, int32s, int32s, number, int32s]
    return function
