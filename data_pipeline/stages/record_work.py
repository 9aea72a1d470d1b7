"""What the map stage does with the records of one unit, in batches that know their place.

The same in the task's own process and in a child that may have to be replaced: what comes out
depends on the unit and the config, not on where one batch ends or a child begins.
"""

import logging
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from contracts.errors import DataError
from data_pipeline.dedup import DedupConfig
from data_pipeline.documents import TEXT_SAMPLE_CHARACTERS, StoredDocument, StoredDrop
from data_pipeline.extract import EXTRACT, ExtractorConfig, build_extractor
from data_pipeline.extract.charset import charset_of, decoded
from data_pipeline.extract.protocol import well_formed
from data_pipeline.filters import FilterChain, FilterConfig, OptOutConfig, PiiConfig
from data_pipeline.records import (
    Document,
    Drop,
    Measures,
    Origin,
    RawRecord,
    Signature,
    WorkUnit,
    make_doc_id,
)
from data_pipeline.sources import SourceConfig
from data_pipeline.sources.protocol import READ, RECORD_TYPE

logger = logging.getLogger(__name__)

BATCH_RECORDS = 64
BATCH_CHARACTERS = 1 << 20
UNREADABLE_FILE = "unreadable_file"
"""Reason of the drop that stands for all that comes behind where a file's reading ended early."""
_IS_TEXT = re.compile(r"text/|application/(?:.*\+)?xml\b")


@dataclass(frozen=True)
class UnitWork:
    """A unit, and the sections of the config that say what is done with its records."""

    unit: WorkUnit
    source: SourceConfig
    extractor: ExtractorConfig
    filters: tuple[FilterConfig, ...]
    dedup: DedupConfig
    opt_out: OptOutConfig | None = None
    pii: PiiConfig | None = None


@dataclass(frozen=True)
class Loss:
    """Why a record cannot be worked on."""

    reason: str
    value: str


@dataclass(frozen=True)
class Resume:
    """Where a unit is taken up, and what of it is known to be lost."""

    num_records: int = 0
    """Records that were delivered, from the unit's first on."""
    lost: Mapping[int, Loss] = field(default_factory=dict)
    """Records, by number, that cannot be worked on."""
    unreadable: tuple[int, Loss] | None = None
    """The record that cannot even be read: the unit ends before it."""


@dataclass(frozen=True)
class Kept:
    """A document that goes on."""

    stored: StoredDocument
    signature: Signature
    fetched_at: str | None = None
    """ISO 8601."""


@dataclass(frozen=True)
class Batch:
    """What neighbouring records of a unit gave, in order."""

    num_records: int
    """Number of the record behind the last one of this batch."""
    results: tuple[Kept | StoredDrop, ...]
    other_records: dict[str, int]
    """Records that no one would take for a page, by type."""
    bytes_read: int
    """How far into its unit the batch ends; 0 where origins do not count bytes."""
    example: Measures | None = None
    """Of the first batch: measures as any document has them; they name the columns of drops."""


class Guard(Protocol):
    """Is told what the process is at, so that it can be known when it is there no more."""

    def reading(self, number: int) -> None:
        """The record of this number is being read."""

    def working(self, number: int) -> None:
        """It was read, and is worked on."""


class NoGuard:
    """Of a unit worked on without limits."""

    def reading(self, number: int) -> None:
        pass

    def working(self, number: int) -> None:
        pass


class RecordWork:
    """Extracts, filters and signs single records."""

    def __init__(self, work: UnitWork) -> None:
        self._extractor = build_extractor(work.extractor)
        self._chain = FilterChain(work.filters, work.opt_out, work.pii)
        self._signer = work.dedup.build()

    def example_measures(self, source: str) -> Measures:
        """Measures as any document of a source has them."""
        return self._chain.judge(Document("", source, "", "", Origin("", 0))).measures

    def result(self, record: RawRecord | Drop) -> Kept | StoredDrop:
        """The document that goes on, or the drop."""
        try:
            return self._result(record)
        except MemoryError:
            return lost_record(record, Loss("page_memory", "more than limits.page_memory_bytes"))

    def _result(self, record: RawRecord | Drop) -> Kept | StoredDrop:
        found = record if isinstance(record, Drop) else self._extractor.extract(record)
        if isinstance(found, Drop):
            return StoredDrop(_placed(found, record), _text_sample(record))
        judgement = self._chain.judge(found)
        document, verdict = judgement.document, judgement.verdict
        if not verdict.keep:
            drop = _drop_of(document, verdict.stage, verdict.reason or "", verdict.value)
            return StoredDrop.of(drop, document, judgement.measures)
        stored = StoredDocument(document, judgement.measures)
        fetched_at = None if isinstance(record, Drop) else record.fetched_at
        return Kept(stored, self._signer.signature(document), fetched_at)


