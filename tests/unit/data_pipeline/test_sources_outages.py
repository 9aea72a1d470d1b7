"""A network that fails while a file is read is raised for a retry, never counted as a bad file."""

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts import storage
from data_pipeline.records import WorkUnit
from data_pipeline.sources import (
    BookCorpusConfig,
    CommonCrawlConfig,
    JsonlConfig,
    ParquetConfig,
    PlainTextConfig,
)
from data_pipeline.sources.protocol import Source

NOISE = random.Random(7).randbytes(2_000_000)
WARC = (
    b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <a>\r\nContent-Length: %d\r\n\r\n"
    % len(NOISE)
    + NOISE
    + b"\r\n\r\n"
)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("META-INF/container.xml", NOISE)
    return stream.getvalue()


def parquet_file() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": [NOISE.hex()]}), stream)
    return stream.getvalue()


class Resetting(io.BytesIO):
    """A connection that is reset once the beginning was read."""

    def __init__(self, data: bytes, error: OSError, num_sound: int) -> None:
        super().__init__(data)
        self._error = error
        self._left = num_sound

    def read(self, size: int | None = -1, /) -> bytes:
        if self._left == 0:
            raise self._error
        self._left -= 1
        return super().read(size)


CASES: list[tuple[str, Callable[[str], Source], bytes]] = [
    ("x.jsonl.gz", lambda f: JsonlConfig(files=(f,)).build(), gzip.compress(NOISE)),
    ("x.txt.gz", lambda f: PlainTextConfig(files=(f,)).build(), gzip.compress(NOISE)),
    ("x.parquet", lambda f: ParquetConfig(files=(f,)).build(), parquet_file()),
    ("x.warc.gz", lambda f: CommonCrawlConfig(files=(f,)).build(), gzip.compress(WARC)),
    ("x.warc", lambda f: CommonCrawlConfig(files=(f,)).build(), WARC),
    (
        "x.arc.gz",
        lambda f: CommonCrawlConfig(files=(f,)).build(),
        gzip.compress(b"filedesc:" + NOISE),
    ),
    ("x.epub", lambda f: BookCorpusConfig(files=(f,)).build(), zipped()),
]


@pytest.mark.parametrize("num_sound", [0, 1])
@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset"), TimeoutError("slow"), OSError(5, "I/O")]
)
@pytest.mark.parametrize(("name", "build", "data"), CASES, ids=[case[0] for case in CASES])
def test_an_outage_is_raised(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    build: Callable[[str], Source],
    data: bytes,
    error: OSError,
    num_sound: int,
) -> None:
    def opened(url: str, remote: object = None) -> IO[bytes]:
        del remote
        assert url == name
        return Resetting(data, error, num_sound)

    monkeypatch.setattr(storage, "open_read", opened)
    unit = WorkUnit("s", name, name, 0, len(data), len(data), "1")
    with pytest.raises(OSError, match=error.args[-1]):
        list(build(name).records(unit))
