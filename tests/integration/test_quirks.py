"""Every odd archive is read to its end, each record kept or dropped for a named reason."""

import re
from collections import Counter
from pathlib import Path

import pytest

from data_pipeline.extract import TrafilaturaConfig, build_extractor
from data_pipeline.records import Document, Drop, RawRecord
from data_pipeline.sources import RECORD_TYPE, CommonCrawlConfig

PAGE = "page"
INFO, REQUEST, METADATA = (RECORD_TYPE + kind for kind in ("warcinfo", "request", "metadata"))
REVISIT, UNKNOWN, FILEDESC = (RECORD_TYPE + kind for kind in ("revisit", "unknown", "filedesc"))
EXAMPLE = {INFO: 2, PAGE: 1, REQUEST: 2, REVISIT: 1}
EXPECTED: dict[str, dict[str, int]] = {
    "quirks/resiliparse/warcfile.warc.gz": {INFO: 1, REQUEST: 17, PAGE: 16, METADATA: 16},
    "quirks/resiliparse/warcfile.warc.lz4": {INFO: 1, REQUEST: 17, PAGE: 16, METADATA: 16},
    "quirks/resiliparse/clueweb-quirk.warc.gz": {INFO: 1, PAGE: 29},
    "quirks/resiliparse/clipped.warc.gz": {"truncated_record": 1},
    "quirks/resiliparse/block-sized-records.warc": {UNKNOWN: 3},
    "quirks/resiliparse/block-sized-records.warc.gz": {UNKNOWN: 3},
    "quirks/resiliparse/block-sized-records.warc.lz4": {UNKNOWN: 3},
    "quirks/warcio/example.warc": EXAMPLE,
    "quirks/warcio/example.warc.gz": EXAMPLE,
    "quirks/warcio/example-bad-non-chunked.warc.gz": EXAMPLE,
    "quirks/warcio/example-bad.warc.gz.bad": {
        **{INFO: 1, PAGE: 1, REQUEST: 2, REVISIT: 1},
        "http_status": 1,
    },
    "quirks/warcio/post-test.warc.gz": {"media_type": 3, REQUEST: 3},
    "quirks/warcio/example-trunc.warc": {INFO: 2, PAGE: 1, REQUEST: 1},
    "quirks/warcio/example-wrong-chunks.warc.gz": {PAGE: 1, REQUEST: 1},
    "quirks/warcio/example-iana.org-chunked.warc": {INFO: 1, PAGE: 1, REQUEST: 1},
    "quirks/warcio/example-digest.warc": {REQUEST: 4},
    "quirks/warcio/example-space-in-target-uri.warc.gz": {INFO: 1, "media_type": 1},
    "quirks/warcio/example-wget-bad-target-uri.warc.gz": {
        **{INFO: 1, REQUEST: 1, PAGE: 1, METADATA: 1},
        "media_type": 2,
    },
    "quirks/warcio/example-resource.warc.gz": {INFO: 2, PAGE: 1},
    "quirks/warcio/example.arc": {FILEDESC: 1, PAGE: 1},
    "quirks/warcio/example.arc.gz": {FILEDESC: 1, PAGE: 1},
    "quirks/warcio/example-space-in-url.arc": {FILEDESC: 1, "truncated_record": 1},
    "quirks/warcio/bad.arc": {"bad_content_length": 3, "http_garbage": 1},
    "quirks/dolma/sample-0000.warc.gz": {
        INFO: 1,
        REQUEST: 22,
        PAGE: 22,
        METADATA: 1,
        "media_type": 2,
    },
    "quirks/dolma/sample-0001.warc.gz": {
        INFO: 1,
        REQUEST: 15,
        PAGE: 15,
        METADATA: 1,
        "media_type": 2,
    },
    "whirlwind.warc": {INFO: 1, REQUEST: 1, PAGE: 1, METADATA: 1},
    "whirlwind.warc.gz": {INFO: 1, REQUEST: 1, PAGE: 1, METADATA: 1},
    "whirlwind.warc.wet": {INFO: 1, PAGE: 1},
    "whirlwind.warc.wet.gz": {INFO: 1, PAGE: 1},
    "whirlwind.warc.wat": {INFO: 1, METADATA: 1},
    "whirlwind.warc.wat.gz": {INFO: 1, METADATA: 1},
}


def records_of(path: Path) -> list[RawRecord | Drop]:
    source = CommonCrawlConfig(files=(str(path),)).build()
    return [record for unit in source.plan() for record in source.records(unit)]


@pytest.mark.parametrize("name", EXPECTED)
def test_each_record_is_accounted(shared_data: Path, name: str) -> None:
    records = records_of(shared_data / "commoncrawl" / name)
    counts = Counter(PAGE if isinstance(record, RawRecord) else record.reason for record in records)
    assert counts == EXPECTED[name]
    extractor = build_extractor(TrafilaturaConfig())
    for record in records:
        if isinstance(record, RawRecord):
            assert "<" not in record.uri
            result = extractor.extract(record)
            assert result.doc_id == record.doc_id


def test_no_quirk_is_left_out(shared_data: Path) -> None:
    folder = shared_data / "commoncrawl"
    found = {str(path.relative_to(folder)) for path in folder.glob("quirks/*/*")}
    assert found == {name for name in EXPECTED if name.startswith("quirks/")}


def test_mislabelled_japanese_pages_are_read_as_what_they_are(shared_data: Path) -> None:
    path = shared_data / "commoncrawl/quirks/resiliparse/clueweb-quirk.warc.gz"
    extractor = build_extractor(TrafilaturaConfig())
    results = [extractor.extract(r) for r in records_of(path) if isinstance(r, RawRecord)]
    texts = [result.text for result in results if isinstance(result, Document)]
    assert len(texts) == 29
    assert all(re.search("[\u3040-\u30ff]", text) for text in texts)
    assert not any("\ufffd" in text for text in texts)
