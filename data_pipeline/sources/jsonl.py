"""JSON lines, plain, gzip or zstd: one object a line, its text in a named field."""

import json
from collections.abc import Iterator
from typing import Literal

from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit
from data_pipeline.sources.input_files import units_of_files
from data_pipeline.sources.protocol import read_drop
from data_pipeline.sources.read_errors import BROKEN
from data_pipeline.sources.rows import RowsConfig, record_of_fields
from data_pipeline.sources.text_lines import numbered_lines, open_inflated


class JsonlConfig(RowsConfig):
    """Files of one JSON object a line: .jsonl, .jsonl.gz, .jsonl.zst."""

    kind: Literal["jsonl"] = "jsonl"

    def build(self) -> "Jsonl":
        """The source."""
        return Jsonl(self)


class Jsonl:
    """One record a line; `Origin.offset` is the line's number, as the file may be compressed."""

    def __init__(self, config: JsonlConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """Unique in a job."""
        return self._config.source_name

    def plan(self) -> list[WorkUnit]:
        """One unit a file."""
        return units_of_files(self.name, self._config.files)

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        """Each line as a record, or why not; what follows damage in the file is one drop."""
        number = 0
        with open_inflated(unit.url) as stream:
            try:
                for number, line in numbered_lines(stream):
                    if line.strip():
                        yield self._record(unit, number, line)
            except BROKEN as error:
                origin = Origin(unit.path, number + 1)
                yield read_drop(self.name, origin, "damaged_file", value=str(error), uri=unit.path)

    def _record(self, unit: WorkUnit, number: int, line: bytes) -> RawRecord | Drop:
        origin = Origin(unit.path, number)
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            return read_drop(self.name, origin, "invalid_json", value=str(error))
        if not isinstance(fields, dict):
            return read_drop(self.name, origin, "not_an_object", value=type(fields).__name__)
        return record_of_fields(self._config, fields, origin=origin)
