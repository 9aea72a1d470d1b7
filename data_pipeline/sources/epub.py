"""Reads an EPUB: container, package, spine, and which parts of it are the book itself.

EPUB 3.3 (W3C 2023), sections 4 and 5, and EPUB 2's guide. A part is left out when its `epub:type`,
its place in the guide, its name or its text says that it is a cover, title page, imprint, contents,
colophon or licence. Scripts and entities of other files are never followed.
"""

import lzma
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from html.entities import html5
from typing import IO
from urllib.parse import unquote

from lxml import etree

from contracts.errors import DataError
from data_pipeline.sources.book_matter import is_licence, is_matter_name, is_matter_type
from data_pipeline.sources.read_errors import raise_outage

OPF = "{http://www.idpf.org/2007/opf}"
DC = "{http://purl.org/dc/elements/1.1/}"
XHTML = "{http://www.w3.org/1999/xhtml}"
OPS_TYPE = "{http://www.idpf.org/2007/ops}type"
GUIDE_MATTER = frozenset({"cover", "title-page", "toc", "copyright-page", "colophon"})
GUIDE_MATTER_PLUS = GUIDE_MATTER | {"index", "loi", "lot", "other.imprint"}
MAX_PART_BYTES = 64 << 20
"""A chapter larger than this when inflated is a bomb, not a chapter."""
ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]*);")
XML_ENTITIES = frozenset({b"amp", b"lt", b"gt", b"quot", b"apos"})
TORN = (zipfile.BadZipFile, etree.XMLSyntaxError, EOFError, OSError, RuntimeError, ValueError)
UNPACKING = (zlib.error, lzma.LZMAError, struct.error)
"""What the unpacking of a damaged member raises."""


@dataclass(frozen=True)
class Epub:
    """A book as its package describes it."""

    metadata: dict[str, str]
    """title, author, language, licence, as far as the package has them."""
    parts: tuple[bytes, ...]
    """The kept parts of the spine in order: their `<body>` children as XHTML."""
    left_out: tuple[str, ...]
    """Names of the parts that are not the book itself."""


def _numeric(found: re.Match[bytes]) -> bytes:
    """HTML's named entity as numbers, which need no DTD; XML's own and unknown ones as they are."""
    text = "" if found[1] in XML_ENTITIES else html5.get(f"{found[1].decode()};", "")
    return "".join(f"&#{ord(char)};" for char in text).encode() or found[0]


def _xml(data: bytes) -> etree._Element:
    data = ENTITY.sub(_numeric, data)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True, huge_tree=False)
    root = etree.fromstring(data, parser)
    if root is None:
        raise DataError("holds no XML")
    return root


def read_epub(stream: IO[bytes]) -> Epub:
    """The book in a zip file.

    Raises:
        DataError: it is no EPUB, or a part is missing; without the file's name, which the caller
        knows.
        OSError: the file could not be read just now.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            return _read(archive)
    except (*TORN, *UNPACKING) as error:
        raise_outage(error)
        raise DataError(f"not a readable EPUB: {error}") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise DataError(f"the EPUB has no part {name!r}") from error
    if info.file_size > MAX_PART_BYTES:
        raise DataError(f"part {name!r} has {info.file_size} bytes, the limit is {MAX_PART_BYTES}")
    return archive.read(info)


def _read(archive: zipfile.ZipFile) -> Epub:
    container = _xml(_member(archive, "META-INF/container.xml"))
    root_files = [e.get("full-path") for e in container.iter("{*}rootfile") if e.get("full-path")]
    if not root_files:
        raise DataError("META-INF/container.xml names no package")
    package_name = str(root_files[0])
    package = _xml(_member(archive, package_name))
    folder = posixpath.dirname(package_name)
    guide = {
        posixpath.normpath(posixpath.join(folder, unquote(str(e.get("href")).partition("#")[0])))
        for e in package.iter(OPF + "reference")
        if str(e.get("type", "")).lower() in GUIDE_MATTER_PLUS
    }
    parts, left_out = [], []
    for name, properties in _spine(package, folder):
        root = _xml(_member(archive, name))
        body = next(root.iter(XHTML + "body"), root)
        if "nav" in properties or name in guide or _is_matter(name, body):
            left_out.append(name)
        else:
            inner = escape(body.text or "", quote=False).encode()
            inner += b"".join(etree.tostring(child, encoding="utf-8") for child in body)
            parts.append(inner)
    return Epub(_metadata(package), tuple(parts), tuple(left_out))


def _spine(package: etree._Element, folder: str) -> Iterator[tuple[str, str]]:
    """Name in the archive and manifest properties of each part, in reading order."""
    items = {str(e.get("id")): e for e in package.iter(OPF + "item")}
    for reference in package.iter(OPF + "itemref"):
        item = items.get(str(reference.get("idref")))
        if item is None or "html" not in str(item.get("media-type", "html")):
            continue
        href = unquote(str(item.get("href", "")))
        name = posixpath.normpath(posixpath.join(folder, href))
        yield name, str(item.get("properties", ""))


def _is_matter(name: str, body: etree._Element) -> bool:
    types = [str(e.get(OPS_TYPE, "")) for e in (body, *body[:1]) if isinstance(e.tag, str)]
    if any(is_matter_type(kind) for value in types for kind in value.split()):
        return True
    stem = posixpath.splitext(posixpath.basename(name))[0]
    text = re.sub(r"\s+", " ", "".join(body.itertext()))
    return is_matter_name(stem) or is_licence(text)


def _metadata(package: etree._Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, tag in (("title", "title"), ("author", "creator"), ("language", "language")):
        values = [" ".join((e.text or "").split()) for e in package.iter(DC + tag)]
        values = [value for value in values if value]
        if values:
            found[key] = ", ".join(values) if key == "author" else values[0]
    rights = [" ".join((e.text or "").split()) for e in package.iter(DC + "rights")]
    if any(rights):
        found["licence"] = next(value for value in rights if value)
    return found
