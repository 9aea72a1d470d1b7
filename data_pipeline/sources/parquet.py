"""Parquet files with a column of text, read by row groups."""

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from contracts import storage
from contracts.errors import ConfigError
from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit
from data_pipeline.sources.input_files import units_of_files
from data_pipeline.sources.protocol import read_drop
from data_pipeline.sources.read_errors import raise_outage
from data_pipeline.sources.rows import RowsConfig, record_of_fields

BATCH_ROWS = 256


class ParquetConfig(RowsConfig):
    """Parquet files, one document a row."""

    kind: Literal["parquet"] = "parquet"

    def build(self) -> "Parquet":
        """The source."""
        return Parquet(self)


class Parquet:
    """One record a row; `Origin.offset` is the row's number in its file, counted from 0."""

    def __init__(self, config: ParquetConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """Unique in a job."""
        return self._config.source_name

    def plan(self) -> list[WorkUnit]:
        """One unit a file."""
        return units_of_files(self.name, self._config.files)

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        """Each row as a record, or why not; a file that cannot be read on is one drop.

        Raises:
            ConfigError: the file has no column of that name.
        """
        row = 0
        with storage.open_read(unit.url) as stream:
            try:
                table = pq.ParquetFile(stream)
                columns = self._columns(unit, table.schema_arrow)
                for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                    for fields in batch.to_pylist():
                        yield record_of_fields(self._config, fields, origin=Origin(unit.path, row))
                        row += 1
            except (pa.ArrowException, OSError) as error:
                raise_outage(error)
                origin = Origin(unit.path, row)
                yield read_drop(self.name, origin, "damaged_file", value=str(error), uri=unit.path)

    def _columns(self, unit: WorkUnit, schema: pa.Schema) -> list[str]:
        config = self._config
        if config.text_field not in schema.names:
            raise ConfigError(
                f"{unit.url} has no column {config.text_field!r}, "
                f"it has: {', '.join(schema.names)}; "
                f"set text_field of source {self.name}"
            )
        wanted = [config.text_field, config.id_field, config.uri_field, *config.metadata_fields]
        return [name for name in dict.fromkeys(wanted) if name is not None and name in schema.names]
