"""Which text goes to training and which is held out: whole short documents, sections of long ones.

A document goes by the hash of its doc_id. A long one (a book) is cut into sections at paragraph
breaks and each section goes by the hash of doc_id and section number, so that five books still give
an evaluation set. Neighbouring sections of one split are joined again: the model sees no seam where
there need be none.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated

from pydantic import Field, PositiveInt

from contracts.config import Config
from data_pipeline.records import Document, Section, split_fraction

TRAIN = "train"
VALIDATION = "validation"
_BREAKS = (b"\n\n", b"\n", b" ")


class SplitConfig(Config):
    """What is held out for evaluation."""

    validation_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of documents (and of sections of long documents) that is never trained on; 1 makes a
    dataset for evaluation alone."""
    section_bytes: PositiveInt = 8192
    """UTF-8 bytes; a longer document is cut into sections of at most this size, each in a split of
    its own."""


def split_name(doc_id: str, section: int, validation_fraction: float) -> str:
    """`train` or `validation`; depends on nothing but the arguments."""
    held_out = split_fraction(doc_id, section) < validation_fraction
    return VALIDATION if held_out else TRAIN


def cut_sections(text: str, section_bytes: int) -> list[str]:
    """`text` in pieces of at most `section_bytes` (UTF-8) that joined give the text again.

    A cut stands behind the last paragraph break of the second half of what fits; where there is
    none behind a line end, else a blank, else between any two characters (a character larger than a
    section stays whole).
    """
    data = text.encode()
    pieces = []
    start = 0
    while len(data) - start > section_bytes:
        cut = _cut(data, start, section_bytes)
        pieces.append(data[start:cut].decode())
        start = cut
    if start < len(data) or not pieces:
        pieces.append(data[start:].decode())
    return pieces


def _cut(data: bytes, start: int, section_bytes: int) -> int:
    end = start + section_bytes
    for mark in _BREAKS:
        found = data.rfind(mark, start + section_bytes // 2, end)
        if found >= 0:
            return found + len(mark)
    while end > start and data[end] & 0xC0 == 0x80:  # inside a character
        end -= 1
    if end > start:
        return end
    end = start + 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return end


def split_document(document: Document, config: SplitConfig) -> list[Section]:
    """The runs of a document's sections, in order; each goes to one split."""
    if document.num_bytes <= config.section_bytes:
        split = split_name(document.doc_id, 0, config.validation_fraction)
        return [Section(document, 0, document.text, split)]
    pieces = cut_sections(document.text, config.section_bytes)
    names = [
        split_name(document.doc_id, number, config.validation_fraction)
        for number in range(len(pieces))
    ]
    runs = []
    for split, numbers in groupby(range(len(pieces)), key=lambda number: names[number]):
        run = list(numbers)
        text = "".join(pieces[number] for number in run)
        runs.append(Section(document, run[0], text, split))
    return runs


def sections_of(
    documents: Iterable[Document], split: str, config: SplitConfig
) -> Iterator[Section]:
    """The sections of one split, in the order of the documents."""
    for document in documents:
        for section in split_document(document, config):
            if section.split == split:
                yield section
