"""A file behind HTTP, or in an S3 store by signed HTTP requests, as a seekable stream.

It is read in ranges that grow while reading goes on in order, ahead of the reader and within
`read_ahead_bytes`. `remote_requests` asks for them again where they break, so nothing is read twice
and nothing is lost.
"""

import contextlib
import io
import queue
import threading
from collections.abc import Callable
from typing import Any

from contracts.errors import DataError
from contracts.remote_requests import BLOCK_BYTES, RemoteConfig, Requests

UNKNOWN_LENGTH = (
    "its server does not tell the file's length; copy the file, or serve it with a Content-Length"
)


class _ReadAhead:
    """Blocks from one place on, fetched by a thread into a bounded queue."""

    def __init__(self, requests: Requests, start: int, read_ahead_bytes: int) -> None:
        self._queue: queue.Queue[bytes | Exception] = queue.Queue(
            max(1, read_ahead_bytes // BLOCK_BYTES)
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._fetch, args=(requests, start), daemon=True)
        self._thread.start()

    def _fetch(self, requests: Requests, start: int) -> None:
        try:
            for block in requests.blocks(start, self._stopped):
                self._queue.put(block)
                if self._stopped.is_set():
                    return
            self._queue.put(b"")
        except Exception as error:  # noqa: BLE001 - raised again where it is read
            self._queue.put(error)

    def next_block(self) -> bytes:
        """The next bytes; b"" at the end of the file."""
        found = self._queue.get()
        if isinstance(found, Exception):
            raise found
        return found

    def stop(self) -> None:
        """Let the thread end; it waits for room in the queue at most once more."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()


def remote_facts(url: str, locate: Callable[[], str], config: RemoteConfig) -> tuple[int, str]:
    """Length and version (ETag or Last-Modified) of a remote file.

    Raises:
        DataError: there is no such file, or its server does not tell its length.
    """
    requests = Requests(url, locate, config)
    try:
        for _ in requests.first_byte():
            break
    finally:
        requests.close()
    if requests.num_bytes is None:
        raise DataError(f"{url}: {UNKNOWN_LENGTH}")
    return requests.num_bytes, requests.version


class RemoteFile(io.RawIOBase):
    """A remote file as a seekable binary stream; wrap it in a BufferedReader."""

    def __init__(self, url: str, locate: Callable[[], str], config: RemoteConfig) -> None:
        super().__init__()
        self._requests = Requests(url, locate, config)
        self._config = config
        self._position = 0
        self._pending = memoryview(b"")
        self._ahead: _ReadAhead | None = None
        if not self._fill():
            self._requests.num_bytes = 0

    @property
    def num_bytes(self) -> int | None:
        """Length of the file; None where no answer has told it."""
        return self._requests.num_bytes

    def _fill(self) -> bool:
        if not self._pending:
            if self._ahead is None:
                self._ahead = _ReadAhead(
                    self._requests, self._position, self._config.read_ahead_bytes
                )
            block = self._ahead.next_block()
            if not block:
                self._stop()
            self._pending = memoryview(block)
        return bool(self._pending)

    def _stop(self) -> None:
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        num_bytes = self.num_bytes
        if (num_bytes is not None and self._position >= num_bytes) or not self._fill():
            return 0
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        self._position += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.num_bytes}[whence]
        if base is None:
            raise DataError(f"{self._requests.url}: {UNKNOWN_LENGTH}")
        target = max(0, base + offset)
        forward = target - self._position
        if 0 <= forward <= len(self._pending):
            self._pending = self._pending[forward:]
        else:
            self._stop()
        self._position = target
        return target

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._stop()
            self._requests.close()
        super().close()
