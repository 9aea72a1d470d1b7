"""What text_normal.c gives, typed; callers ask `is_built` first."""

import ctypes
from functools import cache

import numpy as np
import numpy.typing as npt

from data_pipeline.native import library

NOT_ALONE = -1
"""In a table of normal forms: the character's form depends on those around it."""
LONGEST_EXPANSION = 3
"""Characters that one character's form may have in the table."""
_BYTES_PER_CHARACTER = 15


@cache
def _compiled() -> ctypes.CDLL | None:
    found = library()
    if found is None:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    found.headwater_normal_form.argtypes = [pointer, number, pointer, pointer, pointer]
    found.headwater_normal_form.restype = number
    found.headwater_shingle_hashes.argtypes = [pointer, number, ctypes.c_int32, pointer]
    found.headwater_shingle_hashes.restype = number
    return found


def is_built() -> bool:
    """Whether the functions below can be called."""
    return _compiled() is not None


def normal_form(
    codes: bytes, forms: npt.NDArray[np.int32], expansions: npt.NDArray[np.int32]
) -> bytes | None:
    """UTF-8 of the normal form of a text given as code points, which `forms` covers.

    None where a character of it has no form of its own.
    """
    compiled = _compiled()
    assert compiled is not None
    size = len(codes) // 4
    out = np.empty(size * _BYTES_PER_CHARACTER, dtype=np.uint8)
    length = compiled.headwater_normal_form(
        codes, size, forms.ctypes.data, expansions.ctypes.data, out.ctypes.data
    )
    return None if length < 0 else out[:length].tobytes()


def shingle_hashes(normal: bytes, ngram_words: int) -> npt.NDArray[np.uint64]:
    """(S,) hash of each run of words of a normal form in UTF-8."""
    compiled = _compiled()
    assert compiled is not None
    hashes = np.empty(len(normal) // 2 + 1, dtype=np.uint64)
    count = compiled.headwater_shingle_hashes(normal, len(normal), ngram_words, hashes.ctypes.data)
    return hashes[:count]
