"""The records of a WARC file or byte range, with what is damaged told apart from what is whole.

Gzip is unpacked here, frame by frame (`gzip_frames`), because every reader stops at the first
damaged member or runs on into the next; this one loses the damaged record alone. A frame that holds
one plain record, nearly every one, is taken apart here, too; FastWARC parses all others.
Uncompressed, LZ4 and zstd files are given to FastWARC whole. A block longer than `max_block_bytes`
is not read into memory.
"""

import re
from collections.abc import Iterator
from typing import IO, BinaryIO, Literal, NamedTuple, cast

from fastwarc.warc import ArchiveIterator, WarcRecord

from data_pipeline.native.gzip_magic import GZIP_MAGIC
from data_pipeline.sources.gzip_frames import (
    HEAD_BYTES,
    Frame,
    Junk,
    WholeFrame,
    frames,
    inflated_start,
)
from data_pipeline.sources.read_errors import raise_outage

WARC_MARK = b"WARC/"
ARC_MARK = b"filedesc:"
LZ4_MAGIC = b"\x04\x22\x4d\x18"
ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", b"\x5d\x2a\x4d\x18")
NEXT_RECORD = b"\r\n\r\nWARC/1."
SCAN_BYTES = 1 << 18
RECORD_END = b"\r\n\r\n"
TAIL_BYTES = 64
"""Bytes behind a record that may be line ends or padding; more is content it left out."""
_FIELDS = (
    *(b"WARC-Type", b"WARC-Record-ID", b"WARC-Target-URI"),
    *(b"WARC-Date", b"Content-Length", b"Content-Type"),
)
_PLAIN_FIELDS = b"|".join(
    b"%s:(?(%d)(?!)) ([!-~]%s)" % (name, number, b"[ -~]*+" if name == b"Content-Type" else b"++")
    for number, name in enumerate(_FIELDS, start=1)
)
_PLAIN_HEAD = re.compile(
    rb"WARC/1\.[01](?:\r\n(?:%s|(?!(?i:%s):)[A-Za-z][A-Za-z0-9-]*+:[ -~]*+))++\r\n\r\n"
    % (_PLAIN_FIELDS, b"|".join(_FIELDS))
)
"""`Name: value` lines of printable ASCII; the known names in their usual case, none twice."""


class WarcItem(NamedTuple):
    """One record, or what is left of one."""

    offset: int
    length: int
    """0 where unknown."""
    warc_type: str = ""
    record_id: str = ""
    uri: str = ""
    date: str = ""
    content_type: str = ""
    block: bytes | memoryview = b""
    """What the record holds, HTTP head included; empty for a damaged one."""
    damage: str | None = None
    """Why the record cannot be used."""
    detail: str | float | None = None


ArchiveKind = Literal["warc", "warc_gzip", "arc"]


def archive_kind(stream: IO[bytes], url: str) -> ArchiveKind | None:
    """How to read a file, by its first bytes; None: it is no archive. Leaves it at its start.

    A `.gz` file that begins with damage is still gzip: there may be sound records further on.
    """
    head = stream.read(1024)
    stream.seek(0)
    is_gzip = head.startswith(GZIP_MAGIC)
    inflated = inflated_start(head) if is_gzip else head
    if inflated.startswith(ARC_MARK):
        return "arc"
    if is_gzip:
        return "warc_gzip"
    if head.lstrip().startswith(WARC_MARK) or head.startswith((LZ4_MAGIC, *ZSTD_MAGICS)):
        return "warc"
    return "warc_gzip" if url.endswith(".gz") and head else None


def gzip_warc_items(
    stream: IO[bytes], start: int, end: int, *, max_block_bytes: int
) -> Iterator[WarcItem]:
    """Every record that begins at or behind `start` and before `end`; damage is an item, too."""
    whole_bytes = max_block_bytes + HEAD_BYTES
    for frame in frames(stream, WARC_MARK, start, end, whole_bytes=whole_bytes):
        if isinstance(frame, Junk):
            yield WarcItem(frame.start, frame.end - frame.start, damage="junk_between_records")
            continue
        item = _plain_item(frame, max_block_bytes) if isinstance(frame, WholeFrame) else None
        if item is None:
            yield from _frame_items(frame, max_block_bytes)
        else:
            yield item


def _plain_item(frame: WholeFrame, max_block_bytes: int) -> WarcItem | None:
    """The record of a frame that holds one in the plainest form; None: FastWARC must say.

    Plain: a header as `_PLAIN_HEAD` has it, and behind a block as long as stated two line ends and
    nothing more.
    """
    data = frame.data
    head = _PLAIN_HEAD.match(data)
    if head is None or not data.endswith(RECORD_END):
        return None
    warc_type, record_id, uri, date, length, content_type = (
        value.decode() if value else "" for value in head.groups()
    )
    block_start, block_end = head.end(), len(data) - len(RECORD_END)
    if length != str(block_end - block_start) or block_end - block_start > max_block_bytes:
        return None
    return WarcItem(
        frame.start,
        frame.end - frame.start,
        warc_type.lower(),
        record_id,
        uri.strip("<>"),
        date,
        content_type.strip(),
        memoryview(data)[block_start:block_end],
    )


