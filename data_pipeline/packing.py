"""Tokenised documents, end to end, cut into rows of seq_len + 1 tokens.

A document begins in the row where the one before it ended. One that goes on in the next row repeats
one token there: the last of a row is the first of the next, so that every token but a document's
first is a target exactly once. Only the last row is padded, with end of text, and no span covers
the padding.

Rows are cut a block at a time, with numpy: nothing is done for each part of a row alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_pipeline.records import PackedSample, Spans, SpanTable, TokenArray, TokenizedDocument

BLOCK_TOKENS = 1 << 18
IntArray = npt.NDArray[np.int64]


def pack(
    documents: Iterable[TokenizedDocument],
    *,
    seq_len: int,
    eot_id: int,
    block_tokens: int = BLOCK_TOKENS,
) -> Iterator[PackedSample]:
    """Rows of `seq_len + 1` tokens from documents of one source, in their order.

    Args:
        documents: taken until they hold `block_tokens`, then their full rows are given.
        seq_len: inputs of a row.
        eot_id: fills up the last row.
        block_tokens: tokens cut at once; the rows do not depend on it.

    Raises:
        ValueError: seq_len is below 1, a document is empty or not of the first one's source.
    """
    if seq_len < 1:
        raise ValueError(f"seq_len={seq_len}: a row needs at least one input; use 1 or more")
    block = _Block([], 0, 0)
    for more in _batches(documents, max(block_tokens, seq_len + 1)):
        block = block.with_more(more)
        cut = _Cut(block, seq_len + 1)
        yield from cut.rows(cut.num_full_rows)
        block = cut.rest()
    if block.documents:
        cut = _Cut(block, seq_len + 1, eot_id)
        yield from cut.rows(len(cut.begins))


def _batches(
    documents: Iterable[TokenizedDocument], num_tokens: int
) -> Iterator[list[TokenizedDocument]]:
    batch: list[TokenizedDocument] = []
    source: str | None = None
    found = 0
    for document in documents:
        if source is None:
            source = document.source
        size = len(document.tokens)
        if size == 0 or document.source != source:
            raise _error(document, source)
        batch.append(document)
        found += size
        if found >= num_tokens:
            yield batch
            batch, found = [], 0
    if batch:
        yield batch


def _error(document: TokenizedDocument, source: str) -> ValueError:
    if len(document.tokens) == 0:
        return ValueError(
            f"document {document.doc_id} ({document.uri}) has no tokens, "
            "expected at least end of text; pack what tokenise gives"
        )
    return ValueError(
        f"document {document.doc_id} is of source {document.source!r}, "
        f"the rows before it of {source!r}; pack each source by itself"
    )


@dataclass(frozen=True)
class _Block:
    """Documents from which rows are cut next."""

    documents: list[TokenizedDocument]
    offset: int
    """Token of the first document at which the first row begins."""
    seen: int
    """Tokens of the first document that earlier rows hold."""

    def with_more(self, documents: list[TokenizedDocument]) -> "_Block":
        return _Block(self.documents + documents, self.offset, self.seen)


class _Cut:
    """A block, cut into rows; places are counted from the block's first document's first token."""

    def __init__(self, block: _Block, num_tokens: int, pad_id: int | None = None) -> None:
        self._block = block
        self._size = num_tokens
        parts: list[TokenArray] = [document.tokens for document in block.documents]
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        self._ends: IntArray = np.cumsum(lengths)
        self._lengths = lengths
        total = int(self._ends[-1])
        self.begins = self._row_begins(total)
        """Where each row begins; the last one may be short."""
        self.num_full_rows = len(self.begins) - (self.begins[-1] + num_tokens > total)
        if pad_id is not None:
            missing = self.begins[-1] + num_tokens - total
            parts.append(np.full(missing, pad_id, dtype=parts[0].dtype))
        joined: Any = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self._tokens: TokenArray = joined

    def _row_begins(self, total: int) -> list[int]:
        """On the last token of the row before, or behind it where a document ends there."""
        ends = set(self._ends.tolist())
        begins = []
        begin = self._block.offset
        while True:
            begins.append(begin)
            end = begin + self._size
            if end >= total:
                return begins
            begin = end if end in ends else end - 1

    def rows(self, count: int) -> Iterator[PackedSample]:
        """The first `count` rows."""
        if count == 0:
            return
        begins = np.array(self.begins[:count])
        ends = np.minimum(begins + self._size, self._ends[-1])
        table = self._spans(begins, ends)
        num_bytes = np.diff(self._bytes_before(ends), prepend=self._bytes_seen()).tolist()
        source, size, tokens = self._block.documents[0].source, self._size, self._tokens
        for row, begin in enumerate(self.begins[:count]):
            yield PackedSample(
                source, tokens[begin : begin + size], Spans(table, row), num_bytes[row]
            )

    def _spans(self, begins: IntArray, ends: IntArray) -> SpanTable:
        """The parts of the rows from `begins` to `ends`."""
        first = np.searchsorted(self._ends, begins, side="right")
        last = np.searchsorted(self._ends, ends, side="left")
        counts = last - first + 1
        row_ends = np.concatenate([[0], np.cumsum(counts)])
        row = np.repeat(np.arange(len(begins)), counts)
        document = np.arange(row_ends[-1]) - np.repeat(row_ends[:-1] - first, counts)
        document_begins = (self._ends - self._lengths)[document]
        part_begins = np.maximum(document_begins, begins[row])
        part_ends = np.minimum(self._ends[document], ends[row])
        columns = np.empty((len(row), 5), dtype="<i4")
        columns[:, 0] = row
        columns[:, 1] = part_begins - begins[row]
        columns[:, 2] = part_ends - part_begins
        columns[:, 3] = document
        columns[:, 4] = part_begins - document_begins
        return SpanTable(columns, row_ends.tolist(), self._block.documents)

    def _bytes_seen(self) -> int:
        return bytes_before(self._block.documents[0], self._block.seen)

    def _bytes_before(self, places: IntArray) -> IntArray:
        """Bytes of text in front of each place, of a document in part where it stands in one."""
        sizes = np.array([document.num_bytes for document in self._block.documents])
        document = np.searchsorted(self._ends, places, side="left")
        within = places - (self._ends - self._lengths)[document]
        part = sizes[document] * within // self._lengths[document]
        found: IntArray = (np.cumsum(sizes) - sizes)[document] + part
        return found

    def rest(self) -> _Block:
        """What the full rows leave."""
        if self.num_full_rows == 0:
            return self._block
        if self.num_full_rows == len(self.begins):
            return _Block([], 0, 0)  # the last row ends with the last document
        begin, seen = self.begins[-1], self.begins[-2] + self._size
        number = int(np.searchsorted(self._ends, begin, side="right"))
        first = int(self._ends[number] - self._lengths[number])
        return _Block(self._block.documents[number:], begin - first, seen - first)


def bytes_before(document: TokenizedDocument, num_tokens: int) -> int:
    """The share of a document's text bytes that belongs to its first `num_tokens` tokens."""
    return document.num_bytes * num_tokens // len(document.tokens)
