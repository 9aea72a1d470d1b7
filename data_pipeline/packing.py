"""Tokenised documents, end to end, cut into rows of seq_len + 1 tokens.

A document begins in the row where the one before it ended. One that goes on in the next row repeats
one token there: the last of a row is the first of the next, so that every token but a document's
first is a target exactly once. Only the last row is padded, with end of text, and no span covers
the padding.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from data_pipeline.records import PackedSample, Span, TokenArray, TokenizedDocument


def pack(
    documents: Iterable[TokenizedDocument], *, seq_len: int, eot_id: int
) -> Iterator[PackedSample]:
    """Rows of `seq_len + 1` tokens from documents of one source, in their order.

    Raises:
        ValueError: seq_len is below 1, a document is empty or not of the first one's source.
    """
    if seq_len < 1:
        raise ValueError(f"seq_len={seq_len}: a row needs at least one input; use 1 or more")
    row: _Row | None = None
    for document in documents:
        if row is None:
            row = _Row(document.source, seq_len + 1, eot_id, document.tokens.dtype)
        _check(document, row.source)
        yield from row.add(document)
    if row is not None:
        yield from row.rest()


def _check(document: TokenizedDocument, source: str) -> None:
    if len(document.tokens) == 0:
        raise ValueError(
            f"document {document.doc_id} ({document.uri}) has no tokens, "
            "expected at least end of text; pack what tokenise gives"
        )
    if document.source != source:
        raise ValueError(
            f"document {document.doc_id} is of source {document.source!r}, "
            f"the rows before it of {source!r}; pack each source by itself"
        )


class _Row:
    """The row being filled."""

    def __init__(self, source: str, num_tokens: int, eot_id: int, dtype: np.dtype) -> None:
        self.source = source
        self._size = num_tokens
        self._eot_id = eot_id
        self._dtype = dtype
        self._clear()

    def _clear(self) -> None:
        self._tokens: TokenArray = np.empty(self._size, dtype=self._dtype)
        self._spans: list[Span] = []
        self._filled = 0
        self._num_bytes = 0

    def add(self, document: TokenizedDocument) -> Iterator[PackedSample]:
        """Rows that are full once `document` stands behind what came before."""
        if len(document.tokens) < self._size - self._filled:
            self._place(document, len(document.tokens), 0)
            self._num_bytes += document.num_bytes
        else:
            yield from self._add_in_parts(document)

    def _place(self, document: TokenizedDocument, length: int, offset: int) -> None:
        start = self._filled
        self._filled = start + length
        self._tokens[start : self._filled] = document.tokens[offset : offset + length]
        self._spans.append(Span(document, start, length, offset))

    def _add_in_parts(self, document: TokenizedDocument) -> Iterator[PackedSample]:
        num_tokens = len(document.tokens)
        offset = seen = 0
        while seen < num_tokens:
            length = min(num_tokens - offset, self._size - self._filled)
            end = offset + length
            self._place(document, length, offset)
            self._num_bytes += bytes_before(document, end) - bytes_before(document, seen)
            seen = end
            offset = end - 1
            if self._filled == self._size:
                yield from self.rest()

    def rest(self) -> Iterator[PackedSample]:
        """The row as it stands, if anything is in it; the next one begins empty."""
        if self._spans:
            self._tokens[self._filled :] = self._eot_id
            yield PackedSample(self.source, self._tokens, tuple(self._spans), self._num_bytes)
            self._clear()


def bytes_before(document: TokenizedDocument, num_tokens: int) -> int:
    """The share of a document's text bytes that belongs to its first `num_tokens` tokens."""
    return document.num_bytes * num_tokens // len(document.tokens)
