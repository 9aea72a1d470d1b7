"""Packing loses no token: every one but a document's first is a target exactly once."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.packing import pack
from data_pipeline.records import Origin, PackedSample, TokenizedDocument

EOT = 2


def make_document(number: int, num_tokens: int, num_bytes: int = 0) -> TokenizedDocument:
    """A document whose tokens can be told from those of any other."""
    tokens = np.arange(num_tokens, dtype=np.uint32) + 1000 * (number + 1)
    tokens[-1] = EOT
    return TokenizedDocument(
        f"{number:032x}", 0, "web", f"u{number}", Origin("f", number), tokens, num_bytes
    )


documents_of_any_size = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 500)), max_size=12
).map(lambda sizes: [make_document(n, tokens, size) for n, (tokens, size) in enumerate(sizes)])
seq_lens = st.integers(1, 17)


def targets_of(rows: Sequence[PackedSample]) -> list[tuple[str, int]]:
    """(document, place of the token in it) of every target."""
    return [
        (span.document.doc_id, span.offset + i)
        for row in rows
        for span in row.spans
        for i in range(1, span.length)
    ]


@given(documents_of_any_size, seq_lens)
def test_every_token_but_a_documents_first_is_a_target_once(
    documents: list[TokenizedDocument], seq_len: int
) -> None:
    rows = list(pack(documents, seq_len=seq_len, eot_id=EOT))
    expected = [(d.doc_id, i) for d in documents for i in range(1, len(d.tokens))]
    assert targets_of(rows) == expected


@given(documents_of_any_size, seq_lens)
def test_spans_say_which_token_of_which_document_stands_where(
    documents: list[TokenizedDocument], seq_len: int
) -> None:
    for row in pack(documents, seq_len=seq_len, eot_id=EOT):
        end = 0
        for span in row.spans:
            assert span.position == end
            assert span.length >= 1
            end += span.length
            part = span.document.tokens[span.offset : span.offset + span.length]
            np.testing.assert_array_equal(row.tokens[span.position : end], part)
        assert (row.tokens[end:] == EOT).all()
        assert len(row.tokens) == seq_len + 1
        assert row.segment_lengths.sum() == end


@given(documents_of_any_size, seq_lens)
def test_only_the_last_row_is_padded(documents: list[TokenizedDocument], seq_len: int) -> None:
    rows = list(pack(documents, seq_len=seq_len, eot_id=EOT))
    assert bool(rows) == bool(documents)
    for row in rows[:-1]:
        assert row.segment_lengths.sum() == seq_len + 1
    if rows:
        assert rows[-1].spans


@given(documents_of_any_size, seq_lens)
def test_bytes_are_spread_over_rows_without_loss(
    documents: list[TokenizedDocument], seq_len: int
) -> None:
    rows = list(pack(documents, seq_len=seq_len, eot_id=EOT))
    assert sum(row.num_bytes for row in rows) == sum(d.num_bytes for d in documents)
    assert all(row.num_bytes >= 0 for row in rows)


@given(documents_of_any_size, seq_lens)
def test_a_document_that_goes_on_repeats_one_token(
    documents: list[TokenizedDocument], seq_len: int
) -> None:
    rows = list(pack(documents, seq_len=seq_len, eot_id=EOT))
    seen: Counter[tuple[str, int]] = Counter()
    for row in rows:
        for span in row.spans:
            for i in range(span.length):
                seen[span.document.doc_id, span.offset + i] += 1
    for before, after in pairwise(rows):
        last, first = before.spans[-1], after.spans[0]
        if last.document is first.document:
            assert first.offset == last.offset + last.length - 1
            assert after.tokens[0] == before.tokens[-1]
            seen[first.document.doc_id, first.offset] -= 1
        else:
            assert first.offset == 0
            assert last.offset + last.length == len(last.document.tokens)
    assert set(seen.values()) <= {1}
    assert len(seen) == sum(len(d.tokens) for d in documents)


@given(documents_of_any_size, seq_lens, st.integers(1, 60))
def test_rows_do_not_depend_on_what_is_cut_at_once(
    documents: list[TokenizedDocument], seq_len: int, block_tokens: int
) -> None:
    rows = pack(documents, seq_len=seq_len, eot_id=EOT)
    blocks = pack(documents, seq_len=seq_len, eot_id=EOT, block_tokens=block_tokens)
    for one, other in zip(rows, blocks, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        assert one.num_bytes == other.num_bytes
        assert [(s.document.doc_id, *s[1:]) for s in one.spans] == [
            (s.document.doc_id, *s[1:]) for s in other.spans
        ]
