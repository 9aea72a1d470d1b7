"""Where gzip members may begin in a buffer, found by their magic bytes."""

import ctypes
from collections.abc import Callable

from data_pipeline.native import library

GZIP_MAGIC = b"\x1f\x8b\x08"


def gzip_magic_finder() -> Callable[[bytes, int], int]:
    """A function of a buffer and a start that gives the place of the next magic, or -1."""
    found = library()
    if found is None:
        return find_gzip_magic
    function = found.headwater_find_gzip_magic
    function.restype = ctypes.c_int64
    function.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64]
    return lambda data, start: int(function(data, start, len(data)))


def find_gzip_magic(data: bytes, start: int) -> int:
    """The twin in Python."""
    return data.find(GZIP_MAGIC, start)
