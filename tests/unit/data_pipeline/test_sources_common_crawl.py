"""WARC reading without any data from outside: files made here, whole and damaged."""

import gzip
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.errors import DataError
from data_pipeline.records import Drop, RawRecord
from data_pipeline.sources import RECORD_TYPE, CommonCrawlConfig, CrawlConfig

PAGE = b"<html><head><title>T</title></head><body><p>Some text of page %d.</p></body></html>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"


def warc_record(
    number: int,
    block: bytes,
    *,
    warc_type: str = "response",
    length: str | None = None,
    uri: str | None = "",
    content_type: str = "application/http",
) -> bytes:
    address = f"https://site.example/{number}" if uri == "" else uri
    fields = [
        f"WARC-Type: {warc_type}",
        f"WARC-Record-ID: <urn:uuid:{number:04}-{warc_type}>",
        "WARC-Date: 2026-10-19T00:23:07Z",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(block) if length is None else length}",
    ]
    if address is not None:
        fields.append(f"WARC-Target-URI: {address}")
    return ("WARC/1.0\r\n" + "\r\n".join(fields) + "\r\n\r\n").encode() + block + b"\r\n\r\n"


def page(number: int, **fields: str | None) -> bytes:
    return warc_record(number, HEAD + PAGE % number, **fields)  # type: ignore[arg-type]


def request(number: int) -> bytes:
    return warc_record(number, b"GET / HTTP/1.1\r\n\r\n", warc_type="request")


def read(path: Path, **fields: int | None) -> list[RawRecord | Drop]:
    source = CommonCrawlConfig.model_validate({"files": (str(path),), **fields}).build()
    return [record for unit in source.plan() for record in source.records(unit)]


def pages_of(records: list[RawRecord | Drop]) -> list[str]:
    return [record.uri for record in records if isinstance(record, RawRecord)]


def reasons_of(records: list[RawRecord | Drop]) -> Counter[str]:
    return Counter(record.reason for record in records if isinstance(record, Drop))


def written(path: Path, *members: bytes) -> Path:
    path.write_bytes(b"".join(members))
    return path


def test_a_page_carries_all_that_its_record_says(tmp_path: Path) -> None:
    members = [gzip.compress(request(1)), gzip.compress(page(1))]
    path = written(tmp_path / "a.warc.gz", *members)
    skipped, found = read(path)
    assert isinstance(skipped, Drop)
    assert skipped.reason == f"{RECORD_TYPE}request"
    assert skipped.stage == "read"
    assert isinstance(found, RawRecord)
    assert found.record_id == "<urn:uuid:0001-response>"
    assert found.source == "common_crawl"
    assert found.payload == PAGE % 1
    assert (found.media_type, found.charset) == ("text/html", "utf-8")
    assert found.fetched_at == "2026-10-19T00:23:07Z"
    assert (found.origin.path, found.origin.offset) == ("a.warc.gz", len(members[0]))
    assert found.origin.length == len(members[1])


@pytest.mark.parametrize("unit_bytes", [100, 333, 1000, 5000])
def test_ranges_of_any_size_partition_the_records(tmp_path: Path, unit_bytes: int) -> None:
    members = [gzip.compress(page(n)) for n in range(40)]
    members[7] = members[7][:60]
    members[20] = bytes(range(200, 250)) * 9
    path = written(tmp_path / "a.warc.gz", *members)
    whole = read(path, unit_bytes=None)
    in_ranges = read(path, unit_bytes=unit_bytes)
    assert in_ranges == whole
    assert len(pages_of(whole)) == 38
    assert sum(reasons_of(whole).values()) == 2


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda member: member[: len(member) // 2], "gzip_corrupt"),
        (lambda member: member[:-8] + b"\0\0\0\0" + member[-4:], "gzip_corrupt"),
        (lambda member: b"\x01\x02" + b"junk" * len(member), "junk_between_records"),
    ],
)
def test_damage_costs_the_damaged_record_alone(tmp_path: Path, damage: Damage, reason: str) -> None:
    members = [gzip.compress(page(n)) for n in range(5)]
    members[2] = damage(members[2])
    records = read(written(tmp_path / "a.warc.gz", *members))
    assert [uri[-1] for uri in pages_of(records)] == ["0", "1", "3", "4"]
    assert reasons_of(records) == {reason: 1}


@pytest.mark.parametrize("left", [11, 20, 60, 120])
def test_damage_does_not_cost_the_sound_record_before_it(tmp_path: Path, left: int) -> None:
    members = [gzip.compress(page(n)) for n in range(4)]
    members[2] = members[2][:left]
    path = written(tmp_path / "a.warc.gz", *members)
    records = read(path)
    assert [uri[-1] for uri in pages_of(records)] == ["0", "1", "3"]
    assert sum(reasons_of(records).values()) == 1
    sound = [record for record in records if isinstance(record, RawRecord)][1]
    assert sound.origin.length == len(members[1])
    assert read(path, unit_bytes=70) == records


