"""Gzip members of an archive, grouped in frames that begin with a known mark.

An archive of records (WARC, ARC) is compressed one record to a gzip member. A frame is a member
whose inflated content begins with the mark (`WARC/`) and the members behind it that do not: thus
a record that was cut over several members stays whole, and a file of a single member is a single
frame. After damage, reading goes on at the next member that begins with the mark, found by its
magic bytes.

A frame that is one sound member, nearly every one, is inflated in one call (libdeflate, which
checks CRC and length). All else, be it damage or odd shape, is read step by step from the frame's
start.

A range of bytes holds the frames that begin in it, so ranges that partition a file partition its
records. (Only a stored, not compressed, copy of another archive inside a record could be mistaken
for a frame, and only by a range that begins inside that record.)
"""

import zlib
from collections.abc import Iterator
from typing import IO

import deflate

from data_pipeline.native.gzip_magic import GZIP_MAGIC, gzip_magic_finder

READ_BYTES = 1 << 18
FEED_BYTES = 1 << 14
"""Step of the inflater, counted from the frame's start: what is got out of a damaged member then
depends on the member alone, not on where a buffer or a work unit began."""
INFLATE_BYTES = 1 << 16
START_BYTES = 1024
"""Of a member, enough to inflate the mark."""
BOMB_RATIO = 100
"""A frame that inflates to more than this times its own bytes, and to more than may be held in
memory, is not read on: deflate reaches 1,032, HTML 10 to 30."""
HEAD_BYTES = 1 << 15
"""What is remembered of a frame's beginning: enough for any record's own header."""


class Window:
    """A file seen through one buffer; `position` is the next byte."""

    def __init__(self, stream: IO[bytes], position: int) -> None:
        self._stream = stream
        self._find_magic = gzip_magic_finder()
        self.seek(position)

    def seek(self, position: int) -> None:
        self._stream.seek(position)
        self._buffer, self._at, self.position = b"", 0, position

    def _read_on(self) -> bool:
        more = self._stream.read(READ_BYTES)
        if more:
            self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)

    def advance(self, count: int) -> None:
        self._at += count
        self.position += count

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes from here."""
        while len(self._buffer) - self._at < count:
            if not self._read_on():
                break
        return self._buffer[self._at : self._at + count]

    def member(self, limit: int, *, skip: int = 0) -> memoryview:
        """The bytes from `skip` bytes on to the next gzip magic behind them, or to the file's end.

        None of them where they are more than `limit`.
        """
        searched = skip + 1
        while True:
            start = self._at + skip
            found = self._find_magic(self._buffer, self._at + searched)
            if found >= 0:
                return memoryview(self._buffer)[start:found]
            num_bytes = len(self._buffer) - start
            if num_bytes > limit:
                return memoryview(b"")
            if not self._read_on():
                return memoryview(self._buffer)[self._at + skip :]
            searched = max(searched, skip + num_bytes - len(GZIP_MAGIC) + 1)


class WholeFrame:
    """A frame that is a single sound member, inflated; read as a `SteppedFrame` is."""

    def __init__(self, start: int, end: int, data: bytearray) -> None:
        self.start = self.member_start = start
        self.end = end
        self.data = data
        self.num_inflated = self.num_sound = len(data)
        self.damage: str | None = None
        self._at = 0

    @property
    def head(self) -> bytes:
        """The first inflated bytes."""
        return bytes(self.data[:HEAD_BYTES])

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; b"" at the end or at damage."""
        piece = bytes(self.data[self._at : self._at + size] if size >= 0 else self.data[self._at :])
        self._at += len(piece)
        return piece

    def tell(self) -> int:
        """Inflated bytes handed out."""
        return self._at

    def drain(self) -> None:
        """Read to the end, so that `damage` and the window's place are final."""
        self._at = len(self.data)


