"""Real pages and books through the sources and extractors: exact counts, places and scores."""

import gzip
import json
import random
import re
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from data_pipeline.extract import ResiliparseConfig, TrafilaturaConfig, build_extractor
from data_pipeline.records import Document, Drop, RawRecord
from data_pipeline.sources import RECORD_TYPE, BookCorpusConfig, CommonCrawlConfig, CrawlConfig

CRAWL = "CC-MAIN-2026-43"
GOLD_PAGES = 100
MIN_F1 = 0.85


def crawl_records(
    root: Path, unit_bytes: int | None = None, **crawl: Any
) -> list[RawRecord | Drop]:
    config = CrawlConfig(id=CRAWL, root=str(root), **crawl)
    source = CommonCrawlConfig(crawl=config, unit_bytes=unit_bytes).build()
    return [record for unit in source.plan() for record in source.records(unit)]


def truth_of(root: Path) -> list[dict[str, Any]]:
    with gzip.open(root / "records.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def pages(shared_data: Path) -> list[RawRecord]:
    records = crawl_records(shared_data / "crawl")
    drops = Counter(record.reason for record in records if isinstance(record, Drop))
    assert drops == {
        RECORD_TYPE + "warcinfo": 4,
        RECORD_TYPE + "request": 1033,
        RECORD_TYPE + "metadata": 1033,
    }
    return [record for record in records if isinstance(record, RawRecord)]


def test_the_crawl_is_1033_pages_each_where_it_stands(
    shared_data: Path, pages: list[RawRecord]
) -> None:
    places = {
        page.record_id: (page.uri, page.origin.path, page.origin.offset, page.origin.length)
        for page in pages
    }
    assert places == {
        row["record_id"]: (row["url"], row["warc"], row["offset"], row["length"])
        for row in truth_of(shared_data / "crawl")
    }
    assert len(pages) == 1033


def test_ranges_of_the_crawl_partition_it(shared_data: Path, pages: list[RawRecord]) -> None:
    in_ranges = crawl_records(shared_data / "crawl", unit_bytes=777_777)
    assert [record for record in in_ranges if isinstance(record, RawRecord)] == pages


def test_wet_is_1033_texts(shared_data: Path) -> None:
    records = crawl_records(shared_data / "crawl", subset="wet")
    texts = [record for record in records if isinstance(record, RawRecord)]
    assert (len(texts), len(records)) == (1033, 1037)
    assert {(text.media_type, text.charset) for text in texts} == {("text/plain", "utf-8")}
    document = build_extractor(TrafilaturaConfig()).extract(texts[0])
    assert isinstance(document, Document)
    assert document.text.split() == texts[0].payload.decode().split()


def test_main_text_scores_well_against_the_gold(shared_data: Path, pages: list[RawRecord]) -> None:
    score = cast(
        Callable[[list[dict[str, Any]], dict[str, str]], dict[str, float]],
        runpy.run_path(str(shared_data / "score_gold.py"))["score"],
    )
    with (shared_data / "extraction-gold.jsonl").open(encoding="utf-8") as lines:
        gold = random.Random(1).sample([json.loads(line) for line in lines], GOLD_PAGES)
    wanted = {entry["url"] for entry in gold}
    extractor = build_extractor(TrafilaturaConfig(mode="fast"))
    results = {page.uri: extractor.extract(page) for page in pages if page.uri in wanted}
    texts = {uri: r.text for uri, r in results.items() if isinstance(r, Document)}
    assert score(gold, texts)["f1"] > MIN_F1


@pytest.fixture(scope="module")
def damaged(
    shared_data: Path, pages: list[RawRecord], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A crawl of the same pages of which a tenth is damaged in 21 ways, and one is a bomb."""
    folder = tmp_path_factory.mktemp("damaged")
    small = [page for page in pages if len(page.payload) < 60_000]
    for number, page in enumerate(small[:320]):
        path = folder / "pages" / f"host{number % 20}" / f"{number}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page.payload)
    script = str(shared_data / "make_crawl.py")
    options = ["--warcs", "2", "--corrupt-rate", "0.1", "--bombs", "1", "--bomb-mb", "20"]
    options += ["--truncate-last", "300", "--source-dedup", "none", "--no-wet", "--seed", "3"]
    subprocess.run(
        [sys.executable, script, str(folder / "crawl"), str(folder / "pages"), *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder / "crawl"


def test_damage_costs_no_sound_page(damaged: Path) -> None:
    by_place: dict[tuple[str, int], RawRecord | Drop] = {}
    for record in crawl_records(damaged):
        assert record.origin is not None
        by_place.setdefault((record.origin.path, record.origin.offset), record)
    truth = truth_of(damaged)
    assert len({row["kind"] for row in truth if row["kind"].startswith("corrupt:")}) == 21
    last = max(truth, key=lambda row: (row["warc"], row["offset"]))
    extractor = build_extractor(ResiliparseConfig(is_main_content=False))
    for row in truth:
        found = by_place[row["warc"], row["offset"]]
        result = extractor.extract(found) if isinstance(found, RawRecord) else found
        if row is last or row["expect"] == "optional":
            continue
        assert isinstance(result, Document) == (row["expect"] == "page"), (row, result)


def test_ranges_partition_a_damaged_crawl(damaged: Path) -> None:
    assert crawl_records(damaged, unit_bytes=123_456) == crawl_records(damaged)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}


def test_both_forms_of_each_book_are_the_same_text(shared_data: Path) -> None:
    extractor = build_extractor(TrafilaturaConfig())
    forms: dict[str, dict[str, set[tuple[str, ...]]]] = {}
    for pattern in ("epub/*.epub", "epubtxt/*.epub.txt"):
        source = BookCorpusConfig(files=(str(shared_data / "books" / pattern),)).build()
        for unit in source.plan():
            for record in source.records(unit):
                assert isinstance(record, RawRecord)
                document = extractor.extract(record)
                assert isinstance(document, Document)
                forms.setdefault(document.metadata["title"], {})[pattern] = shingles(document.text)
    assert len(forms) == 5
    for title, pair in forms.items():
        epub, text = pair.values()
        assert len(epub & text) / len(epub | text) >= 0.95, title