def test_a_cut_off_last_page_is_a_drop_and_not_a_page(tmp_path: Path) -> None:
    members = [gzip.compress(page(n)) for n in range(3)]
    records = read(written(tmp_path / "a.warc.gz", *members[:2], members[2][:-30]))
    assert len(pages_of(records)) == 2
    assert reasons_of(records) == {"truncated_record": 1}


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        ("", "bad_content_length"),
        ("abc", "bad_content_length"),
        ("-1", "bad_content_length"),
        ("99999999999999999999", "bad_content_length"),
        ("5000", "truncated_record"),
        ("20", "bad_content_length"),
    ],
)
def test_a_wrong_length_does_not_reach_into_the_next_record(
    tmp_path: Path, length: str, reason: str
) -> None:
    members = [gzip.compress(page(n, length=length if n == 1 else None)) for n in range(4)]
    records = read(written(tmp_path / "a.warc.gz", *members))
    assert [uri[-1] for uri in pages_of(records)] == ["0", "2", "3"]
    assert reasons_of(records) == {reason: 1}


@pytest.mark.parametrize("length", ["", "5000", "420", "99999999"])
def test_an_uncompressed_file_goes_on_behind_a_wrong_length(tmp_path: Path, length: str) -> None:
    records = [page(n, length=length if n == 1 else None) for n in range(4)]
    found = read(written(tmp_path / "a.warc", *records))
    assert [uri[-1] for uri in pages_of(found)] == ["0", "2", "3"]
    assert sum(reasons_of(found).values()) == 1


def test_one_member_for_the_whole_file_and_one_record_in_two_members(tmp_path: Path) -> None:
    one = gzip.compress(b"".join(page(n) for n in range(6)))
    assert len(pages_of(read(written(tmp_path / "one.warc.gz", one)))) == 6
    whole = page(1)
    parts = [gzip.compress(whole[:100]), gzip.compress(whole[100:]), gzip.compress(page(2))]
    assert len(pages_of(read(written(tmp_path / "two.warc.gz", *parts)))) == 2


def test_a_gzip_file_of_another_name_is_read_to_its_end(tmp_path: Path) -> None:
    members = [gzip.compress(page(n)) for n in range(20)]
    assert len(pages_of(read(written(tmp_path / "a.bad", *members), unit_bytes=100))) == 20


def test_damaged_first_bytes_do_not_cost_the_file(tmp_path: Path) -> None:
    members = [gzip.compress(page(n)) for n in range(10)]
    path = written(tmp_path / "a.warc.gz", b"\0\0\0" + members[0][3:], *members[1:])
    records = read(path)
    assert len(pages_of(records)) == 9
    assert reasons_of(records) == {"junk_between_records": 1}
    assert read(path, unit_bytes=300) == records


def test_a_plain_file_that_is_called_gz_is_read_once(tmp_path: Path) -> None:
    path = written(tmp_path / "a.warc.gz", *(page(n) for n in range(10)))
    assert len(pages_of(read(path, unit_bytes=300))) == 10


