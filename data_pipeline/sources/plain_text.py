"""Plain text files: one document a file, whatever it holds."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, PositiveInt

from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit
from data_pipeline.sources.input_files import units_of_files
from data_pipeline.sources.protocol import NamedSourceConfig, read_drop
from data_pipeline.sources.read_errors import BROKEN
from data_pipeline.sources.text_lines import open_inflated


class PlainTextConfig(NamedSourceConfig):
    """Files that are documents."""

    kind: Literal["plain_text"] = "plain_text"
    files: tuple[str, ...] = Field(min_length=1)
    """Globs of text files, plain, .gz or .zst."""
    charset: str | None = None
    """Encoding of the files; None: by byte order mark and detector."""
    max_file_bytes: PositiveInt = 256 << 20
    """A larger file is dropped as `file_too_large`; give it as jsonl or parquet in parts."""

    def build(self) -> "PlainText":
        """The source."""
        return PlainText(self)


class PlainText:
    """One record a file."""

    def __init__(self, config: PlainTextConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """Unique in a job."""
        return self._config.source_name

    def plan(self) -> list[WorkUnit]:
        """One unit a file."""
        return units_of_files(self.name, self._config.files)

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        """The file."""
        origin = Origin(unit.path, 0, unit.size_bytes)
        limit = self._config.max_file_bytes
        try:
            with open_inflated(unit.url) as stream:
                payload = stream.read(limit + 1)
        except BROKEN as error:
            yield read_drop(self.name, origin, "damaged_file", value=str(error), uri=unit.path)
            return
        if len(payload) > limit:
            yield read_drop(self.name, origin, "file_too_large", value=float(limit), uri=unit.path)
            return
        yield RawRecord(
            record_id=unit.path,
            source=self.name,
            uri=unit.path,
            media_type="text/plain",
            payload=payload,
            origin=origin,
            charset=self._config.charset,
            metadata={"licence": self._config.licence} if self._config.licence else {},
        )
