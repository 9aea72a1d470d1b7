"""Texts as arrays of code points, and tables over code points that Python makes block by block.

C knows no Unicode: what a character is comes from `str` and `unicodedata` through a table, so both
ways of counting agree by construction. A block of 256 is filled when a text first needs it.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from data_pipeline.native import library

CODE_POINTS = 0x110000
BLOCK = 256
MAX_CHARACTERS = 1 << 28
"""Longer texts are not given to C, whose places are 32 bits wide."""

CodeArray = npt.NDArray[np.uint32]
_CODEC = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"


def code_points(text: str) -> bytes:
    """(4 * N bytes) the code points of a text as the machine's own 32-bit numbers."""
    return text.encode(_CODEC, "surrogatepass")


def text_of(codes: CodeArray) -> str:
    """The text of code points."""
    return codes.tobytes().decode(_CODEC, "surrogatepass")


@cache
def _compiled() -> ctypes.CDLL:
    found = library()
    assert found is not None
    found.headwater_uncovered.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    found.headwater_uncovered.restype = ctypes.c_int32
    return found


class BlockTable:
    """Arrays indexed by code point; `fill(start)` sets `start` to `start + BLOCK` in them."""

    def __init__(self, fill: Callable[[int], None]) -> None:
        self._fill = fill
        self._covered = np.zeros(CODE_POINTS // BLOCK, dtype=np.uint8)

    def cover(self, codes: bytes) -> None:
        """Fill the blocks that a text needs."""
        find = _compiled().headwater_uncovered
        covered = self._covered.ctypes.data
        while (code := find(codes, len(codes) // 4, covered)) >= 0:
            block = code // BLOCK
            self._fill(block * BLOCK)
            self._covered[block] = 1
