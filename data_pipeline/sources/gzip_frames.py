"""Gzip members of an archive, grouped in frames that begin with a known mark.

An archive of records (WARC, ARC) is compressed one record to a gzip member. A frame is a member
whose inflated content begins with the mark (`WARC/`) and the members behind it that do not: thus
a record that was cut over several members stays whole, and a file of a single member is a single
frame. After damage, reading goes on at the next member that begins with the mark, found by its
magic bytes.

A range of bytes holds the frames that begin in it, so ranges that partition a file partition its
records. (Only a stored, not compressed, copy of another archive inside a record could be mistaken
for a frame, and only by a range that begins inside that record.)
"""

import zlib
from collections.abc import Iterator
from typing import IO

GZIP_MAGIC = b"\x1f\x8b\x08"
READ_BYTES = 1 << 18
FEED_BYTES = 1 << 14
"""Step of the inflater, counted from the frame's start: what is got out of a damaged member then
depends on the member alone, not on where a buffer or a work unit began."""
INFLATE_BYTES = 1 << 16
HEAD_BYTES = 1 << 15
"""What is remembered of a frame's beginning: enough for any record's own header."""


class _Window:
    """A file seen through one buffer; `position` is the next byte."""

    def __init__(self, stream: IO[bytes], position: int) -> None:
        self._stream = stream
        self.seek(position)

    def seek(self, position: int) -> None:
        self._stream.seek(position)
        self._buffer, self._at, self.position = b"", 0, position

    def advance(self, count: int) -> None:
        self._at += count
        self.position += count

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes from here."""
        while len(self._buffer) - self._at < count:
            more = self._stream.read(READ_BYTES)
            if not more:
                break
            self._buffer, self._at = self._buffer[self._at :] + more, 0
        return self._buffer[self._at : self._at + count]


class Frame:
    """The inflated content of one frame as a stream; ends early where the gzip is damaged."""

    def __init__(self, window: _Window, mark: bytes) -> None:
        self._window = window
        self._mark = mark
        self._inflater = zlib.decompressobj(31)
        self._pending = b""
        self._ended = False
        self.start = window.position
        self.member_start = window.position
        self.num_inflated = 0
        self.num_sound = 0
        """Inflated bytes of the members that ended without damage."""
        self.head = b""
        self.end = window.position
        """Behind the last byte that was read for this frame."""
        self.damage: str | None = None
        """None, `gzip_corrupt` or `truncated_record`; final once the frame was read to its end."""

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
        return out

    def _next_member(self) -> None:
        beginning = self._window.peek(len(GZIP_MAGIC))
        if beginning != GZIP_MAGIC or _mark_follows(self._window, self._mark):
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


def _mark_follows(window: _Window, mark: bytes) -> bool:
    return inflated_start(window.peek(1024)).startswith(mark)


class Junk:
    """Bytes between frames that belong to none."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end


def frames(stream: IO[bytes], mark: bytes, start: int, end: int) -> Iterator[Frame | Junk]:
    """The frames that begin at or behind `start` and before `end`, and the junk behind each.

    Junk goes with the frame before it, so that ranges partition it, too. A frame is read by the
    caller, or else skipped, before the next one is asked for.
    """
    window = _Window(stream, start)
    if start > 0:
        _seek_frame(window, mark)
    while window.peek(1):
        position = window.position
        if not _mark_follows(window, mark):
            window.advance(1)
            _seek_frame(window, mark)
            yield Junk(position, window.position)
            continue
        if position >= end:
            return
        frame = Frame(window, mark)
        yield frame
        frame.drain()
        if frame.damage is not None:
            window.seek(frame.member_start + 1)
            _seek_frame(window, mark)


def _seek_frame(window: _Window, mark: bytes) -> None:
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
