"""Keys: the sorted keys of a block of kept documents, as later jobs compare theirs with them."""

from dataclasses import dataclass, replace

from data_pipeline.dedup import DedupConfig
from data_pipeline.dedup.key_index import BANDS, IDS, TEXTS, run_path
from data_pipeline.progress import ProgressFile
from data_pipeline.stages.search_rows import band_rows, id_rows, text_rows
from data_pipeline.stages.search_task import Layout, SearchTask, SignedFile
from data_pipeline.stages.task import Outcome

PARTS = 1024
"""Cells of the index of each file: a later job with fewer parts than this reads only its own."""


@dataclass(frozen=True)
class KeysTask:
    """Sort the keys of one block of signature files."""

    output_dir: str
    unit_id: str
    dedup: DedupConfig
    layout: Layout
    files: tuple[SignedFile, ...]
    num_bytes: int


def kinds_of(dedup: DedupConfig) -> tuple[str, ...]:
    """The keys that signatures of this config have."""
    return (IDS, TEXTS) if dedup.minhash is None else (IDS, TEXTS, BANDS)


def write_keys(task: KeysTask, progress: ProgressFile) -> Outcome:
    """The runs of ids and addresses, of texts, and of bands, as of a committed dataset."""
    steps = {IDS: id_rows, TEXTS: text_rows, BANDS: band_rows}
    paths = []
    for kind in kinds_of(task.dedup):
        path = run_path(task.unit_id, kind)
        search = SearchTask(
            output_dir=task.output_dir,
            unit_id=task.unit_id,
            step=kind,
            folder=task.output_dir,
            dedup=task.dedup,
            layout=replace(task.layout, num_parts=PARTS, first_new=1 << 63),
            files=task.files,
            rows_path=path,
        )
        steps[kind](search, progress)
        paths.append(path)
    return Outcome(tuple(paths), {"num_in": sum(file.num_documents for file in task.files)})
