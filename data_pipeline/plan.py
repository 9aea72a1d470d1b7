"""Plan: the work units of all sources, in order, and which of their files are written together."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from contracts.config import Json, as_tree
from contracts.errors import DataError
from data_pipeline.config import DataConfig
from data_pipeline.document_index import StoreFile
from data_pipeline.filters import sections_identity
from data_pipeline.ledger import unit_id
from data_pipeline.records import WorkUnit
from data_pipeline.sources import SourceConfig

BYTES_PER_TOKEN = 4
"""Text behind a token, roughly: a write group takes as much text as about fills one shard."""


@dataclass(frozen=True)
class PlannedUnit:
    """One work unit in its place."""

    ordinal: int
    source: SourceConfig
    unit: WorkUnit
    map_id: str


def plan_units(
    config: DataConfig, sources: Sequence[SourceConfig] | None = None
) -> list[PlannedUnit]:
    """All work units of all sources, in the order of the config.

    Args:
        config: how they are read.
        sources: which of its sources to list; None: all.

    Raises:
        DataError: there are none.
    """
    reading: list[Json] = [
        as_tree(config.extractor),
        # Where a limit is hit, it decides about a page: other limits are other units.
        None if config.limits is None else as_tree(config.limits),
        sections_identity([config.opt_out, *config.filters, config.pii]),
        None if config.dedup.minhash is None else dict(config.dedup.minhash.fingerprint()),
    ]
    planned: list[PlannedUnit] = []
    for source in config.sources if sources is None else sources:
        units = source.build().plan()
        if not units:
            raise DataError(
                f"source {source.source_name!r}: nothing to read; check its paths and its selection"
            )
        for unit in units:
            map_id = unit_id("map", asdict(unit), source.identity(), *reading)
            planned.append(PlannedUnit(len(planned), source, unit, map_id))
    return planned


def groups_of(files: Sequence[StoreFile], config: DataConfig) -> Iterator[list[StoreFile]]:
    """Neighbouring files of one source, as many as give about one shard of tokens."""
    limit = config.shards.shard_tokens * BYTES_PER_TOKEN
    group: list[StoreFile] = []
    size = 0
    for file in files:
        group.append(file)
        size += file.text_bytes
        if size >= limit:
            yield group
            group, size = [], 0
    if group:
        yield group
