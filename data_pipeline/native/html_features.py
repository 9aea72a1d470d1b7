"""Numbers of each text block of a scanned page, by html_features.c or its twin in Python."""

import ctypes
from functools import cache

import numpy as np

from data_pipeline.native import library
from data_pipeline.native.html_features_twin import FEATURES, Twin
from data_pipeline.native.html_names import GROUPS, MARKS, SIDE_GROUPS, SIDE_MARKS, TAG_IDS
from data_pipeline.native.html_scan import Int32s, ScannedPage

MAX_TITLE_BYTES = 512
__all__ = ["FEATURES", "block_features"]


def block_features(page: ScannedPage, *, is_native: bool = True) -> Int32s:
    """(blocks, FEATURES) int32 of a scanned page."""
    title = page.title[:MAX_TITLE_BYTES].lower()
    if not len(page.blocks):
        return np.zeros((0, len(FEATURES)), np.int32)
    compiled = library() if is_native else None
    if compiled is None:
        return Twin(page.text, title, page.blocks, page.elements).matrix()
    out = np.empty((len(page.blocks), len(FEATURES)), np.int32)
    status = _prototyped(compiled)(
        *(page.text, page.blocks, len(page.blocks), page.elements, len(page.elements)),
        *(title, len(title), _numbers(), out),
    )
    if status:
        raise MemoryError(f"no memory for the features of {len(page.blocks)} blocks")
    return out


@cache
def _numbers() -> Int32s:
    tags = (TAG_IDS[name] for name in ("h1", "h6", "article", "p"))
    widths = (len(GROUPS), len(MARKS), len(FEATURES))
    return np.array(
        [*tags, *widths, list(GROUPS).index("comment"), SIDE_GROUPS, SIDE_MARKS], dtype=np.int32
    )


@cache
def _prototyped(compiled: ctypes.CDLL) -> "ctypes._NamedFuncPointer":
    int32s = np.ctypeslib.ndpointer(np.int32, flags="C")
    number, text = ctypes.c_int64, ctypes.c_char_p
    function = compiled.hw_html_features
    function.restype = ctypes.c_int32
    function.argtypes = [text, int32s, number, int32s, number, text, number, int32s, int32s]
    return function
