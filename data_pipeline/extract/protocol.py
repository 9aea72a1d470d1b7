"""What an extractor is, and how text becomes a document."""

import re
from collections.abc import Mapping
from typing import Protocol

from pydantic import PositiveInt

from contracts.config import Config
from data_pipeline.records import Document, Drop, RawRecord

EXTRACT = "extract"
"""Stage of every drop an extractor makes."""
_BLANK_LINES = re.compile(r"\n{3,}")


class PageConfig(Config):
    """What every extractor's config has beside its `kind`."""

    max_page_bytes: PositiveInt = 5 << 20
    """A longer page is dropped (`page_too_large`)."""
    max_depth: PositiveInt = 2000
    """A page whose tags nest deeper is dropped (`page_too_deep`); it can take quadratic time."""


class PageExtractor(Protocol):
    """What a page is extracted with; a `PageConfig` is its own extractor."""

    @property
    def max_page_bytes(self) -> int:
        """As in PageConfig."""

    @property
    def max_depth(self) -> int:
        """As in PageConfig."""

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""


class Extractor(Protocol):
    """Turns a record into a document, or says why there is no text."""

    def extract(self, record: RawRecord) -> Document | Drop:
        """The record's main text."""


def drop_of(record: RawRecord, reason: str, value: float | str | None = None) -> Drop:
    """A drop of stage `extract`."""
    return Drop(
        doc_id=record.doc_id,
        stage=EXTRACT,
        reason=reason,
        value=value,
        source=record.source,
        uri=well_formed(record.uri),
        origin=record.origin,
    )


def document_of(
    record: RawRecord, text: str, metadata: Mapping[str, str] | None = None
) -> Document | Drop:
    """The document of an extracted text; a drop where nothing is left of it.

    Args:
        record: where the text comes from; what it knows goes before what the page says of itself.
        text: the text as the extractor gave it.
        metadata: what the page says of itself.
    """
    text = clean_text(text)
    if not text:
        return drop_of(record, "no_main_text")
    merged = {**(metadata or {}), **record.metadata}
    if record.fetched_at:
        merged["fetched_at"] = record.fetched_at
    return Document(
        doc_id=record.doc_id,
        source=record.source,
        uri=well_formed(record.uri),
        text=text,
        origin=record.origin,
        metadata={name: well_formed(value) for name, value in merged.items()},
    )


def clean_text(text: str) -> str:
    r"""Text with `\n` line ends, no blanks before them, single empty lines, and no edges.

    The characters themselves stay as they are (no Unicode normalisation) but NUL and surrogates,
    which no UTF-8 file can hold.
    """
    text = well_formed(text).replace("\r\n", "\n").replace("\r", "\n")
    text = "\n".join([line.rstrip(" \t\f\v") for line in text.split("\n")])
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip("\n").rstrip()


def well_formed(text: str) -> str:
    """Text that can be written as UTF-8: no NUL, surrogates replaced by U+FFFD."""
    text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
