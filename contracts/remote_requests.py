"""Ranges of one file behind HTTP, asked for until they come: what `remote_file` reads from.

A body that breaks goes on with a range from the byte that was reached. Throttling (429, 503) and
outages are tried again with growing, jittered pauses, `Retry-After` is honoured, and all processes
of a machine share one budget of requests to a host. What is no such file (an error page, a file
that has changed) is a DataError.
"""

import email.utils
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import urllib3
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from contracts.config import Config
from contracts.errors import DataError
from contracts.request_budget import RequestBudget

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 18
FIRST_RANGE_BYTES = 1 << 20
LARGEST_RANGE_BYTES = 1 << 26
SHOWN_BYTES = 160
TRY_AGAIN = frozenset(
    {
        *(HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY),
        *(HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class RemoteConfig(Config):
    """How files behind HTTP and S3 are read; changes nothing in the data."""

    max_attempts: PositiveInt = 8
    """Tries in a row without a byte of progress before the file's task fails."""
    backoff_seconds: NonNegativeFloat = 0.5
    """Pause before the second try; doubles with each further one, by chance up to half shorter."""
    max_backoff_seconds: PositiveFloat = 60.0
    """Longest pause, also where the server asks for a longer one."""
    requests_per_second: PositiveFloat | None = 50.0
    """To one host, by all processes of this machine together (each machine of a cluster has its own
    budget); None: as many as come."""
    timeout_seconds: PositiveFloat = 30.0
    """Silence after which a connection counts as broken."""
    read_ahead_bytes: PositiveInt = 4 << 20
    """Held in memory ahead of what was asked for."""


class _TryAgainError(Exception):
    """A request that may succeed later."""

    def __init__(self, message: str, pause_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


class _EndedEarlyError(_TryAgainError):
    """A body shorter than was announced."""


@dataclass(frozen=True)
class _Answer:
    """The body of one answer, from a known place in the file."""

    response: urllib3.BaseHTTPResponse
    skip_bytes: int
    """Of the body, before the byte that was asked for: where the server knows no ranges."""

    @property
    def is_last(self) -> bool:
        """Whether the file ends with this body."""
        return self.response.status == HTTPStatus.OK


class Requests:
    """Ranges of one file, with the facts that must stay the same over all answers."""

    def __init__(self, url: str, locate: Callable[[], str], config: RemoteConfig) -> None:
        self.url = url
        self.num_bytes: int | None = None
        """The file's length once an answer told it."""
        self.version = ""
        self._locate = locate
        self._config = config
        self._budget = RequestBudget(urlsplit(locate()).hostname or "", config.requests_per_second)
        timeout = urllib3.Timeout(connect=config.timeout_seconds, read=config.timeout_seconds)
        self._pool = urllib3.PoolManager(timeout=timeout, maxsize=1)
        self._jitter = random.Random()  # noqa: S311 - spreads requests in time, guards nothing

    def close(self) -> None:
        self._pool.clear()

    def blocks(self, start: int, stopped: threading.Event) -> Iterator[bytes]:
        """The file's bytes from `start` on, in ranges that grow."""
        size = FIRST_RANGE_BYTES
        while self.num_bytes is None or start < self.num_bytes:
            before = start
            for block in self._range(start, start + size, stopped):
                start += len(block)
                yield block
            if start == before:
                return
            size = min(2 * size, LARGEST_RANGE_BYTES)

    def first_byte(self) -> Iterator[bytes]:
        """The first bytes, for the facts that come with them."""
        yield from self._range(0, 1, threading.Event())

    def _range(self, start: int, end: int, stopped: threading.Event) -> Iterator[bytes]:
        """Bytes from `start` to `end` (to the file's end from a server that knows no ranges)."""
        num_failed = 0
        while not stopped.is_set():
            try:
                answer = self._answer(start, end, stopped)
                if answer is None:
                    return
                for block in _body(answer):
                    start += len(block)
                    num_failed = 0
                    yield block
                if answer.is_last and self.num_bytes is None:
                    self.num_bytes = start
                if self.num_bytes is None or start >= min(end, self.num_bytes):
                    return
                raise _EndedEarlyError(f"the body ends, {self.num_bytes} bytes were announced")
            except (_TryAgainError, urllib3.exceptions.HTTPError, OSError) as error:
                num_failed += 1
                self._pause(error, num_failed, start, stopped)

    def _pause(
        self, error: Exception, num_failed: int, start: int, stopped: threading.Event
    ) -> None:
        if num_failed >= self._config.max_attempts:
            message = (
                f"{self.url} at byte {start}: {num_failed} requests in a row failed, the limit "
                f"(remote.max_attempts), the last: {error}"
            )
            if _ended_early(error):
                raise DataError(
                    f"{message}: the file is shorter than its server says; fetch it anew"
                ) from error
            raise ConnectionError(f"{message}; look at the server, or raise the limit") from error
        seconds = self._config.backoff_seconds * 2.0 ** (num_failed - 1)
        seconds *= self._jitter.uniform(0.5, 1.0)
        if isinstance(error, _TryAgainError) and error.pause_seconds:
            seconds = max(seconds, error.pause_seconds)
        seconds = min(seconds, self._config.max_backoff_seconds)
        logger.info(
            "url=%s byte=%d attempt=%d failed (%s): next request in %.1f s",
            self.url,
            start,
            num_failed,
            error,
            seconds,
        )
        stopped.wait(seconds)

    def _answer(self, start: int, end: int, stopped: threading.Event) -> _Answer | None:
        """The answer to one request; None: there is nothing at `start`.

        Raises:
            DataError: the server refuses, or gives something else.
        """
        stopped.wait(self._budget.wait_seconds())
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        response = self._pool.request(
            "GET",
            self._locate(),
            headers=headers,
            preload_content=False,
            decode_content=False,
            retries=urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=5),
        )
        status = response.status
        if status == HTTPStatus.PARTIAL_CONTENT:
            self._check(response, _content_range(response), start)
            return _Answer(response, 0)
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.num_bytes = _content_range(response)[1] or start
            response.release_conn()
            return None
        if status == HTTPStatus.OK:
            length = response.headers.get("Content-Length", "")
            self._check(response, (start, int(length) if length.isdecimal() else None), start)
            return _Answer(response, start)
        raise self._refusal(response)

    def _check(
        self, response: urllib3.BaseHTTPResponse, found: tuple[int, int | None], start: int
    ) -> None:
        """That an answer is of the same file as those before, and begins where it should."""
        first, num_bytes = found
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if first == start and self.num_bytes in {None, num_bytes} and self.version in {"", version}:
            self.num_bytes, self.version = num_bytes, version
            return
        media_type = response.headers.get("Content-Type", "")
        message = (
            f"{self.url}: answer {response.status} ({media_type}) to a request from byte {start} "
            f"begins at {first} of {num_bytes} bytes, version {version!r}; the answers before were "
            f"of {self.num_bytes} bytes, version {self.version!r}; it begins with "
            f"{_shown(response)!r}"
        )
        if "html" in media_type or "xml" in media_type or response.status == HTTPStatus.OK:
            raise _TryAgainError(message)  # an error page in place of the file: it may pass
        raise DataError(f"{message}: the file has changed while it was read; run again")

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> Exception:
        status = response.status
        begin = _shown(response)
        message = f"{self.url} answers {status} {response.reason or ''}: {begin!r}"
        if status in TRY_AGAIN:
            asked = min(_retry_after(response), self._config.max_backoff_seconds)
            if asked:
                self._budget.pause(asked)
            return _TryAgainError(message, asked)
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return DataError(
                f"{self.url} cannot be opened: no such file ({status}); check the path"
            )
        return DataError(f"{message}; check the address and who may read it")


def _ended_early(error: Exception) -> bool:
    """Whether a body ended before its announced length, with no other trouble."""
    return isinstance(error, _EndedEarlyError) or (
        isinstance(error, urllib3.exceptions.ProtocolError)
        and isinstance(error.args[-1], urllib3.exceptions.IncompleteRead)
    )


def _body(answer: _Answer) -> Iterator[bytes]:
    response = answer.response
    skip = answer.skip_bytes
    is_whole = False
    try:
        while block := response.read(BLOCK_BYTES):
            passed = min(skip, len(block))
            skip -= passed
            if len(block) > passed:
                yield block[passed:]
        is_whole = True
    finally:
        if is_whole:
            response.release_conn()
        else:
            response.close()


def _content_range(response: urllib3.BaseHTTPResponse) -> tuple[int, int | None]:
    """First byte (-1 where there is none) and length of the file, as an answer states them."""
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if found is None:
        return -1, None
    num_bytes = None if found[2] == "*" else int(found[2])
    return (-1 if found[1] is None else int(found[1])), num_bytes


def _shown(response: urllib3.BaseHTTPResponse) -> bytes:
    """The first bytes of a body that is not wanted."""
    try:
        return bytes(response.read(SHOWN_BYTES))
    except (urllib3.exceptions.HTTPError, OSError):
        return b""
    finally:
        response.close()


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    """Seconds that the server asks to be left alone for; 0 where it does not."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
