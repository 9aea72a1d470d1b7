"""The driver of deduplication: which signature files are searched, and the keys kept for later."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from contracts import storage
from contracts.config import Json
from data_pipeline.dedup import DedupConfig, dataset_files, num_signatures
from data_pipeline.dedup.key_index import (
    KINDS,
    KeyIndex,
    read_key_index,
    run_path,
    write_key_index,
)
from data_pipeline.dedup.runs import TOP, RunSource
from data_pipeline.dedup.signature_store import parameters
from data_pipeline.document_index import INDEX_PATH, DocumentIndex
from data_pipeline.ledger import unit_id
from data_pipeline.stage_runner import StageRunner
from data_pipeline.stages.keys import KeysTask, kinds_of, write_keys
from data_pipeline.stages.lines import (
    LinesTask,
    RepeatedLinesTask,
    lines_path,
    repeated_lines,
    unit_lines,
)
from data_pipeline.stages.search import (
    DEDUP,
    DedupTask,
    Earlier,
    Step,
    bytes_per_document,
    dedup_all,
    search,
    search_plan,
)
from data_pipeline.stages.search_task import SearchTask, SignedFile


def dedup_identity(dedup: DedupConfig, map_ids: Sequence[str]) -> str:
    """Id of the dedup of these units; the stores it looks at count by what they hold now."""
    against: list[Json] = []
    for folder in dedup.against:
        url = storage.join(folder, INDEX_PATH)
        # A folder without a store is refused where its signatures are read.
        against.append(storage.sha256_of(url) if storage.exists(url) else None)
    held: list[Json] = [against] if against else []
    return unit_id("dedup", dedup.identity(), list(map_ids), *held)


def find_all_duplicates(
    output_dir: str,
    dedup: DedupConfig,
    new: Sequence[tuple[str, int]],
    stages: StageRunner,
    *,
    identity: str,
) -> dict[int, str]:
    """Compare all signatures, in one task or in many.

    Args:
        output_dir: the job's folder.
        dedup: how.
        new: the signature file of each unit, relative to the folder, and its documents.
        stages: runs the tasks.
        identity: `dedup_identity`.

    Returns:
        The table that tells the duplicates of each unit, relative to the folder.
    """
    files, earlier = _earlier_files(dedup)
    first, dataset = len(files), len(dedup.against)
    for unit, (path, count) in enumerate(new):
        url = storage.join(output_dir, path)
        files.append(SignedFile(url, first + unit, dataset, count, unit))
    plan = search_plan(output_dir, identity, dedup, files, earlier)
    if plan.is_small:
        size = sum(count for _, count in new) * bytes_per_document(dedup)
        task = DedupTask(output_dir, plan.unit_id(DEDUP, len(plan.blocks) - 1), plan, size)
        stages.run(DEDUP, dedup_all, [task])
        return plan.tables()

    def run(step: str, function: Step, tasks: Sequence[SearchTask]) -> list[dict[str, Any]]:
        return stages.run(step, function, tasks)

    search(plan, run, output_dir)
    return plan.tables()


def _earlier_files(dedup: DedupConfig) -> tuple[list[SignedFile], Earlier]:
    """The signature files of the earlier datasets, and those of their keys that are sorted."""
    files: list[SignedFile] = []
    sources: dict[str, tuple[RunSource, ...]] = dict.fromkeys(KINDS, ())
    is_sorted = set()
    for dataset, folder in enumerate(dedup.against):
        first = len(files)
        index = read_key_index(folder)
        if index is not None and index.suits(dedup):
            is_sorted.add(dataset)
            for kind in kinds_of(dedup):
                found = index.sources(folder, kind, dataset=dataset, first_file=first)
                sources[kind] += tuple(found)
            counted = [(storage.join(folder, path), count) for path, count in index.signatures]
        else:
            urls = dataset_files(folder)
            counted = [(url, num_signatures(url, dedup)) for url in urls]
        files += [
            SignedFile(url, first + i, dataset, count, -1) for i, (url, count) in enumerate(counted)
        ]
    return files, Earlier(frozenset(is_sorted), sources)


@dataclass(frozen=True)
class KeptText:
    """A unit's texts before publication."""

    documents_path: str
    """Relative to the output folder."""
    duplicates_path: str
    """Table that tells the duplicates among them."""
    text_bytes: int


def find_repeated_lines(
    output_dir: str,
    dedup: DedupConfig,
    texts: Sequence[KeptText],
    stages: StageRunner,
    *,
    identity: str,
) -> tuple[str, ...]:
    """Stages `lines` and `repeated_lines`: the lines that hosts repeat.

    Args:
        output_dir: the job's folder.
        dedup: how.
        texts: of each unit, by its place in the plan.
        stages: runs the tasks.
        identity: `dedup_identity`.

    Returns:
        The files that name the lines to remove, relative to the folder; none where it is off.
    """
    config = dedup.boilerplate
    if config is None:
        return ()
    # A row of 24 bytes for a line of at least as much text.
    num_parts = max(1, -(-sum(text.text_bytes for text in texts) // dedup.memory_bytes))
    tasks = [
        LinesTask(
            output_dir=output_dir,
            unit_id=unit_id("lines", identity, num_parts, ordinal),
            documents_path=text.documents_path,
            duplicates_path=text.duplicates_path,
            ordinal=ordinal,
            boilerplate=config,
            num_parts=num_parts,
            memory_bytes=dedup.memory_bytes,
            num_bytes=text.text_bytes,
        )
        for ordinal, text in enumerate(texts)
    ]
    stages.run("lines", unit_lines, tasks)
    inputs = tuple(lines_path("lines", task.unit_id) for task in tasks)
    bounds = [(i * TOP) // num_parts for i in range(num_parts + 1)]
    parts = [
        RepeatedLinesTask(
            output_dir=output_dir,
            unit_id=unit_id("repeated_lines", identity, num_parts, part),
            between=between,
            inputs=inputs,
            num_units=len(texts),
            boilerplate=config,
            memory_bytes=dedup.memory_bytes,
        )
        for part, between in enumerate(pairwise(bounds))
    ]
    stages.run("repeated_lines", repeated_lines, parts)
    return tuple(lines_path("repeated_lines", task.unit_id) for task in parts)


def keep_keys(dedup: DedupConfig, index: DocumentIndex, stages: StageRunner) -> list[str]:
    """Stage `keys`: the sorted keys of what is kept; the files, relative to the output folder."""
    if not dedup.keep_keys:
        return []
    output_dir = index.where
    counted = sorted((file.signatures_path, file.num_kept) for file in index.files)
    files = [
        SignedFile(storage.join(output_dir, path), number, 0, count, -1)
        for number, (path, count) in enumerate(counted)
    ]
    identity = unit_id("keys", dedup.identity(), [path for path, _ in counted])
    plan = search_plan(output_dir, identity, dedup, files, Earlier())
    tasks = [
        KeysTask(
            output_dir=output_dir,
            unit_id=plan.unit_id("keys", number),
            dedup=dedup,
            layout=plan.layout,
            files=block,
            num_bytes=sum(file.num_documents for file in block) * bytes_per_document(dedup),
        )
        for number, block in enumerate(plan.blocks)
    ]
    stages.run("keys", write_keys, tasks)
    units = tuple(task.unit_id for task in tasks)
    write_key_index(
        KeyIndex(parameters(dedup), dedup.url, dedup.exact, tuple(counted), units), output_dir
    )
    return [run_path(unit, kind) for unit in units for kind in kinds_of(dedup)]
