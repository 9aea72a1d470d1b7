"""The doors between the rooms of the data pipeline: what each hands to the next.

source -> RawRecord -> extract -> Document -> filter -> Verdict -> dedup (Signature, DuplicateOf)
-> tokenise -> TokenizedDocument -> pack -> PackedSample -> shards.

A record or document that goes no further becomes a Drop: nothing vanishes uncounted.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
Measures = Mapping[str, float | str]


@dataclass(frozen=True)
class Origin:
    """Where a record's bytes stand."""

    path: str
    """File as the plan names it: the path below its glob's folder, or in the crawl's listing."""
    offset: int
    """Byte offset of the record in the file (of its gzip member in a compressed WARC); the line or
    row number where the format has no byte offsets."""
    length: int = 0
    """Bytes from there to the end of the record (compressed where the file is); 0 where unknown."""


def make_doc_id(source: str, record_id: str) -> str:
    """The identity of a document: 32 hex digits over its source's name and the record's id."""
    return hashlib.blake2b(f"{source}\0{record_id}".encode(), digest_size=16).hexdigest()


def split_fraction(doc_id: str, section: int = 0) -> float:
    """A number in [0, 1) by document and section alone: below the validation fraction, held out."""
    digest = hashlib.blake2b(f"split\0{doc_id}\0{section}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True)
class WorkUnit:
    """The smallest restartable piece of reading: a file, or a byte range of one."""

    source: str
    """Name of the source in the config; unique."""
    url: str
    path: str
    """What `Origin.path` says of records of this unit."""
    start: int
    """Records whose first byte is at or behind `start` ..."""
    end: int
    """... and before `end` belong to this unit."""
    size_bytes: int
    """Bytes this unit reads, for progress."""
    version: str
    """The file's version (`storage.FileInfo.version`): part of the unit's identity."""


@dataclass(frozen=True)
class RawRecord:
    """One unit of a source as it was read, before extraction."""

    record_id: str
    source: str
    uri: str
    media_type: str
    """`text/html`, `text/plain`, or `application/xhtml+xml` for a book's chapters."""
    payload: bytes
    origin: Origin
    charset: str | None = None
    """As the transport declared it (HTTP header); None when it did not."""
    fetched_at: str | None = None
    """ISO 8601."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the source knows: title, author, licence, ..."""

    @property
    def doc_id(self) -> str:
        """Identity of the document this record becomes."""
        return make_doc_id(self.source, self.record_id)


@dataclass(frozen=True)
class Document:
    """The text of one record."""

    doc_id: str
    source: str
    uri: str
    text: str
    """Unicode, `\n` line ends, paragraphs parted by a blank line, no surrogates and no NUL."""
    origin: Origin
    language: str | None = None
    """ISO 639 code by the language filter; None before it."""
    language_score: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def num_bytes(self) -> int:
        """UTF-8 length of the text; counted once, as each stage asks for it several times."""
        return len(self.text.encode())


@dataclass(frozen=True)
class Drop:
    """A record or document that goes no further, and why."""

    doc_id: str
    stage: str
    """`read`, `extract`, a filter's kind, `dedup`."""
    reason: str
    """A short fixed word (`too_few_words`): counted."""
    value: float | str | None = None
    """The measured value that decided, or a detail of the damage."""
    source: str = ""
    uri: str = ""
    origin: Origin | None = None


@dataclass(frozen=True)
class Verdict:
    """What one filter says of a document."""

    keep: bool
    stage: str
    reason: str | None = None
    value: float | str | None = None


@dataclass(frozen=True)
class Signature:
    """What dedup knows of a document: enough to find its duplicates without its text."""

    doc_id: str
    digest: bytes
    """16 bytes, xxh3-128 of the normalised text."""
    bands: npt.NDArray[np.uint32]
    """(num_hashes,) MinHash values, band after band; empty when the text is too short for
    near-dedup."""


@dataclass(frozen=True)
class DuplicateOf:
    """A document that repeats another, which is kept."""

    doc_id: str
    kept_doc_id: str
    method: str
    """`exact` or `minhash`."""
    similarity: float | None = None
    """Jaccard estimate against the kept document (lower at the end of a chain); None: `exact`."""


@dataclass(frozen=True)
class Section:
    """What of one document goes to one split in one piece: all, or a run of sections."""

    document: Document
    """The document the text was cut from."""
    number: int
    """0 for an undivided document; else the number of the run's first section."""
    text: str
    split: str
    """`train` or `validation`."""

    @property
    def num_bytes(self) -> int:
        """UTF-8 length of the text."""
        document = self.document
        return document.num_bytes if self.text is document.text else len(self.text.encode())


@dataclass(frozen=True)
class TokenizedDocument:
    """A document, or one section of a long one, as token ids."""

    doc_id: str
    section: int
    """0 for an undivided document; else the number of the first section of this run of sections."""
    source: str
    uri: str
    origin: Origin
    tokens: TokenArray
    """(N,), ends in end of text."""
    num_bytes: int
    """UTF-8 length of the text behind the tokens."""


class Span(NamedTuple):
    """A part of a packed row that comes from one document."""

    document: TokenizedDocument
    position: int
    """First token in the row."""
    length: int
    offset: int
    """Place of that first token in the document."""


@dataclass(frozen=True)
class SpanTable:
    """The parts of many rows, as columns: rows are packed and written without an object a part."""

    columns: npt.NDArray[np.int32]
    """(S, 5) row, position, length, document (in `documents`), offset; by row and position."""
    row_ends: Sequence[int]
    """(R + 1,) how many parts the rows up to and with this one have, behind a 0."""
    documents: Sequence[TokenizedDocument]
    """In the order in which they first stand in a row."""


class Spans(Sequence[Span]):
    """The parts of one row, made as they are asked for."""

    __slots__ = ("row", "table")

    def __init__(self, table: SpanTable, row: int) -> None:
        self.table = table
        self.row = row

    def __len__(self) -> int:
        return self.table.row_ends[self.row + 1] - self.table.row_ends[self.row]

    @overload
    def __getitem__(self, index: int) -> Span: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Span, ...]: ...
    def __getitem__(self, index: int | slice) -> Span | tuple[Span, ...]:
        return tuple(self)[index]

    def __iter__(self) -> Iterator[Span]:
        for _, position, length, document, offset in self.columns.tolist():
            yield Span(self.table.documents[document], position, length, offset)

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """(S, 5) of this row."""
        return self.table.columns[self.table.row_ends[self.row] : self.table.row_ends[self.row + 1]]


@dataclass(frozen=True)
class PackedSample:
    """One packed row; a row never mixes sources."""

    source: str
    tokens: TokenArray
    """(seq_len + 1,); positions behind the last span hold end of text and are padding."""
    spans: Spans
    num_bytes: int
    """UTF-8 bytes of text whose tokens are first seen in this row (a document's bytes are spread
    over its tokens; rounding never loses one)."""

    @property
    def segment_lengths(self) -> npt.NDArray[np.int32]:
        """(S,) tokens of each part."""
        return self.spans.columns[:, 2]
