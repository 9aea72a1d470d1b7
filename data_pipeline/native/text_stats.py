"""What text_stats.c, text_words.c and text_lines.c give, typed; None where they are not built."""

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from data_pipeline.native import library
from data_pipeline.native.code_points import MAX_CHARACTERS

IntArray = npt.NDArray[np.int32]
COUNTS = (
    "num_bytes",
    "num_words",
    "num_word_characters",
    "num_alphabetic_words",
    "num_sentence_ends",
    "num_hash_signs",
    "num_ellipses",
    "num_curly_brackets",
    "has_lorem_ipsum",
    "has_odd_lower",
    "num_lines",
    "num_terminated_lines",
    "num_bullet_lines",
    "num_ellipsis_lines",
    "num_javascript_lines",
    "num_line_characters",
    "num_repeated_lines",
    "num_repeated_line_characters",
    "num_paragraphs",
    "num_paragraph_characters",
    "num_repeated_paragraphs",
    "num_repeated_paragraph_characters",
    "num_distinct_words",
    *(f"characters_in_{n}_grams" for n in range(2, 11)),
)
"""Names of the places in `TextStats.counts`, in the order of text_stats.c."""


@dataclass(frozen=True)
class TextStats:
    """What one pass over a text counted."""

    counts: dict[str, int]
    """By the names of COUNTS."""
    line_lengths: IntArray
    """(L,) characters of each line that holds more than blanks, stripped."""
    line_words: IntArray
    """(L,) its words."""
    distinct_words: IntArray
    """(V, 2) start and end of each word where it first stands."""


@cache
def _compiled() -> ctypes.CDLL | None:
    found = library()
    if found is None:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    found.headwater_text_stats.argtypes = [pointer, number, *[pointer] * 5]
    found.headwater_text_stats.restype = number
    found.headwater_listed_words.argtypes = [
        *(pointer, pointer, number, pointer, pointer),
        *(pointer, pointer, number, pointer),
    ]
    found.headwater_listed_words.restype = number
    found.headwater_remove_lines.argtypes = [
        *(pointer, number, pointer, number, number, number, pointer, pointer)
    ]
    found.headwater_remove_lines.restype = number
    return found


def can_count(num_characters: int) -> bool:
    """Whether the compiled functions of this module take a text of that length."""
    return num_characters <= MAX_CHARACTERS and _compiled() is not None


def text_stats(codes: bytes, flags: npt.NDArray[np.uint16]) -> TextStats:
    """What the filters count in a text, given as code points; `flags` covers them."""
    compiled = _compiled()
    assert compiled is not None
    size = len(codes) // 4
    counts = np.zeros(len(COUNTS), dtype=np.int64)
    lines = np.empty((2, size // 2 + 1), dtype=np.int32)
    distinct = np.empty((size, 2), dtype=np.int32)
    failed = compiled.headwater_text_stats(
        codes,
        size,
        flags.ctypes.data,
        counts.ctypes.data,
        lines[0].ctypes.data,
        lines[1].ctypes.data,
        distinct.ctypes.data,
    )
    if failed:
        raise MemoryError(f"no memory to count a text of {size} characters")
    found = dict(zip(COUNTS, counts.tolist(), strict=True))
    num_lines = found["num_lines"]
    return TextStats(
        counts=found,
        line_lengths=lines[0, :num_lines],
        line_words=lines[1, :num_lines],
        distinct_words=distinct[: found["num_distinct_words"]],
    )


@dataclass(frozen=True)
class ListedWords:
    """Words to look for: lower case, at most 32 characters each, at most 2,048 of them."""

    codes: bytes
    """Code points of all words, one behind the other."""
    places: IntArray
    """(W, 2) start and end of each."""


def listed_words(
    codes: bytes,
    words: IntArray,
    listed: ListedWords,
    flags: npt.NDArray[np.uint16],
    lower: npt.NDArray[np.uint32],
) -> npt.NDArray[np.uint8]:
    """(W,) 1 for each listed word that stands among the `words` of a text."""
    compiled = _compiled()
    assert compiled is not None
    hits = np.zeros(len(listed.places), dtype=np.uint8)
    failed = compiled.headwater_listed_words(
        codes,
        words.ctypes.data,
        len(words),
        flags.ctypes.data,
        lower.ctypes.data,
        listed.codes,
        listed.places.ctypes.data,
        len(listed.places),
        hits.ctypes.data,
    )
    assert not failed, len(listed.places)
    return hits


def without_lines(
    codes: bytes,
    flags: npt.NDArray[np.uint16],
    *,
    min_words: int,
    removes_unterminated: bool,
    removes_javascript: bool,
) -> tuple[npt.NDArray[np.uint32], int, int]:
    """Code points of a text without the lines that C4 removes, their number and characters."""
    compiled = _compiled()
    assert compiled is not None
    size = len(codes) // 4
    out = np.empty(size + 1, dtype=np.uint32)
    removed = np.zeros(2, dtype=np.int64)
    length = compiled.headwater_remove_lines(
        codes,
        size,
        flags.ctypes.data,
        min_words,
        removes_unterminated,
        removes_javascript,
        out.ctypes.data,
        removed.ctypes.data,
    )
    return out[:length], int(removed[0]), int(removed[1])
