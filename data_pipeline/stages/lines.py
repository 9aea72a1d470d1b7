"""Lines: which lines of a host stand on many of its kept pages; two steps before `publish`.

`lines` writes a row for each different line of each kept page of a unit; `repeated_lines` counts
those of a part of the hosts and names, unit by unit, the lines to remove.
"""

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
from data_pipeline.stages.search_values import duplicates_of
from data_pipeline.stages.task import Outcome, work_path

UNITS_PER_PART = 32
"""Neighbouring units whose lines a reader passes to find its own."""


@dataclass(frozen=True)
class LinesTask:
    """Write the lines of one unit."""

    output_dir: str
    unit_id: str
    documents_path: str
    duplicates_path: str
    ordinal: int
    """Place of the unit in the plan."""
    boilerplate: BoilerplateConfig
    num_parts: int
    memory_bytes: int
    num_bytes: int


def lines_path(stage: str, unit_id: str) -> str:
    """A task's rows, relative to the output folder."""
    return work_path(stage, unit_id, "rows.runs")


def unit_lines(task: LinesTask, progress: ProgressFile) -> Outcome:
    """The lines of a unit's kept web pages, parted by host."""
    del progress
    duplicates = duplicates_of(storage.join(task.output_dir, task.duplicates_path), task.ordinal)
    path = lines_path("lines", task.unit_id)
    with run_writer(
        storage.join(task.output_dir, path),
        LINE_COLUMNS,
        bounds=hash_bounds(task.num_parts),
        memory_bytes=task.memory_bytes // 2,
    ) as writer:
        stored = read_documents(storage.join(task.output_dir, task.documents_path))
        for position, item in enumerate(stored):
            host = host_of(item.document.uri)
            if host is not None and position not in duplicates:
                text = item.document.text
                writer.add(line_rows(host, text, task.ordinal, task.boilerplate))
        num_rows = writer.num_rows
    return Outcome((path,), {"num_rows": num_rows})


@dataclass(frozen=True)
class RepeatedLinesTask:
    """Count the lines of one part of the hosts."""

    output_dir: str
    unit_id: str
    between: tuple[int, int]
    inputs: tuple[str, ...]
    """Files of rows, relative to the output folder."""
    num_units: int
    boilerplate: BoilerplateConfig
    memory_bytes: int
    num_bytes: int = 1


def repeated_lines(task: RepeatedLinesTask, progress: ProgressFile) -> Outcome:
    """The lines to remove, by unit."""
    del progress
    path = lines_path("repeated_lines", task.unit_id)
    pieces = merged(
        [RunSource(storage.join(task.output_dir, name)) for name in task.inputs],
        LINE_COLUMNS,
        between=task.between,
        memory_bytes=task.memory_bytes // READERS,
    )
    with run_writer(
        storage.join(task.output_dir, path),
        FOUND_COLUMNS,
        bounds=np.arange(UNITS_PER_PART, task.num_units, UNITS_PER_PART, dtype=np.uint64),
        memory_bytes=task.memory_bytes // 2,
    ) as writer:
        for rows in RepeatedLines(task.boilerplate).found(pieces):
            writer.add(rows)
        num_rows = writer.num_rows
    return Outcome((path,), {"num_rows": num_rows})


def lines_of_unit(
    output_dir: str, paths: tuple[str, ...], ordinal: int, memory_bytes: int
) -> frozenset[int]:
    """The lines to remove from a unit's pages."""
    pieces = merged(
        [RunSource(storage.join(output_dir, path)) for path in paths],
        FOUND_COLUMNS,
        between=(ordinal, ordinal + 1),
        memory_bytes=memory_bytes // READERS,
    )
    return frozenset(concatenated(pieces, FOUND_COLUMNS)[:, 1].tolist())
