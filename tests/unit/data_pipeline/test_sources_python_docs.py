"""The embedded default: pages of this Python, the same bytes each time, no name of this machine."""

import sys
from pathlib import Path

import pytest

from data_pipeline.records import Drop, RawRecord
from data_pipeline.sources import RECORD_TYPE, PythonDocsConfig


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[RawRecord]:
    folder = tmp_path_factory.mktemp("docs")
    source = PythonDocsConfig(cache_dir=str(folder)).build()
    found = [record for unit in source.plan() for record in source.records(unit)]
    drops = [item for item in found if isinstance(item, Drop)]
    assert all(drop.reason.startswith(RECORD_TYPE) for drop in drops)
    return [item for item in found if isinstance(item, RawRecord)]


def test_the_standard_library_as_pages(pages: list[RawRecord]) -> None:
    assert len(pages) > 200
    assert sum(len(page.payload) for page in pages) > 5_000_000
    names = {page.uri.rpartition("/")[2].removesuffix(".html") for page in pages}
    assert {"json", "os.path" if "os.path" in names else "os", "asyncio.events"} <= names
    assert not names & {"antigravity", "this", "test", "idlelib", "turtle"}


def test_pages_name_nothing_of_this_machine(pages: list[RawRecord]) -> None:
    home = str(Path.home())
    words = [sys.base_prefix] + ([home] if len(home) > 1 else [])
    for page in pages:
        text = page.payload.decode("utf-8", errors="replace")
        assert not any(word in text for word in words), page.uri


def test_another_run_writes_the_same_bytes(tmp_path: Path, pages: list[RawRecord]) -> None:
    first = PythonDocsConfig(cache_dir=str(tmp_path)).build()
    again = [item for unit in first.plan() for item in first.records(unit)]
    bodies = [item.payload for item in again if isinstance(item, RawRecord)]
    assert bodies == [page.payload for page in pages]


def test_the_reference_is_one_book(tmp_path: Path) -> None:
    source = PythonDocsConfig(part="reference", cache_dir=str(tmp_path), name="ref").build()
    (book,) = [item for unit in source.plan() for item in source.records(unit)]
    assert isinstance(book, RawRecord)
    assert book.metadata["title"] == "The Python Language Reference"
    assert book.metadata["licence"] == "PSF-2.0"
    assert len(book.payload) > 300_000
