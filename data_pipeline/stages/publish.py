"""Publish: a unit's documents without the duplicates become a file of the document store.

Where configured they lose the lines that their host repeats. The signatures that later jobs compare
with stay those of the text before: a page is told again by what was read, whatever was removed.
"""

from dataclasses import dataclass, replace

from contracts import storage
from data_pipeline.dedup import DedupConfig, copy_signatures, host_of
from data_pipeline.dedup.boilerplate import (
    MEASURES,
    NUM_CHARACTERS,
    NUM_LINES,
    STAGE,
    TOO_SHORT,
    BoilerplateConfig,
    without_lines,
)
from data_pipeline.documents import (
    StoredDocument,
    StoredDrop,
    document_writer,
    drop_writer,
    read_documents,
)
from data_pipeline.progress import ProgressFile
from data_pipeline.records import Document, Drop, DuplicateOf
from data_pipeline.stages.counting import Counting
from data_pipeline.stages.lines import lines_of_unit
from data_pipeline.stages.map import signatures_path
from data_pipeline.stages.search_values import duplicates_of
from data_pipeline.stages.task import Outcome, work_path

SIMILARITY = {"dedup.similarity": 0.0}


@dataclass(frozen=True)
class PublishTask:
    """Take the duplicates out of one unit."""

    output_dir: str
    unit_id: str
    map_id: str
    duplicates_path: str
    """Table of the duplicates of its block of units, relative to the output folder."""
    source: str
    ordinal: int
    """Place of the unit in the plan."""
    dedup: DedupConfig
    num_bytes: int
    lines_path: str | None = None
    """Lines to remove from its group of units; None: none are."""

    @property
    def documents_path(self) -> str:
        """The unit's file in the document store."""
        return f"documents/{self.source}/{self.ordinal:06d}-{self.unit_id}.parquet"

    @property
    def signatures_path(self) -> str:
        """Signatures of the same documents, for later jobs that must not repeat them."""
        return f"signatures/{self.ordinal:06d}-{self.unit_id}.parquet"


def publish_unit(task: PublishTask, progress: ProgressFile) -> Outcome:
    """The kept documents, their signatures, and a drop for each document that goes."""

    def url(path: str) -> str:
        return storage.join(task.output_dir, path)

    judge = _Judge(task)
    left_out: set[int] = set()
    drops_path = work_path("publish", task.unit_id, "drops.parquet")
    counting = Counting(progress)
    measures = SIMILARITY | (MEASURES if task.dedup.boilerplate is not None else {})
    with (
        document_writer(url(task.documents_path)) as documents,
        drop_writer(url(drops_path), measures=measures) as drops,
    ):
        stored = read_documents(url(work_path("map", task.map_id, "documents.parquet")))
        for position, item in enumerate(stored):
            counting.read(counting.bytes_read + item.document.num_bytes)
            found = judge.judged(position, item)
            if isinstance(found, StoredDrop):
                left_out.add(position)
                counting.dropped(found.drop)
                drops.add(found)
            else:
                counting.kept(found.document)
                documents.add(found)
    copy_signatures(
        url(signatures_path(task.map_id)), url(task.signatures_path), task.dedup, left_out
    )
    paths = (task.documents_path, task.signatures_path, drops_path)
    return Outcome(paths, counting.counts().as_json())


class _Judge:
    """What becomes of each document of a unit."""

    def __init__(self, task: PublishTask) -> None:
        self._duplicates = duplicates_of(
            storage.join(task.output_dir, task.duplicates_path), task.ordinal
        )
        self._boilerplate = task.dedup.boilerplate
        self._lines: frozenset[int] = frozenset()
        if task.lines_path is not None:
            url = storage.join(task.output_dir, task.lines_path)
            self._lines = lines_of_unit(url, task.ordinal, task.dedup.memory_bytes)

    def judged(self, position: int, item: StoredDocument) -> StoredDocument | StoredDrop:
        """The document as it is published, or its drop."""
        duplicate = self._duplicates.get(position)
        if duplicate is not None:
            drop = _drop_of(item.document, "dedup", duplicate.method, duplicate.kept_doc_id)
            return StoredDrop.of(drop, item.document, _measures(duplicate))
        if self._boilerplate is None:
            return item
        return self._cleaned(item, self._boilerplate)

    def _cleaned(
        self, item: StoredDocument, config: BoilerplateConfig
    ) -> StoredDocument | StoredDrop:
        """The document without the lines that its host repeats."""
        document = item.document
        host = host_of(document.uri)
        text, num_lines = document.text, 0
        if host is not None and self._lines:
            text, num_lines = without_lines(host, text, self._lines, config)
        measures = {
            NUM_LINES: float(num_lines),
            NUM_CHARACTERS: float(len(document.text) - len(text)),
        }
        if num_lines and len(text) < max(config.min_text_characters, 1):
            drop = _drop_of(document, STAGE, TOO_SHORT, float(len(text)))
            return StoredDrop.of(drop, document, measures)
        return StoredDocument(replace(document, text=text), {**item.measures, **measures})


def _drop_of(document: Document, stage: str, reason: str, value: float | str) -> Drop:
    return Drop(
        document.doc_id, stage, reason, value, document.source, document.uri, document.origin
    )


def _measures(duplicate: DuplicateOf) -> dict[str, float | str]:
    if duplicate.similarity is None:
        return {}
    return {"dedup.similarity": duplicate.similarity}
