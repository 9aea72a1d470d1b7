"""The records of a WARC file or byte range, with what is damaged told apart from what is whole.

FastWARC parses the records. Gzip is unpacked here, frame by frame (`gzip_frames`), because every
reader stops at the first damaged member or runs on into the next; this one loses the damaged record
alone. Uncompressed, LZ4 and zstd files are given to FastWARC whole and go on behind damage where a
mark is found again. A block longer than `max_block_bytes` is not read into memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from fastwarc.warc import ArchiveIterator, WarcRecord

from data_pipeline.sources.gzip_frames import GZIP_MAGIC, Frame, Junk, frames, inflated_start

WARC_MARK = b"WARC/"
ARC_MARK = b"filedesc:"
LZ4_MAGIC = b"\x04\x22\x4d\x18"
ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", b"\x5d\x2a\x4d\x18")
TAIL_BYTES = 64
"""Bytes behind a record that may be line ends or padding; more is content it left out."""


@dataclass(frozen=True)
class WarcItem:
    """One record, or what is left of one."""

    offset: int
    length: int
    """0 where unknown."""
    warc_type: str = ""
    record_id: str = ""
    uri: str = ""
    date: str = ""
    content_type: str = ""
    block: bytes = b""
    """What the record holds, HTTP head included; empty for a damaged one."""
    damage: str | None = None
    """Why the record cannot be used."""
    detail: str | float | None = None


def archive_kind(stream: IO[bytes]) -> str:
    """`warc` or `arc`, or `` for a file that begins as neither; leaves the stream at its start."""
    head = stream.read(1024)
    stream.seek(0)
    inflated = inflated_start(head) if head.startswith(GZIP_MAGIC) else head
    if inflated.startswith(ARC_MARK):
        return "arc"
    known = inflated.lstrip().startswith(WARC_MARK) or head.startswith((GZIP_MAGIC, LZ4_MAGIC))
    return "warc" if known or head.startswith(ZSTD_MAGICS) else ""


def warc_items(
    stream: IO[bytes], start: int, end: int, *, max_block_bytes: int
) -> Iterator[WarcItem]:
    """Every record that begins at or behind `start` and before `end`; damage is an item, too."""
    head = stream.read(4)
    stream.seek(0)
    if not head.startswith(GZIP_MAGIC):
        yield from _whole_file(stream, max_block_bytes)
        return
    for frame in frames(stream, WARC_MARK, start, end):
        if isinstance(frame, Junk):
            yield WarcItem(frame.start, frame.end - frame.start, damage="junk_between_records")
        else:
            yield from _frame_items(frame, max_block_bytes)


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
        error = str(problem)
    frame.drain()
    length = frame.end - frame.start
    damage = frame.damage or ("unreadable_record" if error else None)
    if held is None:
        yield WarcItem(frame.start, length, damage=damage or "unreadable_record", detail=error)
        return
    if damage is None and num_items == 1 and held.damage is None and _leftover(frame, held):
        damage = "bad_content_length"
        error = f"{_leftover(frame, held)} bytes behind the record"
    yield _with_length(held, length, damage, error)


def _leftover(frame: Frame, item: WarcItem) -> int:
    """Bytes of a one-record frame behind the record, beyond line ends."""
    header_bytes = frame.head.find(b"\r\n\r\n") + 4
    beyond = frame.num_inflated - header_bytes - len(item.block)
    return beyond if header_bytes >= 4 and beyond > TAIL_BYTES else 0


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
        item.damage or damage,
        item.detail if item.damage else detail,
    )


def _whole_file(stream: IO[bytes], max_block_bytes: int) -> Iterator[WarcItem]:
    """The records of a file that is not gzip; after an error, from the next mark on."""
    records = ArchiveIterator(cast(BinaryIO, stream), parse_http=False, quirks_mode=True)
    held: WarcItem | None = None
    error: OSError | None = None
    try:
        for record in records:
            if held is not None:
                yield _with_length(held, record.stream_pos - held.offset, None, None)
            held = _item(record, record.stream_pos, max_block_bytes)
    except OSError as problem:
        error = problem
    if held is not None:
        yield _with_length(held, 0, "unreadable_record" if error else None, str(error or ""))
    elif error is not None or stream.tell() > 0:
        yield WarcItem(0, 0, damage="unreadable_record", detail=str(error or "no WARC record"))


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