def _frame_items(frame: Frame, max_block_bytes: int) -> Iterator[WarcItem]:
    """The records of a frame; each is handed on only when the next one, or the end, was seen."""
    records = ArchiveIterator(
        cast(BinaryIO, frame), parse_http=False, quirks_mode=True, stream_detect=False
    )
    held: WarcItem | None = None
    num_items = 0
    error: str | None = None
    try:
        for record in records:
            if held is not None:
                yield held
            held = _item(record, frame.start, max_block_bytes)
            num_items += 1
    except OSError as problem:
        raise_outage(problem)
        error = str(problem)
    frame.drain()
    length = frame.end - frame.start
    damage = frame.damage or ("unreadable_record" if error else None)
    if damage == "gzip_bomb" and held is not None and held.damage:
        damage = None  # the record's own length says more
    if held is None:
        yield WarcItem(frame.start, length, damage=damage or "unreadable_record", detail=error)
        return
    beyond = _bytes_behind(frame, held) if num_items == 1 and held.damage is None else None
    if frame.damage and beyond is not None and frame.num_inflated - beyond <= frame.num_sound:
        # The record was whole before the damage: what is damaged is a member behind it.
        yield _with_length(held, frame.member_start - frame.start, None, None)
        broken = frame.end - frame.member_start
        yield WarcItem(frame.member_start, broken, damage=frame.damage)
        return
    if damage is None and beyond is not None and beyond > TAIL_BYTES:
        damage, error = "bad_content_length", f"{beyond} bytes behind the record"
    yield _with_length(held, length, damage, error)


def _bytes_behind(frame: Frame, item: WarcItem) -> int | None:
    """Inflated bytes of a frame behind its one record; None where its header is not found."""
    header_end = frame.head.find(b"\r\n\r\n")
    return None if header_end < 0 else frame.num_inflated - header_end - 4 - len(item.block)


def _with_length(item: WarcItem, length: int, damage: str | None, detail: str | None) -> WarcItem:
    return WarcItem(
        item.offset,
        length,
        item.warc_type,
        item.record_id,
        item.uri,
        item.date,
        item.content_type,
        b"" if damage else item.block,
        damage or item.damage,
        item.detail if item.damage else detail,
    )


def whole_warc_items(
    stream: IO[bytes], start: int, end: int, *, max_block_bytes: int
) -> Iterator[WarcItem]:
    """The records of a file that is not gzip, a whole one; none for a range further on.

    Where a length runs over the next record or the file's end, an uncompressed file is read on from
    the next mark at the beginning of a line.
    """
    del end
    if start > 0:
        return
    is_plain = WARC_MARK in stream.read(64)
    num_bytes = stream.seek(0, 2)
    next_start: int | None = 0
    while next_start is not None:
        begin, next_start = next_start, None
        stream.seek(begin)
        for item in _records_from(stream, begin, max_block_bytes):
            if is_plain and _runs_over(item, num_bytes):
                yield _with_length(item, 0, item.damage or "bad_content_length", None)
                next_start = _next_mark(stream, item.offset + len(WARC_MARK))
                break
            yield item


def _runs_over(item: WarcItem, num_bytes: int) -> bool:
    """Whether a record's stated length cannot be right in a file of `num_bytes`."""
    if item.damage == "payload_too_large" and isinstance(item.detail, float):
        return item.offset + item.detail > num_bytes
    return item.damage == "truncated_record" or NEXT_RECORD in item.block


def _records_from(stream: IO[bytes], begin: int, max_block_bytes: int) -> Iterator[WarcItem]:
    records = ArchiveIterator(cast(BinaryIO, stream), parse_http=False, quirks_mode=True)
    num_items = 0
    try:
        for record in records:
            num_items += 1
            yield _item(record, record.stream_pos, max_block_bytes)
    except OSError as problem:
        raise_outage(problem)
        yield WarcItem(begin, 0, damage="unreadable_record", detail=str(problem))
        return
    if num_items == 0:
        yield WarcItem(begin, 0, damage="unreadable_record", detail="no WARC record")


def _next_mark(stream: IO[bytes], start: int) -> int | None:
    """Offset of the next line that begins as a record does; None: there is none."""
    stream.seek(start)
    at, tail = start, b""
    while block := stream.read(SCAN_BYTES):
        data = tail + block
        found = data.find(b"\n" + WARC_MARK)
        if found >= 0:
            return at - len(tail) + found + 1
        at += len(block)
        tail = data[-len(WARC_MARK) :]
    return None


def _item(record: WarcRecord, offset: int, max_block_bytes: int) -> WarcItem:
    headers = record.headers
    stated = (headers.get("Content-Length") or "").strip()
    damage: str | None = None
    detail: str | float | None = None
    block = b""
    if not stated.isdecimal() or int(stated) != record.content_length:
        damage, detail = "bad_content_length", stated
    elif record.content_length > max_block_bytes:
        damage, detail = "payload_too_large", float(record.content_length)
    else:
        block = record.reader.read()
        if len(block) < record.content_length:
            damage, detail = "truncated_record", f"{len(block)} of {record.content_length} bytes"
            block = b""
    return WarcItem(
        offset=offset,
        length=0,
        warc_type=(headers.get("WARC-Type") or "").strip().lower(),
        record_id=(headers.get("WARC-Record-ID") or "").strip(),
        uri=(headers.get("WARC-Target-URI") or "").strip().strip("<>"),
        date=(headers.get("WARC-Date") or "").strip(),
        content_type=(headers.get("Content-Type") or "").strip(),
        block=block,
        damage=damage,
        detail=detail,
    )
