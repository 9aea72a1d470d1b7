"""JSON lines, plain, gzip or zstd: one object a line, its text in a named field."""

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit
from data_pipeline.sources.input_files import units_of_files
from data_pipeline.sources.protocol import NamedSourceConfig, read_drop
from data_pipeline.sources.text_lines import BROKEN, numbered_lines, open_inflated


class JsonlConfig(NamedSourceConfig):
    """Files of one JSON object a line."""

    kind: Literal["jsonl"] = "jsonl"
    files: tuple[str, ...] = Field(min_length=1)
    """Globs of .jsonl, .jsonl.gz, .jsonl.zst."""
    text_field: str = "text"
    """Field that holds the text."""
    id_field: str | None = None
    """Field that names the record; None: file name and line number."""
    uri_field: str | None = "url"
    """Field that holds the address; where it is absent, or None here: file and line number."""
    metadata_fields: tuple[str, ...] = ()
    """Fields that go into the document's metadata as text."""

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
        origin = Origin(unit.path, number, len(line))
        try:
            fields = json.loads(line)
        except ValueError as error:
            return read_drop(self.name, origin, "invalid_json", value=str(error))
        if not isinstance(fields, dict):
            return read_drop(self.name, origin, "not_an_object", value=type(fields).__name__)
        return record_of_fields(self._config, fields, origin=origin)


def record_of_fields(
    config: "JsonlConfig | Any", fields: Mapping[str, object], *, origin: Origin
) -> RawRecord | Drop:
    """A record of named fields; used for every format of rows with columns.

    Args:
        config: has text_field, id_field, uri_field, metadata_fields, licence and source_name.
        fields: values by name.
        origin: where they stand.
    """
    place = f"{posixpath.basename(origin.path)}:{origin.offset}"
    text = fields.get(config.text_field)
    record_id = str(fields.get(config.id_field) or place) if config.id_field else place
    address = fields.get(config.uri_field) if config.uri_field else None
    uri = str(address or f"{origin.path}#{origin.offset}")
    if not isinstance(text, str):
        reason = "no_text_field" if text is None else "text_is_no_string"
        return read_drop(
            config.source_name,
            origin,
            reason,
            value=config.text_field,
            record_id=record_id,
            uri=uri,
        )
    metadata = {
        name: str(fields[name]) for name in config.metadata_fields if fields.get(name) is not None
    }
    if config.licence:
        metadata["licence"] = config.licence
    return RawRecord(
        record_id=record_id,
        source=config.source_name,
        uri=uri,
        media_type="text/plain",
        payload=text.encode("utf-8", errors="replace"),
        origin=origin,
        charset="utf-8",
        metadata=metadata,
    )
