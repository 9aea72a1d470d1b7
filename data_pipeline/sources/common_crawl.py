"""Pages of Common Crawl, or of any WARC files laid out like it; text of its WET files.

Files come from the listing of a crawl (`crawl-data/<crawl>/warc.paths.gz` under a root that may
be the public HTTPS or S3 one, or a folder) or from globs. Every record comes out: responses and
HTML resources as pages, WET conversions as plain text, the rest as drops that say why.
"""

import gzip
import hashlib
from collections.abc import Iterator
from typing import IO, Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from contracts import storage
from contracts.config import Config
from contracts.errors import DataError
from contracts.remote_requests import RemoteConfig
from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit
from data_pipeline.sources.arc_reader import arc_items
from data_pipeline.sources.http_response import (
    HTML_TYPES,
    Page,
    Refusal,
    content_type,
    html_page,
    page_of_response,
)
from data_pipeline.sources.input_files import files_matching, units_of_file
from data_pipeline.sources.protocol import (
    MIB,
    RECORD_TYPE,
    NamedSourceConfig,
    Source,
    read_drop,
)
from data_pipeline.sources.read_errors import BROKEN
from data_pipeline.sources.warc_reader import (
    WarcItem,
    archive_kind,
    gzip_warc_items,
    whole_warc_items,
)

SHOWN_BYTES = 160
HEAD_BYTES = 1 << 16
"""Room for an HTTP head in front of a payload of the greatest size."""

READERS = {"warc": whole_warc_items, "warc_gzip": gzip_warc_items, "arc": arc_items}
"""How each kind of file is read."""


