"""The tasks of the search for duplicates: over a block of signature files, or over a part of rows.

Steps that read signatures have a task for each block of neighbouring files, steps that compare rows
one for each part of the numbers; rows go from one to the other in files of sorted runs.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np

from contracts import storage
from data_pipeline.dedup import DedupConfig
from data_pipeline.dedup.matching import RowStream
from data_pipeline.dedup.rows import Numbers, Rows
from data_pipeline.dedup.runs import READERS, RunSource, RunWriter, hash_bounds, merged, run_writer
from data_pipeline.stages.task import work_path


@dataclass(frozen=True)
class SignedFile:
    """A file of signatures in its place."""

    url: str
    number: int
    """Place among all files of the search: those of earlier datasets first."""
    dataset: int
    """Place of its dataset in the order of commitment; the job's own comes last."""
    num_documents: int
    unit: int
    """Place of its unit in the plan; -1 for a file of an earlier dataset."""


@dataclass(frozen=True)
class Layout:
    """How a search is parted; changes nothing in what is found."""

    num_parts: int
    """Parts of the hashes of texts, addresses and bands."""
    block_bounds: tuple[int, ...]
    """Where each block but the first begins, by number of a document."""
    node_bounds: tuple[int, ...]
    """Where each part of the nodes but the first begins."""
    first_new: int
    """Number of the job's own first document."""
    num_committed: int
    """Earlier datasets."""
    num_values: int
    """MinHash values of a document; 0 without near-dedup."""


@dataclass(frozen=True)
class SearchTask:
    """One task of one step."""

    output_dir: str
    unit_id: str
    step: str
    folder: str
    """Under which the files of rows stand, as under an output folder."""
    dedup: DedupConfig
    layout: Layout
    files: tuple[SignedFile, ...] = ()
    """The block; empty for a part."""
    between: tuple[int, int] = (0, 0)
    """Range of the first number of the rows that are read."""
    inputs: dict[str, tuple[RunSource, ...]] = field(default_factory=dict)
    """Files of rows by what they hold."""
    rows_path: str | None = None
    """Where its rows are written, relative to the folder; None: under its own name."""
    num_bytes: int = 1

    @property
    def memory_bytes(self) -> int:
        """What one reader of rows may hold; a task has two at most."""
        return self.dedup.memory_bytes // READERS

    def path(self, what: str) -> str:
        """A file of rows that this task writes, relative to the folder."""
        return self.rows_path or work_path(self.step, self.unit_id, f"{what}.runs")

    def pieces(self, what: str, num_columns: int) -> Iterator[Rows]:
        """The rows of this task's range, in order."""
        return merged(
            self.inputs.get(what, ()),
            num_columns,
            between=self.between,
            memory_bytes=self.memory_bytes,
        )

    def stream(self, what: str, num_columns: int) -> RowStream:
        """The rows of this task's range, read up to a number at a time."""
        return RowStream(self.pieces(what, num_columns))

    @contextmanager
    def writers(self, *wanted: tuple[str, int, Numbers]) -> Iterator[list[RunWriter]]:
        """A writer for each (what, number of columns, bounds of parts)."""
        share = self.dedup.memory_bytes // 2 // len(wanted)
        with ExitStack() as stack:
            yield [
                stack.enter_context(
                    run_writer(
                        storage.join(self.folder, self.path(what)),
                        num_columns,
                        bounds=bounds,
                        memory_bytes=share,
                    )
                )
                for what, num_columns, bounds in wanted
            ]

    @property
    def by_hash(self) -> Numbers:
        """Bounds of the parts of hashes."""
        return hash_bounds(self.layout.num_parts)

    @property
    def by_block(self) -> Numbers:
        """Bounds of the blocks."""
        return np.array(self.layout.block_bounds, dtype=np.uint64)

    @property
    def by_node(self) -> Numbers:
        """Bounds of the parts of nodes."""
        return np.array(self.layout.node_bounds, dtype=np.uint64)
