"""Records of ARC files, the format before WARC, as the same items.

An ARC record is one line, `URL IP-address date content-type length` (the URL may hold blanks), and
`length` bytes of HTTP response; the file's own description is a record of `filedesc://`. A file
is one unit: records are found by their lengths alone.
"""

import gzip
import re
from collections.abc import Iterator
from typing import IO, cast

from data_pipeline.native.gzip_magic import GZIP_MAGIC
from data_pipeline.sources.read_errors import BROKEN
from data_pipeline.sources.warc_reader import WarcItem

_LINE = re.compile(rb"([a-zA-Z][a-zA-Z0-9+.-]*:.*) (\S+) (\d{12,18}) (\S+) (\S+)\s*\Z")
MAX_LINE_BYTES = 1 << 16


def arc_items(
    stream: IO[bytes], start: int, end: int, *, max_block_bytes: int
) -> Iterator[WarcItem]:
    """The records of a whole ARC file; none for a range that does not begin the file."""
    del end
    if start > 0:
        return
    head = stream.read(len(GZIP_MAGIC))
    stream.seek(0)
    body = cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if head == GZIP_MAGIC else stream
    at, lost = 0, False
    try:
        while line := body.readline(MAX_LINE_BYTES):
            found = _LINE.match(line)
            if found is not None:
                item = _item(body, found, at, max_block_bytes)
                lost = item.damage == "bad_content_length"
                yield item
            elif line.strip() and not lost:
                yield WarcItem(at, 0, damage="junk_between_records", detail=_shown(line))
                lost = True
            at = body.tell()
    except BROKEN as error:
        yield WarcItem(at, 0, damage="gzip_corrupt", detail=str(error))


def _item(body: IO[bytes], found: re.Match[bytes], offset: int, max_block_bytes: int) -> WarcItem:
    """The record behind a matching line; offset counts inflated bytes in a gzip file."""
    uri, date, stated = found[1].decode("utf-8", "replace"), found[3].decode(), found[5].decode()
    block = b""
    damage: str | None = None
    if not stated.isdecimal():
        damage = "bad_content_length"
    elif int(stated) > max_block_bytes:
        body.seek(int(stated), 1)
        damage = "payload_too_large"
    else:
        block = body.read(int(stated))
        damage = "truncated_record" if len(block) < int(stated) else None
    return WarcItem(
        offset=offset,
        length=0,
        warc_type="filedesc" if uri.startswith("filedesc:") else "response",
        uri=uri,
        date=_iso(date),
        content_type=found[4].decode("latin-1"),
        block=b"" if damage else block,
        damage=damage,
        detail=stated if damage else None,
    )


def _iso(date: str) -> str:
    d = date.ljust(14, "0")
    return f"{d[:4]}-{d[4:6]}-{d[6:8]}T{d[8:10]}:{d[10:12]}:{d[12:14]}Z"


def _shown(line: bytes) -> str:
    return line[:60].decode("latin-1").strip()