def unit_batches(
    work: UnitWork, record_work: RecordWork, *, resume: Resume, guard: Guard
) -> Generator[Batch]:
    """All results of a unit from where it is taken up; at least one batch."""
    filling = _Filling(work.unit, resume.num_records)
    filling.example = record_work.example_measures(work.unit.source)
    last, loss = resume.unreadable or (-1, None)
    number = 0
    guard.reading(number)
    records = _records(work)
    while number != last and (record := next(records, None)) is not None:
        if number >= resume.num_records:
            if number in resume.lost:
                filling.add(record, lost_record(record, resume.lost[number]))
            elif isinstance(record, Drop) and record.reason.startswith(RECORD_TYPE):
                filling.skip(record, record.reason.removeprefix(RECORD_TYPE))
            else:
                guard.working(number)
                filling.add(record, record_work.result(record))
        number += 1
        guard.reading(number)
        if filling.is_full:
            yield filling.taken()
    if loss is not None:
        detail = f"{loss.reason}: {loss.value}, while record {last} was read"
        filling.results.append(StoredDrop(_unreadable(work.unit, last, detail)))
    yield filling.taken()


class _Filling:
    """The batch in the making."""

    def __init__(self, unit: WorkUnit, num_records: int) -> None:
        self._unit = unit
        self._num_records = num_records
        self._bytes_read = 0
        self.results: list[Kept | StoredDrop] = []
        self.example: Measures | None = None
        self._other_records: Counter[str] = Counter()
        self._characters = 0

    @property
    def is_full(self) -> bool:
        return len(self.results) >= BATCH_RECORDS or self._characters >= BATCH_CHARACTERS

    def add(self, record: RawRecord | Drop, result: Kept | StoredDrop) -> None:
        self._pass(record)
        self.results.append(result)
        if isinstance(result, Kept):
            self._characters += len(result.stored.document.text)
        else:
            self._characters += len(result.text_sample)

    def skip(self, record: Drop, record_type: str) -> None:
        self._pass(record)
        self._other_records[record_type] += 1

    def _pass(self, record: RawRecord | Drop) -> None:
        self._num_records += 1
        self._bytes_read = max(self._bytes_read, _bytes_read(record, self._unit))

    def taken(self) -> Batch:
        batch = Batch(
            self._num_records,
            tuple(self.results),
            dict(self._other_records),
            self._bytes_read,
            self.example,
        )
        self.results, self._characters, self.example = [], 0, None
        self._other_records = Counter()
        return batch


def lost_record(record: RawRecord | Drop, loss: Loss) -> StoredDrop:
    """The drop of a record that ran into a limit; its sample is taken without a look at it."""
    drop = Drop(
        record.doc_id,
        EXTRACT,
        loss.reason,
        loss.value,
        record.source,
        well_formed(record.uri),
        record.origin,
    )
    head = b"" if isinstance(record, Drop) else record.payload[:TEXT_SAMPLE_CHARACTERS]
    return StoredDrop(drop, head.decode("utf-8", "replace").replace("\0", ""))


def _records(work: UnitWork) -> Iterator[RawRecord | Drop]:
    """The records of a unit; a file that cannot be read on is one more drop: the job goes on.

    Raises:
        DataError: nothing of the file could be read: its unit fails, and is tried again next time.
    """
    num_records = 0
    try:
        for record in work.source.build().records(work.unit):
            num_records += 1
            yield record
    except (DataError, MemoryError) as error:
        detail = str(error) or "more memory than limits.page_memory_bytes"
        yield _unreadable(work.unit, num_records, detail)


def _unreadable(unit: WorkUnit, num_records: int, detail: str) -> Drop:
    """The drop of all that is behind the first `num_records`."""
    if not num_records:
        raise DataError(f"source {unit.source}, file {unit.url}: cannot be read: {detail}")
    logger.warning("source=%s file=%s cannot be read: %s", unit.source, unit.url, detail)
    doc_id = make_doc_id(unit.source, f"{unit.path}:{unit.start}")
    return Drop(doc_id, READ, UNREADABLE_FILE, detail, unit.source, unit.url)


def _bytes_read(record: RawRecord | Drop, unit: WorkUnit) -> int:
    """How far into its unit a record ends; 0 where its origin counts lines, not bytes."""
    origin = record.origin
    if origin is None or not origin.length:
        return 0
    return max(0, min(origin.offset + origin.length - unit.start, unit.size_bytes))


def _text_sample(record: RawRecord | Drop) -> str:
    """The beginning of a page as it came, for a drop that shows why nothing was extracted."""
    if isinstance(record, Drop) or not _IS_TEXT.match(record.media_type):
        return ""
    charset = charset_of(record.payload, record.charset)
    # No character takes more than four bytes.
    head = decoded(record.payload[: 4 * (TEXT_SAMPLE_CHARACTERS + 1)], charset)
    return head[:TEXT_SAMPLE_CHARACTERS]


def _placed(drop: Drop, record: RawRecord | Drop) -> Drop:
    """The drop with the source, uri and origin that its record had."""
    return replace(
        drop,
        source=drop.source or record.source,
        uri=drop.uri or record.uri,
        origin=drop.origin or record.origin,
    )


def _drop_of(document: Document, stage: str, reason: str, value: float | str | None) -> Drop:
    return Drop(
        document.doc_id, stage, reason, value, document.source, document.uri, document.origin
    )
