"""The stages of the data job as lists of tasks: what each unit needs, and the name it gets by that.

A unit's id covers its inputs, the sections of the config that change its outputs, and the ids of
the units before it: a changed section gives new ids to the stages it concerns and those behind.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts import storage
from contracts.config import Json, as_tree
from contracts.errors import DataError
from contracts.shards import ShardInfo
from data_pipeline.config import DataConfig
from data_pipeline.document_index import DocumentIndex, StoreFile
from data_pipeline.drop_bounds import DropBounds
from data_pipeline.duplicates import (
    dedup_identity,
    find_all_duplicates,
    find_repeated_lines,
)
from data_pipeline.ledger import unit_id
from data_pipeline.plan import PlannedUnit, groups_of
from data_pipeline.quarantine import Quarantined, write_quarantine
from data_pipeline.sources.protocol import READ
from data_pipeline.stage_runner import Found, StageRunner
from data_pipeline.stages.counting import UnitCounts
from data_pipeline.stages.lines import KeptText
from data_pipeline.stages.map import MapTask, map_unit, signatures_path
from data_pipeline.stages.publish import PublishTask, publish_unit
from data_pipeline.stages.record_work import UNREADABLE_FILE, UnitWork
from data_pipeline.stages.task import work_path
from data_pipeline.stages.tokenizer import SampleTask, TokenizerTask, make_tokenizer, sample_unit
from data_pipeline.stages.write import PASSES, WriteTask, write_group
from data_pipeline.tokenization import (
    ExistingTokenizerConfig,
    TokenizerConfig,
    TrainTokenizerConfig,
    resolve_tokenizer,
)


@dataclass(frozen=True)
class WrittenGroup:
    """The shards of one group, still under their unit's names."""

    source: str
    unit_id: str
    shards: dict[str, tuple[ShardInfo, ...]]
    """By split, in order; paths relative to `work/write`."""


@dataclass(frozen=True)
class Mapped:
    """A unit that was read, and its counts."""

    planned: PlannedUnit
    counts: UnitCounts


def map_units(
    config: DataConfig, planned: Sequence[PlannedUnit], stages: StageRunner
) -> list[Mapped]:
    """Stage `map`: read, extract, filter and sign each unit."""
    tasks = [
        MapTask(
            output_dir=config.output_dir,
            unit_id=item.map_id,
            work=UnitWork(
                unit=item.unit,
                source=item.source,
                extractor=config.extractor,
                filters=config.filters,
                dedup=config.dedup,
                opt_out=config.opt_out,
                pii=config.pii,
            ),
            limits=config.limits,
        )
        for item in planned
    ]
    bounds = DropBounds(
        config.max_drop_rate,
        max_stage_drop_rates=config.max_stage_drop_rates,
        after_pages=config.drop_rates_after_pages,
        source_bytes=_bytes_by_source(planned),
    )

    def watch(task: MapTask, found: Found) -> None:
        if found.result is None:
            bounds.left_out(task.unit.source, task.num_bytes, str(found.error))
        else:
            bounds.add(task.unit.source, UnitCounts.from_json(found.result))

    found = stages.run_each("map", map_unit, tasks, watch=watch)
    bounds.require()
    mapped: list[Mapped] = []
    quarantined: list[Quarantined] = []
    for item, of_unit in zip(planned, found, strict=True):
        if of_unit.result is not None:
            # Units that were left out leave no gap: places count those that were read.
            counts = UnitCounts.from_json(of_unit.result)
            mapped.append(Mapped(replace(item, ordinal=len(mapped)), counts))
        entry = quarantined_unit(item, of_unit)
        if entry is not None:
            quarantined.append(entry)
    write_quarantine(quarantined, config.output_dir)
    return mapped


def _bytes_by_source(planned: Sequence[PlannedUnit]) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for item in planned:
        sizes[item.unit.source] += item.unit.size_bytes
    return sizes


def quarantined_unit(item: PlannedUnit, found: Found) -> Quarantined | None:
    """The entry of a unit that was left out or cut short; None of one that was read."""
    unit = item.unit
    if found.result is None:
        error = f"{type(found.error).__name__}: {found.error}"
        place = (unit.source, unit.url, unit.start, error, found.attempts)
        return Quarantined("left_out", "map", item.map_id, *place)
    if UNREADABLE_FILE in UnitCounts.from_json(found.result).dropped.get(READ, {}):
        error = "reading ended early: see its drop `unreadable_file`"
        return Quarantined(
            "cut_short", "map", item.map_id, unit.source, unit.url, unit.start, error, 1
        )
    return None


def publish_identity(planned: PlannedUnit, dedup_id: str) -> str:
    """Id under which a unit's kept documents stand in the store."""
    return unit_id("publish", planned.map_id, dedup_id, planned.ordinal)


def tokenizer_identity(config: TokenizerConfig) -> Json:
    """What decides about the tokenizer beside the text: its section, and an existing model's bytes.

    Raises:
        DataError: an existing model is missing or cannot be used.
    """
    if isinstance(config, ExistingTokenizerConfig):
        return [as_tree(config), resolve_tokenizer(config).spec.sha256]
    return as_tree(config)


