"""Pair texts: the beginnings of the kept documents that the shown near duplicates repeat."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts import storage
from data_pipeline.progress import ProgressFile
from data_pipeline.report.data import TextSample
from data_pipeline.stages.task import Outcome, work_path


@dataclass(frozen=True)
class PairTextsTask:
    """Look for a few documents in one file of the store."""

    output_dir: str
    unit_id: str
    documents_url: str
    doc_ids: tuple[str, ...]
    max_characters: int
    num_bytes: int


def pair_texts(task: PairTextsTask, progress: ProgressFile) -> Outcome:
    """The wanted documents that stand in this file; texts are read where an id was found."""
    del progress  # a moment
    found: list[TextSample] = []
    wanted = pa.array(task.doc_ids, pa.string())
    with storage.open_read(task.documents_url) as stream:
        file = pq.ParquetFile(stream)
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=["doc_id"])["doc_id"]
            is_wanted = pc.is_in(ids, value_set=wanted)
            if not pc.any(is_wanted).as_py():
                continue
            table = file.read_row_group(group, columns=["doc_id", "uri", "text"]).filter(is_wanted)
            found += [
                TextSample(row["doc_id"], row["uri"], row["text"][: task.max_characters])
                for row in table.to_pylist()
            ]
    path = work_path("pair_texts", task.unit_id, "json")
    text = json.dumps([asdict(sample) for sample in found], ensure_ascii=False)
    storage.write_bytes(storage.join(task.output_dir, path), text.encode())
    return Outcome((path,), {"num_found": len(found)})


def found_texts(output_dir: str, unit_ids: Sequence[str]) -> dict[str, TextSample]:
    """What the units found, by doc_id."""
    samples: dict[str, TextSample] = {}
    for unit in unit_ids:
        data = storage.read_bytes(storage.join(output_dir, work_path("pair_texts", unit, "json")))
        samples |= {sample["doc_id"]: TextSample(**sample) for sample in json.loads(data)}
    return samples
