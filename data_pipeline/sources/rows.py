"""Rows of named fields, whatever the format: which field is the text, the name, the address."""

from collections.abc import Mapping

from pydantic import Field

from data_pipeline.records import Drop, Origin, RawRecord
from data_pipeline.sources.protocol import NamedSourceConfig, read_drop


class RowsConfig(NamedSourceConfig):
    """Files of rows, and what their fields hold."""

    files: tuple[str, ...] = Field(min_length=1)
    """Globs of the files."""
    text_field: str = "text"
    """Field that holds the text."""
    id_field: str | None = None
    """Field that names the record; None: file name and row number."""
    uri_field: str | None = "url"
    """Field that holds the address; where it is absent, or None here: file and row number."""
    metadata_fields: tuple[str, ...] = ()
    """Fields that go into the document's metadata as text."""


def record_of_fields(
    config: RowsConfig, fields: Mapping[str, object], *, origin: Origin
) -> RawRecord | Drop:
    """A record of named fields; used for every format of rows with columns.

    Args:
        config: which field is what.
        fields: values by name.
        origin: where they stand.
    """
    place = f"{origin.path}:{origin.offset}"
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
