"""Lists in plain text files: one entry a line, comments behind `#`, `.gz` is unpacked."""

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence

from contracts import storage
from contracts.errors import DataError

BLOCK_BYTES = 1 << 20
MAX_ENTRY_BYTES = 4096
"""A longer line is no entry: the file is something else."""
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*", re.MULTILINE)  # an address may hold the sign


def entries(url: str) -> Iterator[list[str]]:
    """The entries of a file in order, stripped, some thousands at a time.

    Raises:
        DataError: the file is missing, torn or no list.
    """
    with storage.open_read(url) as stream:
        lines = gzip.GzipFile(fileobj=stream) if url.endswith(".gz") else stream
        try:
            while block := lines.readlines(BLOCK_BYTES):
                if max(map(len, block)) > MAX_ENTRY_BYTES:
                    raise DataError(
                        f"{url} holds a line of {max(map(len, block))} bytes, an entry has at most "
                        f"{MAX_ENTRY_BYTES}; give a text file with one entry a line"
                    )
                text = b"".join(block).decode("utf-8").removeprefix("\ufeff")
                if "#" in text:
                    text = _COMMENT.sub("", text)
                yield [entry for entry in map(str.strip, text.split("\n")) if entry]
        except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
            raise DataError(
                f"{url} cannot be read as a list: {error}; give UTF-8 text with one entry a line"
            ) from error


def versions(urls: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Each file with its version: the key under which what was read from them is kept.

    Raises:
        DataError: a file is missing.
    """
    return tuple((url, storage.file_info(url).version) for url in urls)