def test_any_damage_is_accounted_and_the_same_in_ranges(tmp_path: Path) -> None:
    chance = random.Random(7)
    sound = b"".join(gzip.compress(page(n)) for n in range(8))
    for number in range(150):
        data = bytearray(sound)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(40)] = chance.randbytes(chance.randrange(40))
        path = written(tmp_path / f"{number}.warc.gz", bytes(data))
        whole = read(path, unit_bytes=None)
        assert whole
        assert read(path, unit_bytes=len(data) // 3) == whole


def test_lz4_is_read(tmp_path: Path) -> None:
    frame = pytest.importorskip("lz4.frame")
    members = [frame.compress(page(n)) for n in range(3)]
    assert len(pages_of(read(written(tmp_path / "a.warc.lz4", *members)))) == 3


def test_what_is_no_page_is_dropped_by_name(tmp_path: Path) -> None:
    html = b"<p>An archived resource.</p>"
    members = [
        page(1, uri=None),
        warc_record(2, b"HTTP/1.1 404 Not Found\r\n\r\n" + html),
        warc_record(3, b"nonsense"),
        warc_record(4, html, warc_type="resource", content_type="text/plain"),
        warc_record(5, html, warc_type="resource", content_type="text/html"),
        warc_record(6, b"Text.", warc_type="conversion", content_type="text/plain"),
        warc_record(7, b" ", warc_type="conversion", content_type="text/plain"),
        warc_record(8, b"93.184.216.34", uri="dns:site.example"),
        page(9, uri="<https://site.example/brackets>"),
        warc_record(10, b"", warc_type="revisit"),
    ]
    records = read(written(tmp_path / "a.warc.gz", *map(gzip.compress, members)))
    assert reasons_of(records) == {
        "no_target_uri": 1,
        "http_status": 1,
        "http_garbage": 1,
        "media_type": 2,
        "empty_body": 1,
        "record_type:revisit": 1,
    }
    assert len(records) == len(members)
    kinds = [(r.uri, r.media_type) for r in records if isinstance(r, RawRecord)]
    assert kinds == [
        ("https://site.example/5", "text/html"),
        ("https://site.example/6", "text/plain"),
        ("https://site.example/brackets", "text/html"),
    ]


def test_a_page_beyond_the_limit_is_dropped_unread(tmp_path: Path) -> None:
    big = warc_record(1, HEAD + b"<p>" + b"x" * 200_000)
    path = written(tmp_path / "a.warc.gz", gzip.compress(big), gzip.compress(page(2)))
    records = read(path, max_payload_bytes=1000)
    assert reasons_of(records) == {"payload_too_large": 1}
    assert len(pages_of(records)) == 1


def test_a_file_that_is_no_archive_is_accounted(tmp_path: Path) -> None:
    records = read(written(tmp_path / "a.warc", b"%PDF-1.7 not a crawl at all"))
    assert reasons_of(records) == {"not_an_archive": 1}


def test_arc_records_become_pages(tmp_path: Path) -> None:
    block = HEAD + PAGE % 1
    line = b"http://site.example/a page 192.0.2.1 20140216050221 text/html %d\n" % len(block)
    about = b"1 0 Maker\nURL IP-address Archive-date Content-type Archive-length\n"
    start = b"filedesc://x.arc 192.0.2.1 20140216050221 text/plain %d\n" % len(about) + about
    bad = b"http://site.example/b 192.0.2.1 20140216050221 text/html abc\n\n"
    data = start + b"\n" + line + block + b"\n" + bad + b"\x00junk\n" + line + block[:20]
    for path in (
        written(tmp_path / "a.arc", data),
        written(tmp_path / "a.arc.gz", gzip.compress(data)),
    ):
        records = read(path, unit_bytes=50)
        assert pages_of(records) == ["http://site.example/a page"]
        assert reasons_of(records) == {
            "record_type:filedesc": 1,
            "bad_content_length": 1,
            "truncated_record": 1,
        }


@pytest.fixture
def crawl_root(tmp_path: Path) -> Path:
    folder = tmp_path / "crawl-data" / "CC-TEST"
    names = [f"crawl-data/CC-TEST/warc/{n:02}.warc.gz" for n in range(20)]
    (folder / "warc").mkdir(parents=True)
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(gzip.compress(page(number)))
    (folder / "warc.paths.gz").write_bytes(gzip.compress("\n".join(names).encode()))
    return tmp_path


def planned(root: Path, **selection: object) -> list[str]:
    crawl = {"id": "CC-TEST", "root": str(root), **selection}
    source = CommonCrawlConfig(crawl=CrawlConfig.model_validate(crawl)).build()
    return [unit.path for unit in source.plan()]


def test_a_crawl_is_resolved_by_its_listing(crawl_root: Path) -> None:
    everything = planned(crawl_root)
    assert len(everything) == 20
    assert planned(crawl_root, first=3) == everything[:3]
    assert planned(crawl_root, paths=(everything[5], everything[2])) == [
        everything[2],
        everything[5],
    ]
    some = planned(crawl_root, fraction=0.5, seed=1)
    assert 4 <= len(some) <= 16
    assert some == planned(crawl_root, fraction=0.5, seed=1)
    assert some != planned(crawl_root, fraction=0.5, seed=2)
    assert set(some) <= set(planned(crawl_root, fraction=0.8, seed=1))


def test_a_crawl_that_does_not_resolve_says_why(crawl_root: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 1 paths are not in .*the first being 'nowhere'"):
        planned(crawl_root, paths=("nowhere",))
    with pytest.raises(DataError, match=r"of 20 files in .* none was chosen \(fraction=1e-09"):
        planned(crawl_root, fraction=1e-9)
    with pytest.raises(DataError, match=r"wet\.paths\.gz cannot be opened: no such file"):
        planned(crawl_root, subset="wet")
    listing = crawl_root / "crawl-data" / "CC-TEST" / "warc.paths.gz"
    listing.write_bytes(listing.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cannot be unpacked: .*; fetch it again"):
        planned(crawl_root)


def test_configs_that_say_too_much_or_too_little_are_refused() -> None:
    with pytest.raises(ValidationError, match="exactly one of `crawl` and `files`"):
        CommonCrawlConfig()
    with pytest.raises(ValidationError, match="exactly one of `crawl` and `files`"):
        CommonCrawlConfig(files=("a",), crawl=CrawlConfig(id="X"))
    with pytest.raises(ValidationError, match="first and fraction are both given; choose one"):
        CrawlConfig(id="X", first=1, fraction=0.5)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source common_crawl: no file matches '.*none\*'"):
        read(tmp_path / "none*")


def test_a_file_that_is_no_archive_is_one_drop_however_it_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path / "a.gz", b"")
    source = CommonCrawlConfig(files=(str(path),)).build()
    (unit,) = source.plan()
    later = replace(unit, start=10, end=20)  # the file was emptied since the plan was made
    (drop,) = [*source.records(unit), *source.records(later)]
    assert isinstance(drop, Drop)
    assert drop.reason == "not_an_archive"