class CrawlConfig(Config):
    """Which files of a crawl: its first ones, a seeded share, or a list."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the crawl, as in CC-MAIN-2026-43."""
    root: str = "https://data.commoncrawl.org/"
    """What the paths of the listing are relative to: an https:// or s3:// URL, or a folder."""
    subset: Literal["warc", "wet"] = "warc"
    """`warc`: pages; `wet`: the crawl's own plain text of them."""
    first: PositiveInt | None = None
    """Take the first N files of the listing; None: no such limit."""
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Take each file with this probability, by a hash of its path; None: all."""
    paths: tuple[str, ...] | None = None
    """Take these files of the listing; None: not chosen by name."""
    seed: int = 0
    """Changes which files `fraction` takes."""

    @model_validator(mode="after")
    def _one_selection(self) -> "CrawlConfig":
        given = [n for n in ("first", "fraction", "paths") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(
                f"{' and '.join(given)} are both given; choose one way to select files"
            )
        return self

    def selected_paths(self, remote: RemoteConfig | None = None) -> list[str]:
        """The chosen files, in the order of the listing.

        Args:
            remote: how a listing behind HTTP or S3 is read; None: the defaults.

        Raises:
            DataError: the listing is missing or torn, or nothing of it was chosen.
        """
        listing = storage.join(self.root, "crawl-data", self.id, f"{self.subset}.paths.gz")
        data = storage.read_bytes(listing, remote)
        try:
            lines = gzip.decompress(data).decode("utf-8").split()
        except (*BROKEN, UnicodeDecodeError) as error:
            raise DataError(
                f"listing {listing} ({len(data)} bytes, beginning {data[:SHOWN_BYTES]!r}) cannot "
                f"be unpacked: {error}; fetch it again"
            ) from error
        chosen = self._chosen(lines, listing)
        if not chosen:
            raise DataError(
                f"of {len(lines)} files in {listing} none was chosen (fraction={self.fraction}, "
                f"seed={self.seed}); raise the fraction or take `first`"
            )
        return chosen

    def _chosen(self, lines: list[str], listing: str) -> list[str]:
        if self.paths is not None:
            unknown = sorted(set(self.paths) - set(lines))
            if unknown:
                raise DataError(
                    f"{len(unknown)} of {len(self.paths)} paths are not in {listing}, "
                    f"the first being {unknown[0]!r}; copy them as they stand there"
                )
            wanted = set(self.paths)
            return [line for line in lines if line in wanted]
        if self.fraction is not None:
            return [line for line in lines if _share(line, self.seed) < self.fraction]
        return lines[: self.first]


def _share(path: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}\0{path}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class CommonCrawlConfig(NamedSourceConfig):
    """Pages of a crawl, or of WARC, ARC and WET files."""

    kind: Literal["common_crawl"] = "common_crawl"
    crawl: CrawlConfig | None = None
    """A crawl and which of its files; None: `files` names them."""
    files: tuple[str, ...] = ()
    """Globs of WARC, ARC or WET files, compressed or not; empty: `crawl` names them."""
    unit_bytes: PositiveInt | None = 64 * MIB
    """Gzip files are cut in work units of about this size; None: a file is a unit."""
    max_payload_bytes: PositiveInt = 16 * MIB
    """A page larger than this, once unpacked, is dropped (`payload_too_large`)."""
    remote: RemoteConfig = RemoteConfig()
    """How files behind HTTP and S3 are read; changes nothing in the data."""

    @model_validator(mode="after")
    def _one_input(self) -> "CommonCrawlConfig":
        if (self.crawl is None) == (not self.files):
            raise ValueError("exactly one of `crawl` and `files` must be given: a crawl, or globs")
        return self

    def build(self) -> Source:
        """The source."""
        return CommonCrawl(self)


class CommonCrawl:
    """Reads pages from WARC, ARC and WET files."""

    def __init__(self, config: CommonCrawlConfig) -> None:
        self._config = config
        self.name = config.source_name
        self._metadata = {"licence": config.licence} if config.licence else {}

    def plan(self) -> list[WorkUnit]:
        crawl = self._config.crawl
        if crawl is None:
            found = files_matching(self._config.files, where=f"source {self.name}")
            places = list(found.items())
        else:
            places = [
                (storage.join(crawl.root, path), path)
                for path in crawl.selected_paths(self._config.remote)
            ]
        return [
            unit
            for url, path in places
            for unit in units_of_file(
                self.name, url, path, self._bytes_of_unit(url), remote=self._config.remote
            )
        ]

    def _bytes_of_unit(self, url: str) -> int | None:
        """None for what can only be read whole: all but gzip, and ARC."""
        is_cut = url.endswith(".gz") and not url.endswith(".arc.gz")
        return self._config.unit_bytes if is_cut else None

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        limit = self._config.max_payload_bytes
        with storage.open_read(unit.url, self._config.remote) as stream:
            if not storage.is_local(unit.url):
                _refuse_error_page(unit.url, stream)
            kind = archive_kind(stream, unit.url)
            if kind is None:
                if unit.start == 0:  # once a file, not once a range
                    yield read_drop(self.name, Origin(unit.path, 0), "not_an_archive")
                return
            for item in READERS[kind](
                stream, unit.start, unit.end, max_block_bytes=limit + HEAD_BYTES
            ):
                yield self._record_or_drop(item, unit.path, limit)

    def _record_or_drop(self, item: WarcItem, path: str, limit: int) -> RawRecord | Drop:
        origin = Origin(path, item.offset, item.length)
        page = _page_of_item(item, limit)
        if isinstance(page, Refusal):
            return read_drop(
                self.name,
                origin,
                page.reason,
                value=page.value,
                record_id=item.record_id,
                uri=item.uri,
            )
        return RawRecord(
            record_id=item.record_id or f"{path}:{item.offset}",
            source=self.name,
            uri=item.uri,
            media_type=page.media_type,
            payload=page.body,
            origin=origin,
            charset=page.charset,
            fetched_at=item.date or None,
            metadata={**self._metadata, **page.metadata},
        )


def _refuse_error_page(url: str, stream: IO[bytes]) -> None:
    """Tell an archive from a page that a server answers with; leaves the stream at its start.

    Raises:
        DataError: the file is HTML or XML.
    """
    begin = stream.read(SHOWN_BYTES)
    stream.seek(0)
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise DataError(
            f"{url} is answered with status 200, but by a page and not by an archive: it begins "
            f"with {begin!r}; look at the address, or at what stands between here and the server"
        )


def _page_of_item(item: WarcItem, limit: int) -> Page | Refusal:
    """What an archive's record gives: a page, a WET text, or why nothing."""
    if item.damage is not None:
        return Refusal(item.damage, item.detail)
    if item.warc_type not in ("response", "resource", "conversion"):
        return Refusal(RECORD_TYPE + (item.warc_type or "none")[:40])
    if not item.uri:
        return Refusal("no_target_uri")
    if item.warc_type == "response":
        if item.uri.lower().startswith("dns:"):
            return Refusal("media_type", "text/dns")
        return page_of_response(item.block, max_payload_bytes=limit)
    media_type, charset = content_type(item.content_type)
    if len(item.block) > limit:
        return Refusal("payload_too_large", float(len(item.block)))
    block = bytes(item.block)
    if item.warc_type == "conversion":
        if media_type != "text/plain":
            return Refusal("media_type", media_type[:80])
        empty = not block.strip()
        return Refusal("empty_body") if empty else Page(block, "text/plain", charset or "utf-8")
    if media_type not in HTML_TYPES:
        return Refusal("media_type", media_type[:80])
    return html_page(block, charset)
