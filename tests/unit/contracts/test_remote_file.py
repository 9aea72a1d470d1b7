"""Remote files over real sockets: what the server does wrong, the reader makes good or names."""

import random
import re
from collections.abc import Iterator

import pytest

from contracts import storage
from contracts.errors import DataError
from contracts.remote_requests import RemoteConfig
from tests.web_server import PAGE, Mood, WebServer, web_server

DATA = random.Random(5).randbytes(3_000_000)
QUICK = RemoteConfig(
    backoff_seconds=0.001, max_backoff_seconds=0.01, max_attempts=4, requests_per_second=None
)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server({"/a.bin": DATA, "/empty": b""}) as found:
        yield found


def content(server: WebServer, name: str = "/a.bin") -> bytes:
    with storage.open_read(server.url + name, QUICK) as stream:
        return stream.read()


@pytest.mark.parametrize(
    "moods",
    [
        [Mood()],
        [Mood(status=503, headers={"Retry-After": "0"}, body=b"slow down"), Mood()],
        [Mood(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), Mood()],
        [Mood(status=500), Mood(status=502), Mood(status=504), Mood()],
        [Mood(cut_after=0), Mood(cut_after=300_000), Mood(cut_after=700_001), Mood()],
        [Mood(cut_after=0, resets=True), Mood(cut_after=300_000, resets=True), Mood()],
        [Mood(cut_after=400_000)],
        [Mood(knows_ranges=False)],
        [Mood(knows_ranges=False, says_length=False)],
        [Mood(knows_ranges=False, cut_after=1_000_000), Mood(knows_ranges=False)],
        [Mood(), Mood(status=200, body=PAGE, headers={"Content-Type": "text/html"}), Mood()],
        [Mood(headers={"Content-Encoding": "gzip"})],
    ],
)
def test_whatever_happens_the_bytes_are_the_files(server: WebServer, moods: list[Mood]) -> None:
    server.moods = moods
    assert content(server) == DATA


def test_a_broken_stream_goes_on_from_the_byte_that_was_reached(server: WebServer) -> None:
    server.moods = [Mood(cut_after=600_000), Mood()]
    assert content(server) == DATA
    first, second, *_ = (re.findall(r"\d+", asked) for _, asked in server.ranges)
    assert first[0] == "0"
    assert 0 < int(second[0]) <= 600_000
    assert second[1] == first[1]


def test_seeking_reads_what_stands_there(server: WebServer) -> None:
    with storage.open_read(server.url + "/a.bin", QUICK) as stream:
        assert stream.read(10) == DATA[:10]
        assert stream.seek(-5, 2) == len(DATA) - 5
        assert stream.read() == DATA[-5:]
        stream.seek(2_000_000)
        assert stream.read(7) == DATA[2_000_000:2_000_007]
        assert stream.seek(0) == 0
        assert stream.read(1024) == DATA[:1024]
        assert stream.tell() == 1024
        stream.seek(len(DATA) + 9)
        assert stream.read() == b""


def test_an_empty_file_is_empty(server: WebServer) -> None:
    assert content(server, "/empty") == b""


def test_size_and_version_are_told(server: WebServer) -> None:
    info = storage.file_info(server.url + "/a.bin", QUICK)
    assert (info.size_bytes, info.version) == (len(DATA), '"1"')
    server.moods = [Mood(knows_ranges=False, says_length=False)]
    with pytest.raises(DataError, match="does not tell the file's length; copy the file"):
        storage.file_info(server.url + "/a.bin", QUICK)


def test_a_length_that_is_not_known_cannot_be_sought_from(server: WebServer) -> None:
    server.moods = [Mood(knows_ranges=False, says_length=False)]
    with (
        storage.open_read(server.url + "/a.bin", QUICK) as stream,
        pytest.raises(DataError, match=r"a\.bin: its server does not tell the file's length"),
    ):
        stream.seek(0, 2)


@pytest.mark.parametrize(
    ("mood", "error", "message"),
    [
        (Mood(status=404), DataError, r"/a\.bin cannot be opened: no such file \(404\)"),
        (
            Mood(status=403, body=b"<Error><Code>AccessDenied</Code></Error>"),
            DataError,
            r"/a\.bin answers 403 Forbidden: b'<Error><Code>AccessDenied.*who may read it",
        ),
        (
            Mood(status=503, body=b"<Error><Code>SlowDown</Code></Error>"),
            ConnectionError,
            r"/a\.bin at byte 0: 4 requests in a row failed, the limit \(remote\.max_attempts\), "
            r"the last: .* answers 503 .*SlowDown.*raise the limit",
        ),
        (Mood(cut_after=0, resets=True), ConnectionError, r"at byte 0: 4 requests in a row failed"),
        (
            Mood(added_length=5),
            DataError,
            r"at byte 3000000: 4 requests .*: the file is shorter than its server says",
        ),
        (
            Mood(knows_ranges=False, added_length=5),
            DataError,
            r"at byte 3000000: 4 requests .*: the file is shorter than its server says",
        ),
    ],
)
def test_what_cannot_be_made_good_is_named(
    server: WebServer, mood: Mood, error: type[Exception], message: str
) -> None:
    server.moods = [mood]
    with pytest.raises(error, match=message):
        content(server)


def test_a_file_that_changes_is_refused(server: WebServer) -> None:
    server.moods = [Mood(version="1"), Mood(version="2")]
    with pytest.raises(DataError, match=r"version '\"2\"'.*changed while it was read; run again"):
        content(server)


def test_a_page_in_place_of_a_later_range_is_named(server: WebServer) -> None:
    server.moods = [Mood(), Mood(status=200, body=PAGE, headers={"Content-Type": "text/html"})]
    with pytest.raises(
        ConnectionError, match=r"answer 200 \(text/html\) to a request .* b'<!DOCTYPE html>"
    ):
        content(server)