class SteppedFrame:
    """A frame inflated step by step, member after member; ends early where the gzip is damaged."""

    def __init__(self, window: Window, mark: bytes, whole_bytes: int) -> None:
        self._window = window
        self._mark = mark
        self._whole_bytes = whole_bytes
        self._inflater = zlib.decompressobj(31)
        self._pending = b""
        self._ended = False
        self.start = window.position
        self.member_start = window.position
        """Where the member that was read last begins."""
        self.num_inflated = 0
        self.num_sound = 0
        """Inflated bytes of the members that ended without damage."""
        self.head = b""
        """The first inflated bytes: enough for any record's own header."""
        self.end = window.position
        """Behind the last byte that was read for this frame."""
        self.damage: str | None = None
        """None, `gzip_corrupt`, `gzip_bomb` or `truncated_record`; final at the frame's end."""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; b"" at the end or at damage."""
        limit = size if size >= 0 else INFLATE_BYTES
        while not self._pending and not self._ended:
            self._pending = self._inflate()
        piece, self._pending = self._pending[:limit], self._pending[limit:]
        return piece

    def tell(self) -> int:
        """Inflated bytes handed out."""
        return self.num_inflated - len(self._pending)

    def drain(self) -> None:
        """Read to the end, so that `damage` and the window's place are final."""
        while self.read():
            pass

    def _inflate(self) -> bytes:
        if self._inflater.eof:
            self.num_sound = self.num_inflated
            self._next_member()
            return b""
        data = self._window.peek(FEED_BYTES)
        if not data:
            self._end("truncated_record")
            return b""
        try:
            out = self._inflater.decompress(data, INFLATE_BYTES)
        except zlib.error:
            self._end("gzip_corrupt")
            return b""
        inflater = self._inflater
        left = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        self._window.advance(len(data) - len(left))
        if len(self.head) < HEAD_BYTES:
            self.head += out
        self.num_inflated += len(out)
        num_read = self._window.position - self.start
        if self.num_inflated > max(self._whole_bytes, BOMB_RATIO * num_read):
            self._end("gzip_bomb")
        return out

    def _next_member(self) -> None:
        if _is_end(self._window.peek(START_BYTES), self._mark):
            self._end(None)
            return
        self.member_start = self._window.position
        self._inflater = zlib.decompressobj(31)

    def _end(self, damage: str | None) -> None:
        self._ended, self.damage, self.end = True, damage, self._window.position


def inflated_start(data: bytes) -> bytes:
    """The first inflated bytes of a gzip member that begins `data`; b"" where none does."""
    try:
        return zlib.decompressobj(31).decompress(data, 16)
    except zlib.error:
        return b""


def _mark_follows(window: Window, mark: bytes) -> bool:
    return inflated_start(window.peek(START_BYTES)).startswith(mark)


Frame = WholeFrame | SteppedFrame


class Junk:
    """Bytes between frames that belong to none."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


def frames(
    stream: IO[bytes], mark: bytes, start: int, end: int, *, whole_bytes: int
) -> Iterator[Frame | Junk]:
    """The frames that begin at or behind `start` and before `end`, and the junk behind each.

    Junk goes with the frame before it, so that ranges partition it, too. A frame is read by the
    caller, or else skipped, before the next one is asked for. One of at most `whole_bytes`
    inflated is held in memory whole where it is sound.
    """
    window = Window(stream, start)
    if start > 0:
        _seek_frame(window, mark)
    ahead: WholeFrame | None = None  # the member behind the frame, which it ends with
    while window.peek(1):
        position = window.position
        whole = ahead
        if whole is None and position < end:
            whole = _whole_member(window, mark, whole_bytes)
        if whole is not None and position < end:
            size = whole.end - position
            ahead = _whole_member(window, mark, whole_bytes, skip=size)
            if ahead is not None or _is_end(window.peek(size + START_BYTES)[size:], mark):
                window.advance(size)
                yield whole
                continue
        if not _mark_follows(window, mark):
            window.advance(1)
            _seek_frame(window, mark)
            yield Junk(position, window.position)
            continue
        if position >= end:
            return
        frame = SteppedFrame(window, mark, whole_bytes)
        yield frame
        frame.drain()
        if frame.damage is not None:
            window.seek(frame.member_start + 1)
            _seek_frame(window, mark)


def _whole_member(
    window: Window, mark: bytes, whole_bytes: int, *, skip: int = 0
) -> WholeFrame | None:
    """The member that begins `skip` bytes on, if it is sound and begins with the mark."""
    member = window.member(whole_bytes, skip=skip)
    num_inflated = int.from_bytes(member[-4:], "little")
    if member[: len(GZIP_MAGIC)] != GZIP_MAGIC or not 0 < num_inflated <= whole_bytes:
        return None
    try:
        data = deflate.gzip_decompress(member, num_inflated)
    except (deflate.DeflateError, ValueError):
        return None  # damage, or the magic bytes stood inside the member: the steps tell which
    if len(data) != num_inflated or not data.startswith(mark):
        return None
    start = window.position + skip
    return WholeFrame(start, start + len(member), data)


def _is_end(data: bytes, mark: bytes) -> bool:
    """Whether a frame has ended where `data` is what comes behind one of its members."""
    return not data.startswith(GZIP_MAGIC) or inflated_start(data).startswith(mark)


def _seek_frame(window: Window, mark: bytes) -> None:
    """Move to the next member that begins with the mark, or to the end of the file."""
    while data := window.peek(READ_BYTES):
        at = data.find(GZIP_MAGIC)
        if at < 0:
            window.advance(max(1, len(data) - len(GZIP_MAGIC) + 1))
            continue
        window.advance(at)
        if _mark_follows(window, mark):
            return
        window.advance(1)
