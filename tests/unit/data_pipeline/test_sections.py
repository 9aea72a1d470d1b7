"""Sections: where a long text is cut, and which split each part goes to."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.records import Document, Origin, split_fraction
from data_pipeline.sections import (
    TRAIN,
    VALIDATION,
    SplitConfig,
    cut_sections,
    sections_of,
    split_document,
)


def make_document(text: str, number: int = 0) -> Document:
    return Document(f"{number:032x}", "books", "file:///b", text, Origin("b", 0))


@given(st.text(st.sampled_from("ab \n漢é🎉"), max_size=300), st.integers(1, 60))
def test_sections_joined_give_the_text_and_keep_to_the_size(text: str, size: int) -> None:
    pieces = cut_sections(text, size)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= max(size, 4) for piece in pieces)
    assert all(pieces) or pieces == [""]


def test_cuts_stand_behind_paragraphs_then_lines_then_blanks_then_characters() -> None:
    assert cut_sections("aaa bb\n\ncc\ndd ee", 12) == ["aaa bb\n\n", "cc\ndd ee"]
    assert cut_sections("aa bb cc\ndd ee", 12) == ["aa bb cc\n", "dd ee"]
    assert cut_sections("aaaaaaaa bbbbbb", 12) == ["aaaaaaaa ", "bbbbbb"]
    assert cut_sections("漢漢漢", 4) == ["漢", "漢", "漢"]
    assert cut_sections("漢漢", 1) == ["漢", "漢"]


@given(st.integers(0, 50), st.floats(0, 0.9))
def test_sections_of_a_split_joined_again_are_the_text(number: int, fraction: float) -> None:
    text = "".join(f"Paragraph {i} of some words.\n\n" for i in range(60))
    config = SplitConfig(validation_fraction=fraction, section_bytes=100)
    document = make_document(text, number)
    runs = split_document(document, config)
    assert "".join(run.text for run in runs) == text
    assert all(a.split != b.split and a.number < b.number for a, b in pairwise(runs))
    pieces = cut_sections(text, 100)
    for run, end in zip(runs, [*(run.number for run in runs[1:]), len(pieces)], strict=True):
        assert run.text == "".join(pieces[run.number : end])
        for section in range(run.number, end):
            held_out = split_fraction(document.doc_id, section) < fraction
            assert run.split == (VALIDATION if held_out else TRAIN)


def test_a_short_document_is_one_section_and_goes_by_its_hash() -> None:
    config = SplitConfig(validation_fraction=0.5)
    for number in range(20):
        (run,) = split_document(make_document("text", number), config)
        assert run.number == 0
        assert run.split == (VALIDATION if split_fraction(f"{number:032x}") < 0.5 else TRAIN)


def test_five_books_give_an_evaluation_set() -> None:
    config = SplitConfig()
    books = [make_document("A line of a book.\n\n" * 30_000, number) for number in range(5)]
    held_out = list(sections_of(books, VALIDATION, config))
    trained = list(sections_of(books, TRAIN, config))
    assert held_out
    assert len({section.document.doc_id for section in trained}) == 5
    assert sum(len(s.text) for s in [*held_out, *trained]) == sum(len(b.text) for b in books)


@pytest.mark.parametrize("text", ["", "one"])
def test_nothing_is_held_out_at_fraction_zero(text: str) -> None:
    (run,) = split_document(make_document(text), SplitConfig(validation_fraction=0))
    assert (run.split, run.text) == (TRAIN, text)
