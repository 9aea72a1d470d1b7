"""Packing at its door: worked rows, and what it refuses."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from data_pipeline.packing import bytes_before, pack
from data_pipeline.records import Origin, TokenizedDocument

EOT = 2


def make_document(*tokens: int, source: str = "web", num_bytes: int = 10) -> TokenizedDocument:
    array = np.array(tokens, dtype=np.uint16)
    return TokenizedDocument(
        str(tokens), 0, source, "https://a.example", Origin("f", 0), array, num_bytes
    )


def test_rows_of_two_documents() -> None:
    rows = list(pack([make_document(5, 6, 7, EOT), make_document(8, EOT)], seq_len=2, eot_id=EOT))
    assert [row.tokens.tolist() for row in rows] == [[5, 6, 7], [7, EOT, 8], [8, EOT, EOT]]
    spans = [[(s.position, s.length, s.offset) for s in row.spans] for row in rows]
    assert spans == [[(0, 3, 0)], [(0, 2, 2), (2, 1, 0)], [(0, 2, 0)]]
    assert rows[0].tokens.dtype == np.uint16


def test_a_document_that_fills_its_row_leaves_nothing_to_repeat() -> None:
    rows = list(pack([make_document(5, 6, EOT), make_document(8, EOT)], seq_len=2, eot_id=EOT))
    assert [row.tokens.tolist() for row in rows] == [[5, 6, EOT], [8, EOT, EOT]]


def test_rows_come_once_a_block_of_documents_is_there() -> None:
    def documents() -> Iterator[TokenizedDocument]:
        yield make_document(5, 6, 7, EOT)
        raise AssertionError("asked for too early")

    rows = pack(documents(), seq_len=2, eot_id=EOT, block_tokens=4)
    assert next(rows).tokens.tolist() == [5, 6, 7]


def test_a_row_of_no_inputs_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"seq_len=0: a row needs at least one input; use 1 or more"
    ):
        next(pack([make_document(EOT)], seq_len=0, eot_id=EOT))


def test_a_document_of_another_source_is_refused() -> None:
    documents = [make_document(5, EOT), make_document(6, EOT, source="books")]
    with pytest.raises(
        ValueError, match=r"is of source 'books', the rows before it of 'web'; pack each"
    ):
        list(pack(documents, seq_len=8, eot_id=EOT))


def test_a_document_without_tokens_is_refused() -> None:
    empty = replace(make_document(5), tokens=np.array([], dtype=np.uint16))
    with pytest.raises(ValueError, match=r"has no tokens, expected at least end of text"):
        list(pack([empty], seq_len=8, eot_id=EOT))


def test_bytes_are_shared_out_by_tokens() -> None:
    document = make_document(1, 2, 3, EOT, num_bytes=10)
    assert [bytes_before(document, n) for n in range(5)] == [0, 2, 5, 7, 10]
