"""Cuts a file of one sentence a line, without boundaries, into documents at paragraph-like breaks.

The first release of BookCorpus is such a file: `books_large_p1.txt` and `_p2.txt`, tokenised in the
manner of the Penn Treebank (quotes as `` and ''). The best place to cut is before a chapter's
heading, the next best between two sentences where no quotation is open. A document never crosses
the end of a byte range.
"""

import re
from collections.abc import Iterator
from typing import IO

HEADING = re.compile(
    rb"^\s*(chapter|part|book|prologue|epilogue|letter)?\s*"
    rb"([ivxlc]+|\d+|one|two|three|four|five|six|seven|eight|nine|ten)?\s*[.:]?\s*$"
)
SEARCH_FROM = 0.8
"""A heading is looked for from this share of the size on."""
SEARCH_TO = 1.25
"""Behind this share of the size a document ends at any sentence."""
MAX_LINE_BYTES = 1 << 20


def documents_of_lines(
    stream: IO[bytes], *, start: int, end: int, document_bytes: int
) -> Iterator[tuple[int, bytes]]:
    """Byte offset and bytes of each document whose first line begins in [start, end).

    Args:
        stream: seekable.
        start: first byte of the range; a line that begins before it belongs to the range before.
        end: lines that begin there or behind it belong to the next range.
        document_bytes: size to aim at.
    """
    lines: list[bytes] = []
    size = 0
    begin = start
    is_quoting = False
    for offset, line in _lines(stream, start, end):
        if lines and _ends_before(line, size / document_bytes, is_quoting=is_quoting):
            yield begin, b"".join(lines)
            lines, size = [], 0
        if not lines:
            begin, is_quoting = offset, False
        lines.append(line)
        size += len(line)
        opened, closed = line.rfind(b"``"), line.rfind(b"''")
        if opened != closed:
            is_quoting = opened > closed
    if lines:
        yield begin, b"".join(lines)


def _ends_before(line: bytes, share: float, *, is_quoting: bool) -> bool:
    if share < SEARCH_FROM:
        return False
    if share >= SEARCH_TO or (line.strip() and HEADING.match(line) is not None):
        return True
    return share >= 1 and not is_quoting


def _lines(stream: IO[bytes], start: int, end: int) -> Iterator[tuple[int, bytes]]:
    offset = start
    if start > 0:
        stream.seek(start - 1)
        offset = start - 1 + len(stream.readline(MAX_LINE_BYTES))
    else:
        stream.seek(0)
    while offset < end:
        line = stream.readline(MAX_LINE_BYTES)
        if not line:
            return
        yield offset, line
        offset += len(line)
