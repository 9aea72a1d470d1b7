"""Publish: a unit's documents without the duplicates become a file of the document store."""

from dataclasses import dataclass

from contracts import storage
from data_pipeline.dedup import DedupConfig, copy_signatures
from data_pipeline.documents import StoredDrop, document_writer, drop_writer, read_documents
from data_pipeline.progress import ProgressFile
from data_pipeline.records import Drop, DuplicateOf
from data_pipeline.stages.counting import Counting
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

    @property
    def documents_path(self) -> str:
        """The unit's file in the document store."""
        return f"documents/{self.source}/{self.ordinal:06d}-{self.unit_id}.parquet"

    @property
    def signatures_path(self) -> str:
        """Signatures of the same documents, for later jobs that must not repeat them."""
        return f"signatures/{self.ordinal:06d}-{self.unit_id}.parquet"


def publish_unit(task: PublishTask, progress: ProgressFile) -> Outcome:
    """The kept documents, their signatures, and a drop for each duplicate."""

    def url(path: str) -> str:
        return storage.join(task.output_dir, path)

    duplicates = duplicates_of(url(task.duplicates_path), task.ordinal)
    drops_path = work_path("publish", task.unit_id, "drops.parquet")
    counting = Counting(progress)
    with (
        document_writer(url(task.documents_path)) as documents,
        drop_writer(url(drops_path), measures=SIMILARITY) as drops,
    ):
        stored = read_documents(url(work_path("map", task.map_id, "documents.parquet")))
        for position, item in enumerate(stored):
            counting.read(counting.bytes_read + item.document.num_bytes)
            duplicate = duplicates.get(position)
            if duplicate is None:
                counting.kept(item.document)
                documents.add(item)
                continue
            document = item.document
            drop = Drop(
                document.doc_id,
                "dedup",
                duplicate.method,
                duplicate.kept_doc_id,
                document.source,
                document.uri,
                document.origin,
            )
            counting.dropped(drop)
            drops.add(StoredDrop.of(drop, document, _measures(duplicate)))
    copy_signatures(
        url(signatures_path(task.map_id)), url(task.signatures_path), task.dedup, duplicates
    )
    paths = (task.documents_path, task.signatures_path, drops_path)
    return Outcome(paths, counting.counts().as_json())


def _measures(duplicate: DuplicateOf) -> dict[str, float | str]:
    if duplicate.similarity is None:
        return {}
    return {"dedup.similarity": duplicate.similarity}
