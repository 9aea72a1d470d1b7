"""Lines of a text file that may be gzip or zstd, as they are inflated."""

import gzip
import io
from collections.abc import Iterator
from typing import IO, cast

import zstandard

from contracts import storage

MAX_LINE_BYTES = 256 << 20


def open_inflated(url: str) -> IO[bytes]:
    """The file's content, inflated where the name ends in .gz or .zst."""
    stream = storage.open_read(url)
    if url.endswith(".gz"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    if url.endswith((".zst", ".zstd")):
        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        return io.BufferedReader(cast(io.RawIOBase, reader))
    return stream


def numbered_lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Line number, counted from 1, and bytes of each line without its end."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        yield number, line.rstrip(b"\r\n")
