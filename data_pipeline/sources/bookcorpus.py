"""Books that the user may use, in the forms in which BookCorpus and its successors keep them.

BookCorpus (Zhu et al. 2015) cannot be downloaded any more, its origin forbids it; so this reads a
folder or a manifest of books: `*.epub`, `*.epub.txt` and other `*.txt` (one book a file, front
matter, back matter and licence left out), and `books_large_p*.txt`: one tokenised, lower-cased
sentence a line, books one behind the other with no boundary between them. The last is cut into
documents of about `document_bytes` where a paragraph seems to end, so such a document is a stretch
of text, not a book.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from contracts import storage
from contracts.errors import ConfigError, DataError
from data_pipeline.records import Drop, Origin, RawRecord, WorkUnit
from data_pipeline.sources.book_matter import strip_matter
from data_pipeline.sources.epub import read_epub
from data_pipeline.sources.input_files import (
    files_matching,
    require_own_paths,
    units_of_file,
)
from data_pipeline.sources.protocol import NamedSourceConfig, read_drop
from data_pipeline.sources.sentence_lines import documents_of_lines

BOOK_PATTERNS = ("*.epub", "*.txt")
SENTENCE_FILE = re.compile(r"^books_large_p\d*.*\.txt$")


class BookCorpusConfig(NamedSourceConfig):
    """A folder, globs, or a manifest of books."""

    kind: Literal["bookcorpus"] = "bookcorpus"
    files: tuple[str, ...] = ()
    """Globs of books; a folder stands for the *.epub and *.txt in it."""
    manifest: str | None = None
    """JSON lines with `path` (beside the manifest, or a URL) and any of title, author, licence;
    None: `files`."""
    document_bytes: PositiveInt = 200_000
    """Size of the documents that sentence files (`books_large_p*.txt`) are cut into, roughly."""
    unit_bytes: PositiveInt = 64 << 20
    """Byte range of a sentence file that one task reads; documents do not cross ranges."""
    max_book_bytes: PositiveInt = 64 << 20
    """A larger text file is dropped as `book_too_large`: it is no book."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.files) == (self.manifest is not None):
            raise ConfigError(
                f"source {self.source_name}: give either files or manifest, "
                f"found files={self.files} and manifest={self.manifest}"
            )
        return self

    def build(self) -> "BookCorpus":
        """The source."""
        return BookCorpus(self)


