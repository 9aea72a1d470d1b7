"""Text blocks and block elements of a serialised page, by html_scan.c or its twin in Python.

A page that an HTML parser wrote out is balanced, with quoted attributes, so one pass over its bytes
is enough. Blocks are the texts between the edges of block elements (and empty lines); the blocks of
an element are a range, since both stand in the order of the page.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from data_pipeline.native import library
from data_pipeline.native.html_names import HIDDEN_MARK, TAG_IDS, element_names
from data_pipeline.native.html_scan_twin import BLOCK_COLUMNS, ELEMENT_COLUMNS, Twin, unescaped

Int32s = npt.NDArray[np.int32]
MAX_PAGE_BYTES = 1 << 30
_TOO_DEEP = 1
_FNV_START = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_ALL_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class ScannedPage:
    """What a page holds.

    Attributes:
        text: UTF-8 of all blocks, end to end.
        blocks: (blocks, BLOCK_COLUMNS) int32.
        elements: (elements, ELEMENT_COLUMNS) int32; the first is the page itself.
        title: the page's title, UTF-8, blanks folded.
        language: what the html element says.
    """

    text: bytes
    blocks: Int32s
    elements: Int32s
    title: bytes
    language: bytes


@dataclass(frozen=True, slots=True)
class HashTable:
    """{hash: row of numbers} as arrays, for C; a hash of 0 is an empty place."""

    hashes: npt.NDArray[np.uint64]
    values: Int32s

    @property
    def mask(self) -> int:
        return len(self.hashes) - 1


class PageScanner:
    """Scans pages with one set of words."""

    def __init__(self, words: Mapping[str, tuple[int, int]], *, is_native: bool = True) -> None:
        """Take the words.

        Args:
            words: {word: (bits of its groups, weight)}.
            is_native: whether the compiled scanner is taken where there is one.
        """
        self._names = {name.encode(): row for name, row in element_names().items()}
        self._words = {word.encode(): row for word, row in words.items()}
        self._library = library() if is_native else None
        self._name_table = hash_table(self._names)
        self._word_table = hash_table(self._words)

    def scan(self, page: bytes, max_depth: int) -> ScannedPage | None:
        """Blocks and elements of a serialised page; None where it nests deeper than `max_depth`."""
        if len(page) > MAX_PAGE_BYTES:
            raise ValueError(f"page of {len(page)} bytes: at most {MAX_PAGE_BYTES} can be scanned")
        if self._library is None:
            return self._by_twin(page, max_depth)
        return self._by_library(self._library, page, max_depth)

    def _by_twin(self, page: bytes, max_depth: int) -> ScannedPage | None:
        twin = Twin(page, self._names, self._words, max_depth)
        if not twin.run():
            return None
        return ScannedPage(
            bytes(twin.text),
            np.array(twin.blocks, np.int32).reshape(-1, BLOCK_COLUMNS),
            np.array(twin.elements, np.int32).reshape(-1, ELEMENT_COLUMNS),
            twin.title or b"",
            twin.language,
        )

    def _by_library(self, compiled: ctypes.CDLL, page: bytes, max_depth: int) -> ScannedPage | None:
        capacity = page.count(b"<") + 2
        text = np.empty(len(page) + 1, np.uint8)
        blocks = np.empty((capacity, BLOCK_COLUMNS), np.int32)
        elements = np.empty((capacity, ELEMENT_COLUMNS), np.int32)
        results = np.zeros(7, np.int64)
        names, words = self._name_table, self._word_table
        status = _prototyped(compiled)(
            *(page, len(page), names.hashes, names.values, names.mask),
            *(words.hashes, words.values, words.mask, _numbers(), max_depth, capacity),
            *(text, blocks, elements, results),
        )
        if status == _TOO_DEEP:
            return None
        if status:
            raise MemoryError(f"no memory to scan a page of {len(page)} bytes")
        num_text, num_blocks, num_elements, *places = (int(number) for number in results)
        return ScannedPage(
            text[:num_text].tobytes(),
            blocks[:num_blocks],
            elements[:num_elements],
            b" ".join(unescaped(page[places[0] : places[1]]).split()),
            page[places[2] : places[3]],
        )


def hash_table(rows: Mapping[bytes, tuple[int, ...]]) -> HashTable:
    """The table of {name: numbers}, at most half full."""
    width = len(next(iter(rows.values()))) if rows else 1
    size = 1 << (2 * len(rows) + 1).bit_length()
    hashes = np.zeros(size, np.uint64)
    values = np.zeros((size, width), np.int32)
    for name, row in rows.items():
        hashed = fnv(name)
        place = hashed & (size - 1)
        while hashes[place]:
            place = (place + 1) & (size - 1)
        hashes[place] = hashed
        values[place] = row
    return HashTable(hashes, values)


def fnv(name: bytes) -> int:
    """FNV-1a, 64 bits; never 0."""
    hashed = _FNV_START
    for byte in name:
        hashed = (hashed ^ byte) * _FNV_PRIME & _ALL_BITS
    return hashed or 1


@cache
def _numbers() -> Int32s:
    br, title, html, body = (TAG_IDS[name] for name in ("br", "title", "html", "body"))
    return np.array([br, title, html, HIDDEN_MARK, body], dtype=np.int32)


@cache
def _prototyped(compiled: ctypes.CDLL) -> "ctypes._NamedFuncPointer":
    uint64s = np.ctypeslib.ndpointer(np.uint64, flags="C")
    int32s = np.ctypeslib.ndpointer(np.int32, flags="C")
    bytes_out = np.ctypeslib.ndpointer(np.uint8, flags="C")
    results = np.ctypeslib.ndpointer(np.int64, flags="C")
    number = ctypes.c_int64
    function = compiled.hw_html_scan
    function.restype = ctypes.c_int32
    function.argtypes = [
        *(ctypes.c_char_p, number, uint64s, int32s, number, uint64s, int32s, number),
        *(int32s, number, number, bytes_out, int32s, int32s, results),
    ]
    return function
