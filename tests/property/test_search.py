"""The search over files finds what the reference finds in memory, however it is parted."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data_pipeline.dedup import (
    DedupConfig,
    MinHashConfig,
    find_duplicates,
    signature_table,
    write_signatures,
)
from data_pipeline.dedup.matching import both_directions, large_star, small_star
from data_pipeline.dedup.rows import sorted_rows
from data_pipeline.dedup.runs import RunSource, hash_bounds, merged, run_writer
from data_pipeline.progress import ProgressFile
from data_pipeline.records import DuplicateOf, Signature
from data_pipeline.stages.search import Earlier, Step, search, search_plan
from data_pipeline.stages.search_task import SearchTask, SignedFile
from data_pipeline.stages.search_values import duplicates_of

Dataset = list[list[Signature]]


def config(max_comparisons: int = 16) -> DedupConfig:
    return DedupConfig(
        minhash=MinHashConfig(num_bands=3, rows_per_band=2, min_similarity=0.5),
        max_comparisons=max_comparisons,
        memory_bytes=4 << 20,
    )


@st.composite
def datasets(draw: st.DrawFn) -> list[Dataset]:
    """Three datasets of up to three files; few different values, so that bands meet and chain."""
    found: list[Dataset] = [[[] for _ in range(draw(st.integers(1, 3)))] for _ in range(3)]
    for i in range(draw(st.integers(0, 30))):
        values = draw(st.lists(st.integers(0, 2), min_size=6, max_size=6))
        is_short = draw(st.booleans()) and draw(st.booleans())
        digest = bytes([draw(st.integers(0, 40))]) * 16
        doc_id = f"{(i * 7919) % 1000:03d}{i:029x}"
        files = found[draw(st.integers(0, 2))]
        signature = Signature(doc_id, digest, np.array([] if is_short else values, dtype=np.uint32))
        files[draw(st.integers(0, len(files) - 1))].append(signature)
    return found


def searched(
    found: Sequence[Dataset],
    num_committed: int,
    config: DedupConfig,
    *,
    documents_claimed: int = 0,
) -> list[DuplicateOf]:
    """What the search finds; more documents claimed of a file make more blocks and parts."""
    with tempfile.TemporaryDirectory() as folder:
        files: list[SignedFile] = []
        for dataset, parts in enumerate(found):
            for part in parts:
                url = f"{folder}/{len(files)}.parquet"
                write_signatures(url, part, config)
                is_new = dataset >= num_committed
                count = documents_claimed or len(part)
                place = min(dataset, num_committed)
                unit = len(files) if is_new else -1
                files.append(SignedFile(url, len(files), place, count, unit))
        given = config.model_copy(update={"against": tuple(map(str, range(num_committed)))})
        plan = search_plan(folder, "id", given, files, Earlier())

        def run(_: str, function: Step, tasks: Sequence[SearchTask]) -> list[dict[str, Any]]:
            progress = ProgressFile(folder, "x")
            return [function(task, progress).result for task in tasks]

        search(plan, run, folder)
        tables = plan.tables()
        duplicates = [
            duplicate
            for unit, path in tables.items()
            for duplicate in duplicates_of(str(Path(folder) / path), unit).values()
        ]
    return sorted(duplicates, key=lambda duplicate: duplicate.doc_id)


def expected(
    found: Sequence[Dataset], num_committed: int, config: DedupConfig
) -> list[DuplicateOf]:
    old = [[s for part in dataset for s in part] for dataset in found[:num_committed]]
    new = [s for dataset in found[num_committed:] for part in dataset for s in part]
    return find_duplicates(signature_table([*old, new], num_committed), config)


@given(datasets(), st.integers(0, 3), st.sampled_from([0, 10_000, 60_000]))
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_the_search_over_files_finds_what_the_reference_finds(
    found: list[Dataset], num_committed: int, documents_claimed: int
) -> None:
    wanted = expected(found, num_committed, config())
    assert searched(found, num_committed, config(), documents_claimed=documents_claimed) == wanted


@given(datasets(), st.integers(0, 3), st.integers(1, 3))
@settings(max_examples=15, deadline=None, phases=[Phase.generate])
def test_a_bound_on_comparisons_is_the_same_bound(
    found: list[Dataset], num_committed: int, max_comparisons: int
) -> None:
    bounded = config(max_comparisons)
    assert searched(found, num_committed, bounded) == expected(found, num_committed, bounded)


@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=200),
    st.integers(1, 5),
    st.integers(1, 7),
)
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_merged_runs_are_the_sorted_rows(
    pairs: list[tuple[int, int]], num_files: int, num_parts: int
) -> None:
    rows = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    bounds = hash_bounds(num_parts)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(num_files):
            url = f"{folder}/{number}.runs"
            with run_writer(url, 2, bounds=bounds, memory_bytes=6 * 16 * 10) as writer:
                writer.add(rows[number::num_files])
        sources = [RunSource(f"{folder}/{number}.runs") for number in range(num_files)]
        edges = [0, *bounds.tolist(), 1 << 64]
        found = [
            piece
            for low, high in pairwise(edges)
            for piece in merged(sources, 2, between=(low, high), memory_bytes=6 * 4096 * 100)
        ]
    joined = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *found])
    assert joined.tolist() == sorted(map(list, pairs))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_stars_end_with_each_node_linked_to_the_lowest_of_its_component(
    pairs: list[tuple[int, int]],
) -> None:
    lowest = list(range(21))
    for a, b in pairs:
        low, high = sorted((lowest[a], lowest[b]))
        lowest = [low if root == high else root for root in lowest]
    edges = [(0, 0, a, 0, 0, b) for a, b in pairs if a != b]
    links = np.array(edges, dtype=np.uint64).reshape(-1, 6)
    links = sorted_rows(both_directions(links))
    moved = 1
    while moved:
        moved = 0
        for star, turn in ((large_star, lambda rows: rows), (small_star, both_directions)):
            # Pieces of three rows: groups go on from piece to piece.
            pieces = [links[i : i + 3] for i in range(0, len(links), 3)]
            made = [turn(rows) for rows, count in star(pieces) if (moved := moved + count) >= 0]
            links = sorted_rows(np.concatenate([np.zeros((0, 6), dtype=np.uint64), *made]))
    found = {int(row[2]): int(row[5]) for row in links if row[2] > row[5]}
    assert found == {node: root for node, root in enumerate(lowest) if node != root}