class BookCorpus:
    """One record a book, or a stretch of a sentence file."""

    def __init__(self, config: BookCorpusConfig) -> None:
        self._config = config
        self._entries: dict[str, dict[str, str]] | None = None

    @property
    def name(self) -> str:
        """Unique in a job."""
        return self._config.source_name

    def plan(self) -> list[WorkUnit]:
        """One unit a book; byte ranges of sentence files."""
        units = []
        for url, path in self._paths().items():
            is_sentences = SENTENCE_FILE.match(posixpath.basename(url))
            size = self._config.unit_bytes if is_sentences else None
            units += units_of_file(self.name, url, path, size)
        return units

    def _paths(self) -> dict[str, str]:
        """URL -> path of each book: below its glob's folder, or as the manifest names it."""
        if self._config.manifest is not None:
            folder = posixpath.dirname(self._config.manifest)
            paths = {url: _manifest_path(url, folder) for url in self._manifest()}
            require_own_paths(paths, where=f"source {self.name}")
            return paths
        patterns = []
        for pattern in self._config.files:
            is_folder = not any(c in pattern for c in "*?[") and not storage.list_files(pattern)
            inside = [storage.join(pattern, p) for p in BOOK_PATTERNS] if is_folder else []
            patterns += [p for p in inside if storage.list_files(p)] or [pattern]
        return files_matching(patterns, where=f"source {self.name}")

    def _manifest(self) -> dict[str, dict[str, str]]:
        """URL -> metadata of each book that the manifest lists."""
        if self._entries is not None:
            return self._entries
        url = str(self._config.manifest)
        entries: dict[str, dict[str, str]] = {}
        for number, line in enumerate(storage.read_bytes(url).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                path = storage.join(posixpath.dirname(url), entry.pop("path"))
                entries[path] = {key: str(value) for key, value in entry.items()}
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise DataError(
                    f"{url} line {number}: expected an object with `path`, "
                    f"found {line[:80]!r} ({error})"
                ) from error
        if not entries:
            raise DataError(f"source {self.name}: manifest {url} lists no book")
        self._entries = entries
        return entries

    def records(self, unit: WorkUnit) -> Iterator[RawRecord | Drop]:
        """The unit's books."""
        name = posixpath.basename(unit.path)
        if SENTENCE_FILE.match(name):
            yield from self._sentences(unit)
        elif name.endswith(".epub"):
            yield self._epub(unit)
        elif name.endswith(".txt"):
            yield self._text(unit)
        else:
            origin = Origin(unit.path, 0, unit.size_bytes)
            yield read_drop(self.name, origin, "not_a_book", value=name, uri=unit.path)

    def _extra(self, unit: WorkUnit) -> dict[str, str]:
        """What the config and the manifest say of a book; stronger than the file's own words."""
        said = self._manifest().get(unit.url, {}) if self._config.manifest else {}
        return ({"licence": self._config.licence} if self._config.licence else {}) | said

    def _record(
        self, unit: WorkUnit, payload: bytes, media_type: str, metadata: dict[str, str]
    ) -> RawRecord:
        # The id is the path below the glob's folder: a folder that moves keeps its documents.
        return RawRecord(
            record_id=unit.path,
            source=self.name,
            uri=unit.path,
            media_type=media_type,
            payload=payload,
            origin=Origin(unit.path, 0, unit.size_bytes),
            charset="utf-8",
            metadata=metadata | self._extra(unit),
        )

    def _epub(self, unit: WorkUnit) -> RawRecord | Drop:
        origin = Origin(unit.path, 0, unit.size_bytes)
        try:
            with storage.open_read(unit.url) as stream:
                book = read_epub(stream)
        except DataError as error:
            return read_drop(self.name, origin, "unreadable_epub", value=str(error), uri=unit.path)
        if not book.parts:
            return read_drop(self.name, origin, "no_text_in_spine", uri=unit.path)
        sections = b"".join(b"<section>" + part + b"</section>" for part in book.parts)
        payload = (
            b'<html xmlns="http://www.w3.org/1999/xhtml"><body>' + sections + b"</body></html>"
        )
        return self._record(unit, payload, "application/xhtml+xml", book.metadata)

    def _text(self, unit: WorkUnit) -> RawRecord | Drop:
        origin = Origin(unit.path, 0, unit.size_bytes)
        if unit.size_bytes > self._config.max_book_bytes:
            return read_drop(
                self.name, origin, "book_too_large", value=float(unit.size_bytes), uri=unit.path
            )
        text, charset = _decoded(storage.read_bytes(unit.url))
        body, metadata = strip_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
        if not body.strip():
            return read_drop(self.name, origin, "empty_book", uri=unit.path)
        return self._record(unit, body.encode(), "text/plain", metadata | charset)

    def _sentences(self, unit: WorkUnit) -> Iterator[RawRecord]:
        with storage.open_read(unit.url) as stream:
            pieces = documents_of_lines(
                stream, start=unit.start, end=unit.end, document_bytes=self._config.document_bytes
            )
            for offset, data in pieces:
                yield RawRecord(
                    record_id=f"{unit.path}:{offset}",
                    source=self.name,
                    uri=f"{unit.path}#{offset}",
                    media_type="text/plain",
                    payload=data,
                    origin=Origin(unit.path, offset, len(data)),
                    charset="utf-8",
                    metadata=self._extra(unit),
                )


def _manifest_path(url: str, folder: str) -> str:
    """A book's path below the manifest's folder; its bare name where it lies elsewhere."""
    inside = folder and url.startswith(f"{folder}/")
    is_relative = inside or not (url.startswith("/") or "://" in url)
    path = posixpath.normpath(url.removeprefix(f"{folder}/") if inside else url)
    return path if is_relative and not path.startswith("..") else posixpath.basename(url)


def _decoded(data: bytes) -> tuple[str, dict[str, str]]:
    """A book's text, and as metadata its charset where it is not UTF-8.

    What is neither sound UTF-8 nor Windows-1252 is UTF-8 with damage.
    """
    try:
        return data.decode("utf-8-sig"), {}
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("windows-1252"), {"charset": "windows-1252"}
    except UnicodeDecodeError:
        return data.decode("utf-8-sig", errors="replace"), {}
