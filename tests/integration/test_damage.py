"""A crawl damaged in all 21 ways, and one damaged at a third: what is sound comes out, all else is
counted with its place."""

import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data_pipeline.records import Drop, RawRecord
from data_pipeline.sources import RECORD_TYPE, CommonCrawlConfig

pytestmark = pytest.mark.shared_data

KINDS = {
    *("gzip_truncated", "gzip_bad_crc", "warc_length_long", "warc_length_short", "warc_length_bad"),
    *("warc_no_uri", "http_length_wrong", "http_garbage", "non_html", "non_html_as_html"),
    *("wrong_charset", "encoding_raw", "encoding_raw_br", "encoding_lie", "chunked_raw"),
    *("chunked_lie", "binary_junk", "dirty_bytes", "payload_truncated", "empty_body"),
    "deep_nesting",
}
NUM_PAGES = 400
HTTP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>"
Records = dict[int, RawRecord | Drop]


def read(path: Path, *, unit_bytes: int | None = None) -> list[RawRecord | Drop]:
    config = CommonCrawlConfig(files=(str(path),), unit_bytes=unit_bytes)
    source = config.build()
    return [record for unit in source.plan() for record in source.records(unit)]


def by_offset(records: list[RawRecord | Drop]) -> Records:
    places = [record.origin.offset for record in records if record.origin is not None]
    assert len(places) == len(set(places)) == len(records)
    return dict(zip(places, records, strict=True))


@pytest.fixture(scope="module")
def crawl(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real pages, half of them damaged, and two bombs."""
    folder = tmp_path_factory.mktemp("damage")
    warcs = sorted(shared_data.glob("crawl/crawl-data/*/segments/*/warc/*.gz"))
    pages = [record for path in warcs[:2] for record in read(path) if isinstance(record, RawRecord)]
    for number, page in enumerate(pages[:NUM_PAGES]):
        path = folder / "html" / f"host{number % 7}" / f"{number}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page.payload)
    options = "--warcs 2 --segments 1 --corrupt-rate 0.5 --bombs 2 --bomb-mb 40 --min-words 5 "
    options += "--source-dedup none --no-wet --seed 3 --truncate-last 300"
    subprocess.run(
        [
            *(sys.executable, str(shared_data / "make_crawl.py"), str(folder / "crawl")),
            *(str(folder / "html"), *options.split()),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "crawl"


def truth_of(crawl: Path) -> list[dict[str, Any]]:
    with gzip.open(crawl / "records.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def found(crawl: Path) -> dict[str, Records]:
    """By file and offset."""
    paths = sorted(crawl.rglob("*.warc.gz"))
    return {str(path.relative_to(crawl)): by_offset(read(path)) for path in paths}


def test_each_kind_of_damage_gives_what_is_owed(crawl: Path, found: dict[str, Records]) -> None:
    rows = truth_of(crawl)
    kinds = {row["kind"].removeprefix("corrupt:") for row in rows}
    assert kinds - {"page", "bomb"} == KINDS
    last = max(rows, key=lambda row: (row["warc"], row["offset"]))
    for row in rows:
        record = found[row["warc"]].get(row["offset"])
        case = (row["kind"], row["expect"], row["warc"], row["offset"], record)
        if row["expect"] == "page" and row is not last:
            assert isinstance(record, RawRecord), case
            assert record.record_id == row["record_id"], case
        elif row["expect"] == "skip":
            assert isinstance(record, Drop), case
            assert not record.reason.startswith(RECORD_TYPE), case
        else:
            assert record is not None, case


def test_no_damage_is_lost_or_reaches_a_neighbour(crawl: Path, found: dict[str, Records]) -> None:
    rows = truth_of(crawl)
    num_pages = Counter(row["warc"] for row in rows)
    for path, records in found.items():
        requests = [
            record
            for record in records.values()
            if isinstance(record, Drop) and record.reason == RECORD_TYPE + "request"
        ]
        assert len(requests) == num_pages[path]


def test_ranges_of_a_damaged_file_partition_it(crawl: Path, found: dict[str, Records]) -> None:
    for path, records in found.items():
        assert by_offset(read(crawl / path, unit_bytes=100_000)) == records


def test_a_bomb_costs_one_drop_and_is_not_inflated_to_its_end(
    crawl: Path, found: dict[str, Records]
) -> None:
    bombs = [row for row in truth_of(crawl) if row["kind"] == "bomb"]
    assert len(bombs) == 2
    for row in bombs:
        record = found[row["warc"]][row["offset"]]
        assert isinstance(record, Drop)
        assert record.reason in {"payload_too_large", "gzip_bomb"}


def test_a_file_damaged_at_a_third_loses_what_is_hit_alone(
    shared_data: Path, tmp_path: Path
) -> None:
    parts = sorted(shared_data.glob("crawl/crawl-data/*/segments/*/warc/*.gz"))[:2]
    data = bytearray(b"".join(path.read_bytes() for path in parts))
    sound = tmp_path / "sound.warc.gz"
    sound.write_bytes(data)
    pages = {r.record_id: r for r in read(sound) if isinstance(r, RawRecord)}
    assert len(pages) >= 495
    at = len(data) // 3
    data[at : at + 64] = bytes(byte ^ 0x5A for byte in data[at : at + 64])
    damaged = tmp_path / "damaged.warc.gz"
    damaged.write_bytes(data)
    records = read(damaged)
    left = {r.record_id: r for r in records if isinstance(r, RawRecord)}
    assert len(left) >= len(pages) - 1
    assert all(record.payload == pages[name].payload for name, record in left.items())
    losses = [
        record
        for record in records
        if isinstance(record, Drop) and not record.reason.startswith(RECORD_TYPE)
    ]
    assert [re.sub("_.*", "", loss.reason) for loss in losses] == ["gzip"]
    (loss,) = losses
    assert loss.origin is not None
    assert loss.origin.offset <= at < loss.origin.offset + max(loss.origin.length, at)
    lost = [page for name, page in pages.items() if name not in left]
    assert [page.origin.offset for page in lost] == [loss.origin.offset]


@pytest.mark.parametrize("stated", [None, 200])
def test_a_gzip_bomb_is_stopped_and_reading_goes_on(tmp_path: Path, stated: int | None) -> None:
    num_bytes = 300_000_000

    def record(number: int, size: int) -> bytes:
        return (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <{number}>\r\n"
            f"WARC-Target-URI: http://a.example/{number}\r\nContent-Length: {size}\r\n\r\n"
        ).encode() + HTTP_HEAD

    head = record(0, stated or num_bytes)
    bomb = gzip.compress(head + b"x" * num_bytes, compresslevel=6)
    text = b"A page behind."
    page = record(1, len(HTTP_HEAD) + len(text)) + text + b"\r\n\r\n"
    path = tmp_path / "bomb.warc.gz"
    path.write_bytes(bomb + gzip.compress(page))
    drop, found = read(path)
    assert isinstance(drop, Drop)
    assert drop.reason in {"payload_too_large", "gzip_bomb", "bad_content_length"}
    assert isinstance(found, RawRecord)
    assert found.payload == b"<p>A page behind."
