"""What a data job has recorded of its documents: which files hold it, finished job or running.

The stage `map` keeps every document with all its measured values: those that passed the filters in
one file, the refused ones in another. What later stages take out (duplicates) stands in files of
their own, by doc_id.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts import storage
from contracts.config import parse_yaml, validated
from contracts.errors import DataError
from data_pipeline.config import DataConfig
from data_pipeline.document_index import INDEX_PATH, read_index
from data_pipeline.documents import MEASURE_PREFIX
from data_pipeline.ledger import Ledger
from data_pipeline.plan import plan_units

CONFIG_PATH = "config.yaml"


@dataclass(frozen=True)
class RecordedUnit:
    """The files of one work unit."""

    source: str
    passed_url: str
    """Documents that the filters kept, with their texts."""
    refused_url: str
    """Drops of reading, extracting and filtering."""
    later_urls: tuple[str, ...]
    """Drops of the stages behind the filters; none while these have not run."""


@dataclass(frozen=True)
class Recorded:
    """What a job has recorded so far."""

    where: str
    """Output folder."""
    config: DataConfig
    """The config it ran with."""
    units: tuple[RecordedUnit, ...]
    is_finished: bool
    """Whether all units are read and deduplicated."""


def read_recorded(config: DataConfig) -> Recorded:
    """What the job of a config's output folder (or `documents_dir`) has recorded.

    Raises:
        DataError: no job has run there, or nothing of it is finished yet.
    """
    folder = config.output_dir
    if config.start_from == "documents":
        folder = config.documents_dir or folder
    url = storage.join(folder, CONFIG_PATH)
    if not storage.exists(url):
        raise DataError(f"{url} is missing: no data job has run there; run it first")
    ran_with = validated(
        DataConfig, parse_yaml(storage.read_bytes(url).decode(), where=url), where=url
    )
    units, is_finished = _units(folder, ran_with)
    if not units:
        raise DataError(f"{folder}: no work unit is finished yet; try again when one is")
    return Recorded(folder, ran_with, units, is_finished)


def _units(folder: str, config: DataConfig) -> tuple[tuple[RecordedUnit, ...], bool]:
    if storage.exists(storage.join(folder, INDEX_PATH)):
        index = read_index(folder)
        if index.config_sha256 == config.documents_sha256:
            found = [(file.source, *file.drops_paths) for file in index.files]
            return tuple(_unit(folder, *paths) for paths in found), True
    ledger = Ledger(folder)
    finished = (
        (item.source.source_name, f"work/map/{item.map_id}.drops.parquet")
        for item in plan_units(config)
        if ledger.find("map", item.map_id) is not None
    )
    return tuple(_unit(folder, *paths) for paths in finished), False


def _unit(folder: str, source: str, drops_path: str, *later_paths: str) -> RecordedUnit:
    passed_path = drops_path.replace(".drops.parquet", ".documents.parquet")
    unit = RecordedUnit(
        source=source,
        passed_url=storage.join(folder, passed_path),
        refused_url=storage.join(folder, drops_path),
        later_urls=tuple(storage.join(folder, path) for path in later_paths),
    )
    if not storage.exists(unit.passed_url):
        raise DataError(
            f"{unit.passed_url} is missing: what the filters measured is gone with it; run the job "
            "again"
        )
    return unit


def read_columns(url: str, columns: list[str]) -> pa.Table:
    """Columns of a file, and all its measures.

    Raises:
        DataError: the file is missing, torn, or not of the document store.
    """
    with storage.open_read(url) as stream:
        try:
            file = pq.ParquetFile(stream)
            measures = [n for n in file.schema_arrow.names if n.startswith(MEASURE_PREFIX)]
            return file.read([*columns, *measures])
        except (pa.ArrowInvalid, KeyError) as error:
            raise DataError(
                f"{url} is not a document store file: {error}; run the data job again"
            ) from error


def rows_where(url: str, column: str, value: str) -> Iterator[dict[str, Any]]:
    """The rows of a file in which a column has a value; of the other row groups only that column.

    Raises:
        DataError: the file is missing, torn, or not of the document store.
    """
    with storage.open_read(url) as stream:
        try:
            file = pq.ParquetFile(stream)
            for group in range(file.num_row_groups):
                found = pc.equal(file.read_row_group(group, columns=[column]).column(0), value)
                if pc.any(found).as_py():
                    yield from file.read_row_group(group).filter(found).to_pylist()
        except (pa.ArrowInvalid, KeyError) as error:
            raise DataError(
                f"{url} is not a document store file: {error}; run the data job again"
            ) from error
