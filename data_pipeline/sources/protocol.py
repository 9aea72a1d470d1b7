"""What a source is: a plan of work units, and the records of each unit.

Everything a source meets comes out: a page or book as a `RawRecord`, anything else as a `Drop` of
stage `read` with a reason. Records that no one would take for a page (a WARC's requests,
metadata, warcinfo) are drops whose reason begins with `RECORD_TYPE`: count them, there is nothing
in them to keep.
"""

from collections.abc import Iterator
from typing import Protocol

from pydantic import Field

from contracts.config import Config, Json, as_tree
from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit, make_doc_id

READ = "read"
"""Stage of every drop a source makes."""
RECORD_TYPE = "record_type:"
"""In front of the WARC type in the reason of a record that is not a page: `record_type:request`."""
MIB = 1 << 20


class Source(Protocol):
    """One input of the data job."""

    @property
    def name(self) -> str:
        """Unique in a job; stands in every record and shard."""

    def plan(self) -> list[WorkUnit]:
        """The units, in an order that depends on the input alone.

        Raises:
            DataError: nothing was found; says where it was looked for.
        """

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        """Each record of a unit, or why it was left out; needs no `plan` in this process."""


class NamedSourceConfig(Config):
    """The fields that every source has."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*(-[A-Za-z0-9_.]+)*$")
    """Name of the source in records, shards and reports, unique in a job; None: the kind."""
    licence: str | None = None
    """Licence of the texts, written into the metadata; None: what the files say."""

    def identity(self) -> dict[str, Json]:
        """The section as far as it changes the data."""
        return {name: value for name, value in as_tree(self).items() if name != "remote"}

    @property
    def source_name(self) -> str:
        """`name`, or the kind where there is none."""
        return self.name or str(getattr(self, "kind", ""))


def read_drop(
    source: str,
    origin: Origin,
    reason: str,
    *,
    value: float | str | None = None,
    record_id: str = "",
    uri: str = "",
) -> Drop:
    """A drop of stage `read`; a record without an id is known by its place."""
    return Drop(
        doc_id=make_doc_id(source, record_id or f"{origin.path}:{origin.offset}"),
        stage=READ,
        reason=reason,
        value=value,
        source=source,
        uri=uri,
        origin=origin,
    )
