"""Map: one work unit of a source becomes documents, signatures and drops."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

from contracts import storage
from contracts.errors import DataError
from data_pipeline import dedup
from data_pipeline.dedup import DedupConfig
from data_pipeline.documents import (
    TEXT_SAMPLE_CHARACTERS,
    StoredDocument,
    StoredDrop,
    document_writer,
    drop_writer,
)
from data_pipeline.extract import ExtractorConfig, build_extractor
from data_pipeline.extract.charset import charset_of, decoded
from data_pipeline.filters import FilterChain, FilterConfig, OptOutConfig, PiiConfig
from data_pipeline.progress import ProgressFile
from data_pipeline.records import Document, Drop, Origin, RawRecord, WorkUnit, make_doc_id
from data_pipeline.sources import SourceConfig
from data_pipeline.sources.protocol import READ, RECORD_TYPE
from data_pipeline.stages.counting import Counting
from data_pipeline.stages.task import Outcome, work_path

logger = logging.getLogger(__name__)

UNREADABLE_FILE = "unreadable_file"
"""Reason of the drop that stands for all that comes behind where a file's reading ended early."""
_IS_TEXT = re.compile(r"text/|application/(?:.*\+)?xml\b")


@dataclass(frozen=True)
class MapTask:
    """Read, extract, filter and sign one work unit."""

    output_dir: str
    unit_id: str
    unit: WorkUnit
    source: SourceConfig
    extractor: ExtractorConfig
    filters: tuple[FilterConfig, ...]
    dedup: DedupConfig
    opt_out: OptOutConfig | None = None
    pii: PiiConfig | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes of the file that the unit reads."""
        return self.unit.size_bytes


def map_unit(task: MapTask, progress: ProgressFile) -> Outcome:
    """Documents that pass the filters, their signatures, and every drop with its reason."""
    paths = [
        work_path("map", task.unit_id, what)
        for what in ("documents.parquet", "drops.parquet", "signatures.parquet")
    ]
    documents_url, drops_url, signatures_url = (
        storage.join(task.output_dir, path) for path in paths
    )
    extractor = build_extractor(task.extractor)
    chain = FilterChain(task.filters, task.opt_out, task.pii)
    signer = task.dedup.build()
    signatures = []
    counting = Counting(progress)
    columns = chain.judge(_empty_document(task.unit.source)).measures
    with (
        document_writer(documents_url) as documents,
        drop_writer(drops_url, measures=columns) as drops,
    ):
        for record in _records(task):
            counting.read(_bytes_read(record, task.unit))
            found = record if isinstance(record, Drop) else extractor.extract(record)
            if isinstance(found, Drop):
                drop = _placed(found, record)
                counting.dropped(drop)
                if not drop.reason.startswith(RECORD_TYPE):  # counted; nothing in them to keep
                    drops.add(StoredDrop(drop, _text_sample(record)))
                continue
            judgement = chain.judge(found)
            document, verdict = judgement.document, judgement.verdict
            if not verdict.keep:
                drop = _drop_of(document, verdict.stage, verdict.reason or "", verdict.value)
                counting.dropped(drop)
                drops.add(StoredDrop.of(drop, document, judgement.measures))
                continue
            counting.kept(document)
            documents.add(StoredDocument(document, judgement.measures))
            signatures.append(signer.signature(document))
    dedup.write_signatures(signatures_url, signatures, task.dedup)
    return Outcome(tuple(paths), counting.counts().as_json())


def _empty_document(source: str) -> Document:
    """A document whose measures give the names of a source's columns."""
    return Document("", source, "", "", Origin("", 0))


def _records(task: MapTask) -> Iterator[RawRecord | Drop]:
    """The records of a unit; a file that cannot be read on is one more drop: the job goes on.

    Raises:
        DataError: nothing of the file could be read: its unit fails, and is tried again next time.
    """
    num_records = 0
    try:
        for record in task.source.build().records(task.unit):
            num_records += 1
            yield record
    except DataError as error:
        if not num_records:
            raise
        logger.warning(
            "source=%s file=%s cannot be read: %s", task.unit.source, task.unit.url, error
        )
        doc_id = make_doc_id(task.unit.source, f"{task.unit.path}:{task.unit.start}")
        yield Drop(doc_id, READ, UNREADABLE_FILE, str(error), task.unit.source, task.unit.url)


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
    return Drop(
        drop.doc_id,
        drop.stage,
        drop.reason,
        drop.value,
        drop.source or record.source,
        drop.uri or record.uri,
        drop.origin or record.origin,
    )


def _drop_of(document: Document, stage: str, reason: str, value: float | str | None) -> Drop:
    return Drop(
        document.doc_id, stage, reason, value, document.source, document.uri, document.origin
    )
