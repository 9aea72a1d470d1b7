"""Lines: which lines of a host stand on many of its kept pages; three steps before `publish`.

`lines` writes a row for each different line of each kept page of a group of units; `repeated_lines`
counts those of a part of the hosts; `group_lines` puts together what is to go from a group.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from contracts import storage
from data_pipeline.dedup import host_of
from data_pipeline.dedup.boilerplate import (
    FOUND_COLUMNS,
    LINE_COLUMNS,
    BoilerplateConfig,
    RepeatedLines,
    line_rows,
)
from data_pipeline.dedup.rows import Rows
from data_pipeline.dedup.runs import (
    READERS,
    RunSource,
    concatenated,
    hash_bounds,
    merged,
    run_writer,
)
from data_pipeline.documents import read_documents
from data_pipeline.progress import ProgressFile
from data_pipeline.records import Document
from data_pipeline.stages.search_values import duplicates_of
from data_pipeline.stages.task import Outcome, work_path


@dataclass(frozen=True)
class KeptText:
    """A unit's texts before publication."""

    ordinal: int
    """Place of the unit in the plan."""
    documents_path: str
    """Relative to the output folder."""
    duplicates_path: str
    """Table that tells the duplicates among them."""
    text_bytes: int


@dataclass(frozen=True)
class LinesTask:
    """Write the lines of a group of neighbouring units."""

    output_dir: str
    unit_id: str
    texts: tuple[KeptText, ...]
    boilerplate: BoilerplateConfig
    num_parts: int
    memory_bytes: int

    @property
    def num_bytes(self) -> int:
        """Text that is read."""
        return sum(text.text_bytes for text in self.texts)


def lines_path(stage: str, unit_id: str) -> str:
    """A task's rows, relative to the output folder."""
    return work_path(stage, unit_id, "rows.runs")


def unit_lines(task: LinesTask, progress: ProgressFile) -> Outcome:
    """The lines of the units' kept web pages, parted by host."""
    del progress
    path = lines_path("lines", task.unit_id)
    with run_writer(
        storage.join(task.output_dir, path),
        LINE_COLUMNS,
        bounds=hash_bounds(task.num_parts),
        memory_bytes=task.memory_bytes // 2,
    ) as writer:
        for text in task.texts:
            for document in _kept(task.output_dir, text):
                host = host_of(document.uri)
                if host is not None:
                    writer.add(line_rows(host, document.text, text.ordinal, task.boilerplate))
        num_rows = writer.num_rows
    return Outcome((path,), {"num_rows": num_rows})


def _kept(output_dir: str, text: KeptText) -> Iterator[Document]:
    duplicates = duplicates_of(storage.join(output_dir, text.duplicates_path), text.ordinal)
    stored = read_documents(storage.join(output_dir, text.documents_path), measures=False)
    for position, item in enumerate(stored):
        if position not in duplicates:
            yield item.document


@dataclass(frozen=True)
class GatherTask:
    """Read one part of the rows of the step before."""

    output_dir: str
    unit_id: str
    between: tuple[int, int]
    """Hosts, or units."""
    inputs: tuple[str, ...]
    """Files of rows, relative to the output folder."""
    bounds: tuple[int, ...]
    """First unit of each group but the first."""
    boilerplate: BoilerplateConfig
    memory_bytes: int
    num_bytes: int = 1


def repeated_lines(task: GatherTask, progress: ProgressFile) -> Outcome:
    """The lines of a part of the hosts that are to go, by unit."""
    del progress
    found = RepeatedLines(task.boilerplate).found(_pieces(task, LINE_COLUMNS))
    return _written(task, "repeated_lines", found)


def group_lines(task: GatherTask, progress: ProgressFile) -> Outcome:
    """The lines that are to go from a group of units, in one file."""
    del progress
    return _written(task, "group_lines", _pieces(task, FOUND_COLUMNS))


def _pieces(task: GatherTask, num_columns: int) -> Iterator[Rows]:
    return merged(
        [RunSource(storage.join(task.output_dir, path)) for path in task.inputs],
        num_columns,
        between=task.between,
        memory_bytes=task.memory_bytes // READERS,
    )


def _written(task: GatherTask, stage: str, pieces: Iterator[Rows]) -> Outcome:
    path = lines_path(stage, task.unit_id)
    with run_writer(
        storage.join(task.output_dir, path),
        FOUND_COLUMNS,
        bounds=np.array(task.bounds, dtype=np.uint64),
        memory_bytes=task.memory_bytes // 2,
    ) as writer:
        for rows in pieces:
            writer.add(rows)
        num_rows = writer.num_rows
    return Outcome((path,), {"num_rows": num_rows})


def lines_of_unit(url: str, ordinal: int, memory_bytes: int) -> frozenset[int]:
    """The lines to remove from a unit's pages."""
    pieces = merged(
        [RunSource(url)],
        FOUND_COLUMNS,
        between=(ordinal, ordinal + 1),
        memory_bytes=memory_bytes // READERS,
    )
    return frozenset(concatenated(pieces, FOUND_COLUMNS)[:, 1].tolist())