def publish_units(
    config: DataConfig, mapped: Sequence[Mapped], stages: StageRunner
) -> DocumentIndex:
    """The stages of deduplication, and `publish`: the documents without the duplicates."""
    dedup_id = dedup_identity(config.dedup, [item.planned.map_id for item in mapped])
    tables = find_all_duplicates(
        config.output_dir,
        config.dedup,
        [(signatures_path(item.planned.map_id), item.counts.num_kept) for item in mapped],
        stages,
        identity=dedup_id,
    )
    texts = [
        KeptText(
            item.planned.ordinal,
            work_path("map", item.planned.map_id, "documents.parquet"),
            tables[item.planned.ordinal],
            item.counts.text_bytes,
        )
        for item in mapped
    ]
    lines_paths = find_repeated_lines(
        config.output_dir, config.dedup, texts, stages, identity=dedup_id
    )
    tasks = [
        PublishTask(
            output_dir=config.output_dir,
            unit_id=publish_identity(item.planned, dedup_id),
            map_id=item.planned.map_id,
            duplicates_path=tables[item.planned.ordinal],
            source=item.planned.unit.source,
            ordinal=item.planned.ordinal,
            dedup=config.dedup,
            num_bytes=item.counts.text_bytes,
            lines_path=lines_paths.get(item.planned.ordinal),
        )
        for item in mapped
    ]
    results = stages.run("publish", publish_unit, tasks)
    files = [
        _store_file(item, task, UnitCounts.from_json(result))
        for item, task, result in zip(mapped, tasks, results, strict=True)
    ]
    return DocumentIndex(tuple(files), config.documents_sha256, where=config.output_dir)


def _store_file(item: Mapped, task: PublishTask, published: UnitCounts) -> StoreFile:
    read = item.counts
    dropped = read.dropped | published.dropped
    num_dropped = read.num_dropped + published.num_dropped
    if read.num_in != published.num_kept + num_dropped or read.num_kept != published.num_in:
        raise DataError(
            f"unit {item.planned.unit.url}: {read.num_in} records came in, but "
            f"{published.num_kept} kept and {num_dropped} dropped are "
            f"{published.num_kept + num_dropped}; the files under work/ do not belong together: "
            "remove work/ and ledger/ and run again"
        )
    return StoreFile(
        source=task.source,
        unit_id=task.unit_id,
        path=task.documents_path,
        signatures_path=task.signatures_path,
        drops_paths=(
            work_path("map", task.map_id, "drops.parquet"),
            work_path("publish", task.unit_id, "drops.parquet"),
        ),
        num_in=read.num_in,
        num_kept=published.num_kept,
        text_bytes=published.text_bytes,
        dropped=dropped,
        languages=published.languages,
        lengths=published.lengths,
        other_records=read.other_records,
        read_bytes=item.planned.unit.size_bytes,
    )


def make_tokenizer_model(config: DataConfig, index: DocumentIndex, stages: StageRunner) -> str:
    """Stages `sample` and `tokenizer`; path of the model in the output folder."""
    tokenizer = config.tokenizer
    sample_ids: list[str] = []
    if isinstance(tokenizer, TrainTokenizerConfig):
        sample = tokenizer.sample
        tasks = [
            SampleTask(
                output_dir=config.output_dir,
                unit_id=unit_id("sample", as_tree(sample), file.unit_id),
                documents_url=index.url(file.path),
                sample=sample,
                num_bytes=file.text_bytes,
            )
            for file in index.files
        ]
        stages.run("sample", sample_unit, tasks)
        sample_ids = [task.unit_id for task in tasks]
    task = TokenizerTask(
        output_dir=config.output_dir,
        unit_id=unit_id("tokenizer", tokenizer_identity(tokenizer), list(sample_ids)),
        sample_ids=tuple(sample_ids),
        tokenizer=tokenizer,
        num_bytes=1,
    )
    stages.run("tokenizer", make_tokenizer, [task])
    return work_path("tokenizer", task.unit_id, "model")


def write_groups(
    config: DataConfig, index: DocumentIndex, model_path: str, stages: StageRunner
) -> list[WrittenGroup]:
    """Stage `write`: tokenise, pack and write each group of each source."""
    tokenizer_id = model_path.rpartition("/")[2].partition(".")[0]
    tasks = [
        WriteTask(
            output_dir=config.output_dir,
            unit_id=unit_id(
                "write",
                as_tree(config.split),
                as_tree(config.shards),
                tokenizer_id,
                number,
                [file.unit_id for file in files],
            ),
            source=source,
            group=number,
            documents_urls=tuple(index.url(file.path) for file in files),
            tokenizer_url=storage.join(config.output_dir, model_path),
            split=config.split,
            shards=config.shards,
            num_bytes=sum(file.text_bytes for file in files),
        )
        for source in index.sources
        for number, files in enumerate(groups_of(index.of_source(source), config))
    ]
    results = stages.run("write", write_group, tasks, passes=PASSES)
    return [_written_group(task, result) for task, result in zip(tasks, results, strict=True)]


def _written_group(task: WriteTask, result: dict[str, Any]) -> WrittenGroup:
    shards = {
        split: tuple(ShardInfo(**info) for info in infos)
        for split, infos in result["shards"].items()
    }
    return WrittenGroup(task.source, task.unit_id, shards)
