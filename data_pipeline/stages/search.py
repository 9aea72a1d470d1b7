"""The search for duplicates as steps of tasks, each bounded in memory: from signatures to tables.

    ids -> repeats -> texts -> same_texts -> bands -> candidates -> values -> similar
        -> large_star, small_star, ... -> stars -> star_values -> dedup

A step reads files of rows that the steps before it wrote. A small search runs them in one task,
with its rows in a temporary folder; what is found is the same.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from contracts.config import Json
from data_pipeline.dedup import DedupConfig
from data_pipeline.dedup.key_index import BANDS, IDS, TEXTS
from data_pipeline.dedup.rows import FILE_BITS, MAX_FILES, ROW_BITS
from data_pipeline.dedup.runs import TOP, RunSource
from data_pipeline.ledger import unit_id
from data_pipeline.progress import ProgressFile
from data_pipeline.stages.search_matches import (
    candidates,
    large_star_round,
    repeats,
    same_texts,
    small_star_round,
    stars,
)
from data_pipeline.stages.search_rows import band_rows, id_rows, text_rows
from data_pipeline.stages.search_task import Layout, SearchTask, SignedFile
from data_pipeline.stages.search_values import found_table, similar, table_path, value_rows
from data_pipeline.stages.task import Outcome

DEDUP = "dedup"
"""The last step, and the stage under which drops of duplicates are counted."""
SMALL_SHARE = 4
"""A search whose signatures fill no more than this part of the memory is one task."""
Step = Callable[[SearchTask, ProgressFile], Outcome]
RunStep = Callable[[str, Step, Sequence[SearchTask]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Earlier:
    """Sorted keys of earlier datasets, whose files have no rows of their own in a search."""

    datasets: frozenset[int] = frozenset()
    sources: dict[str, tuple[RunSource, ...]] = field(default_factory=dict)
    """By kind."""


@dataclass(frozen=True)
class SearchPlan:
    """What is searched, and how it is parted."""

    output_dir: str
    identity: str
    """Id of the search by what it finds."""
    dedup: DedupConfig
    files: tuple[SignedFile, ...]
    earlier: Earlier
    blocks: tuple[tuple[SignedFile, ...], ...]
    layout: Layout

    @property
    def is_small(self) -> bool:
        """Whether one task may do all steps."""
        size = sum(file.num_documents for file in self.files) * bytes_per_document(self.dedup)
        return size * SMALL_SHARE <= self.dedup.memory_bytes and self.layout.num_parts == 1

    def unit_id(self, step: str, part: int) -> str:
        """Id of a task."""
        layout: list[Json] = [self.layout.num_parts, *self.layout.block_bounds]
        return unit_id(step, self.identity, layout, part)

    def tables(self) -> dict[int, str]:
        """The table that tells the duplicates of each unit, by place of the unit in the plan."""
        return {
            file.unit: table_path(DEDUP, self.unit_id(DEDUP, block))
            for block, files in enumerate(self.blocks)
            for file in files
            if file.unit >= 0
        }


def bytes_per_document(dedup: DedupConfig) -> int:
    """What a signature takes in memory."""
    return 64 + (4 * dedup.minhash.num_hashes if dedup.minhash is not None else 0)


def search_plan(
    output_dir: str,
    identity: str,
    dedup: DedupConfig,
    files: Sequence[SignedFile],
    earlier: Earlier,
) -> SearchPlan:
    """Part the files in blocks, and the rows in parts, that fit the memory."""
    assert len(files) <= MAX_FILES, f"{len(files)} signature files, the limit is 2**{FILE_BITS}"
    blocks: list[list[SignedFile]] = []
    held = 0
    for file in files:
        size = file.num_documents * bytes_per_document(dedup)
        if not blocks or held + size > dedup.memory_bytes or blocks[-1][-1].dataset != file.dataset:
            blocks.append([])
            held = 0
        blocks[-1].append(file)
        held += size
    num_documents = sum(file.num_documents for file in files)
    num_bands = 0 if dedup.minhash is None else dedup.minhash.num_bands
    row_bytes = max(96, 16 * num_bands) * num_documents
    num_committed = len(dedup.against)
    new = [file.number for file in files if file.dataset == num_committed]
    num_parts = max(1, -(-row_bytes // dedup.memory_bytes))
    layout = Layout(
        num_parts=num_parts,
        block_bounds=tuple(files[0].number << ROW_BITS for files in blocks[1:]),
        node_bounds=_node_bounds(files, num_parts),
        first_new=min(new, default=len(files)) << ROW_BITS,
        num_committed=num_committed,
        num_values=0 if dedup.minhash is None else dedup.minhash.num_hashes,
    )
    return SearchPlan(
        output_dir,
        identity,
        dedup,
        tuple(files),
        earlier,
        tuple(map(tuple, blocks)),
        layout,
    )


def _node_bounds(files: Sequence[SignedFile], num_parts: int) -> tuple[int, ...]:
    """Where parts of nodes begin: each dataset has its share of parts, by its documents."""
    by_dataset: dict[int, int] = {}
    for file in files:
        by_dataset[file.dataset] = by_dataset.get(file.dataset, 0) + file.num_documents
    total = max(sum(by_dataset.values()), 1)
    bounds: list[int] = []
    for dataset, num_documents in by_dataset.items():
        share = max(1, round(num_parts * num_documents / total)) if num_parts > 1 else 1
        bounds += [(dataset << 56) + (i << 56) // share for i in range(share)]
    return tuple(bounds[1:]) if num_parts > 1 else ()


class _Search:
    """Runs the steps of a plan, and remembers which rows each has made."""

    def __init__(self, plan: SearchPlan, run: RunStep, folder: str) -> None:
        self._plan = plan
        self._run = run
        self._folder = folder
        self._made: dict[str, list[SearchTask]] = {}

    def rows(self, step: str, what: str) -> tuple[RunSource, ...]:
        """The files of rows that a step has made; none where it did not run."""
        return tuple(
            RunSource(f"{self._folder.rstrip('/')}/{task.path(what)}")
            for task in self._made.get(step, ())
        )

    def over_blocks(
        self,
        step: str,
        function: Step,
        leave: frozenset[int] = frozenset(),
        **inputs: tuple[RunSource, ...],
    ) -> list[dict[str, Any]]:
        """Run a step over the blocks of all datasets but those to leave out."""
        bounds = self._plan.layout.block_bounds
        tasks = [
            replace(self._task(step, number, inputs), files=files, between=between)
            for number, (files, between) in enumerate(
                zip(self._plan.blocks, _ranges(bounds), strict=False)
            )
            if files[0].dataset not in leave
        ]
        return self._step(step, function, tasks)

    def over_hashes(
        self, step: str, function: Step, **inputs: tuple[RunSource, ...]
    ) -> list[dict[str, Any]]:
        """Run a step over the parts of hashes."""
        num_parts = self._plan.layout.num_parts
        bounds = [(i * TOP) // num_parts for i in range(1, num_parts)]
        return self._over_parts(step, function, bounds, inputs)

    def over_nodes(
        self, step: str, function: Step, **inputs: tuple[RunSource, ...]
    ) -> list[dict[str, Any]]:
        """Run a step over the parts of nodes."""
        return self._over_parts(step, function, self._plan.layout.node_bounds, inputs)

    def _over_parts(
        self,
        step: str,
        function: Step,
        bounds: Sequence[int],
        inputs: dict[str, tuple[RunSource, ...]],
    ) -> list[dict[str, Any]]:
        tasks = [
            replace(self._task(step, number, inputs), between=between)
            for number, between in enumerate(_ranges(bounds))
        ]
        return self._step(step, function, tasks)

    def _task(self, step: str, number: int, inputs: dict[str, tuple[RunSource, ...]]) -> SearchTask:
        plan = self._plan
        return SearchTask(
            output_dir=plan.output_dir,
            unit_id=plan.unit_id(step, number),
            step=step,
            folder=self._folder,
            dedup=plan.dedup,
            layout=plan.layout,
            inputs=inputs,
        )

    def _step(self, step: str, function: Step, tasks: list[SearchTask]) -> list[dict[str, Any]]:
        self._made[step] = tasks
        return self._run(step, function, tasks)

    def earlier(self, kind: str) -> tuple[RunSource, ...]:
        """Sorted keys of earlier datasets."""
        return self._plan.earlier.sources.get(kind, ())


def search(plan: SearchPlan, run: RunStep, folder: str) -> None:
    """All steps of a search; `plan.tables()` names what they leave.

    Args:
        plan: what is searched.
        run: runs the tasks of a step and gives their results.
        folder: under which the files of rows stand.
    """
    steps = _Search(plan, run, folder)
    sorted_before = plan.earlier.datasets
    steps.over_blocks("ids", id_rows, sorted_before)
    rows = steps.rows("ids", "rows") + steps.earlier(IDS)
    steps.over_hashes("repeats", repeats, rows=rows)
    repeated = steps.rows("repeats", "repeats")
    steps.over_blocks("texts", text_rows, sorted_before, repeats=repeated)
    rows = steps.rows("texts", "rows") + steps.earlier(TEXTS)
    counts = steps.over_hashes("same_texts", same_texts, rows=rows)
    found = steps.rows("same_texts", "found")
    if plan.dedup.minhash is not None:
        steps.over_blocks("bands", band_rows, sorted_before, repeats=repeated, found=found)
        rows = steps.rows("bands", "rows") + steps.earlier(BANDS)
        steps.over_hashes("candidates", candidates, rows=rows)
        steps.over_blocks("values", value_rows, pairs=steps.rows("candidates", "pairs"))
        counts += steps.over_blocks("similar", similar, rows=steps.rows("values", "rows"))
    links = steps.rows("same_texts", "links") + steps.rows("similar", "links")
    if any(count["num_rows"] for count in counts):
        links = _clustered(steps, links)
        steps.over_nodes("stars", stars, links=links)
        steps.over_blocks("star_values", value_rows, pairs=steps.rows("stars", "pairs"))
    steps.over_blocks(
        DEDUP,
        found_table,
        frozenset(range(plan.layout.num_committed)),
        repeats=repeated,
        found=found,
        rows=steps.rows("star_values", "rows"),
    )


def _clustered(steps: _Search, links: tuple[RunSource, ...]) -> tuple[RunSource, ...]:
    """Rounds of stars until none moves a link."""
    number, num_moved = 0, 1
    while num_moved:
        large, small = f"large_star_{number}", f"small_star_{number}"
        counts = steps.over_nodes(large, large_star_round, links=links)
        counts += steps.over_nodes(small, small_star_round, links=steps.rows(large, "links"))
        links = steps.rows(small, "links")
        num_moved = sum(count["num_moved"] for count in counts)
        number += 1
    return links


def _ranges(bounds: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise([0, *bounds, TOP]))


@dataclass(frozen=True)
class DedupTask:
    """A small search in one task."""

    output_dir: str
    unit_id: str
    plan: SearchPlan
    num_bytes: int


def dedup_all(task: DedupTask, progress: ProgressFile) -> Outcome:
    """All steps one after another; their rows are gone when it ends."""
    results: list[dict[str, Any]] = []

    def run(step: str, function: Step, tasks: Sequence[SearchTask]) -> list[dict[str, Any]]:
        del step
        results[:] = [function(part, progress).result for part in tasks]
        return list(results)

    with tempfile.TemporaryDirectory(prefix="headwater-dedup-") as folder:
        search(task.plan, run, folder)
    return Outcome((table_path(DEDUP, task.unit_id),), results[-1])
