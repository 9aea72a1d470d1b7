"""The driver of deduplication: which signature files are searched, and the keys kept for later."""

from collections.abc import Sequence
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
    GatherTask,
    KeptText,
    LinesTask,
    group_lines,
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


def find_repeated_lines(
    output_dir: str,
    dedup: DedupConfig,
    texts: Sequence[KeptText],
    stages: StageRunner,
    *,
    identity: str,
) -> dict[int, str]:
    """Stages `lines`, `repeated_lines` and `group_lines`: the lines that hosts repeat.

    Args:
        output_dir: the job's folder.
        dedup: how.
        texts: of each unit, by its place in the plan.
        stages: runs the tasks.
        identity: `dedup_identity`.

    Returns:
        The file that names the lines to remove from each unit; none where it is off.
    """
    config = dedup.boilerplate
    if config is None:
        return {}
    groups = _groups(texts, dedup.memory_bytes)
    num_parts = len(groups)  # a row of 24 bytes for a line of about as much text, or more
    tasks = [
        LinesTask(
            output_dir=output_dir,
            unit_id=unit_id("lines", identity, num_parts, number),
            texts=group,
            boilerplate=config,
            num_parts=num_parts,
            memory_bytes=dedup.memory_bytes,
        )
        for number, group in enumerate(groups)
    ]
    stages.run("lines", unit_lines, tasks)
    starts = [group[0].ordinal for group in groups]
    hosts = [(i * TOP) // num_parts for i in range(num_parts + 1)]
    paths = [lines_path("lines", task.unit_id) for task in tasks]
    for stage, function, edges in (
        ("repeated_lines", repeated_lines, hosts),
        ("group_lines", group_lines, [*starts, len(texts)]),
    ):
        parts = [
            GatherTask(
                output_dir=output_dir,
                unit_id=unit_id(stage, identity, num_parts, part),
                between=between,
                inputs=tuple(paths),
                bounds=tuple(starts[1:]),
                boilerplate=config,
                memory_bytes=dedup.memory_bytes,
            )
            for part, between in enumerate(pairwise(edges))
        ]
        stages.run(stage, function, parts)
        paths = [lines_path(stage, task.unit_id) for task in parts]
    return {text.ordinal: path for group, path in zip(groups, paths, strict=True) for text in group}


def _groups(texts: Sequence[KeptText], limit: int) -> list[tuple[KeptText, ...]]:
    """Neighbouring units, as many as hold about so much text."""
    groups: list[list[KeptText]] = [[]]
    held = 0
    for text in texts:
        if groups[-1] and held + text.text_bytes > limit:
            groups.append([])
            held = 0
        groups[-1].append(text)
        held += text.text_bytes
    return [tuple(group) for group in groups]


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
