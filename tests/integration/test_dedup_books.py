"""Real books and pages: the two forms of a book are one cluster; rules suit each language."""

import re
from collections import Counter
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from data_pipeline.dedup import DedupConfig, find_duplicates, signature_table
from data_pipeline.filters import (
    C4Config,
    FilterChain,
    FineWebConfig,
    GopherQualityConfig,
    GopherRepetitionConfig,
    LanguageConfig,
)
from data_pipeline.records import Document, Origin, make_doc_id

pytestmark = pytest.mark.shared_data

_LICENCE_BEGINS = re.compile(r"\*\*\* ?START OF TH.*?\*\*\*", re.DOTALL)
_LICENCE_ENDS = re.compile(r"\*\*\* ?END OF TH", re.DOTALL)


def document(source: str, name: str, text: str) -> Document:
    return Document(make_doc_id(source, name), source, name, text, Origin(name, 0))


def body(text: str) -> str:
    """A book without most of the front matter and licence that stand around it."""
    start, end = _LICENCE_BEGINS.search(text), _LICENCE_ENDS.search(text)
    return text[start.end() if start else 0 : end.start() if end else len(text)]


def books(shared_data: Path) -> list[Document]:
    texts = sorted((shared_data / "books" / "text").glob("*.txt"))
    converted = sorted((shared_data / "books" / "epubtxt").glob("*.epub.txt"))
    return [document("text", path.name, path.read_text(encoding="utf-8")) for path in texts] + [
        document("epubtxt", path.name, body(path.read_text(encoding="utf-8"))) for path in converted
    ]


def slug(name: str) -> str:
    return name.split("__")[-1].split(".")[0]


@pytest.fixture(scope="module")
def pages(shared_data: Path) -> list[Document]:
    found = []
    for path in sorted(shared_data.glob("crawl/crawl-data/*/segments/*/wet/*.warc.wet.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.conversion):
                uri, text = record.headers["WARC-Target-URI"], record.reader.read().decode()
                found.append(document("crawl", f"{uri} {record.record_id}", text))
    assert len(found) == 1033
    return found


def test_both_forms_of_each_book_end_as_one_cluster(shared_data: Path) -> None:
    config = DedupConfig()
    signer = config.build()
    documents = books(shared_data)
    assert len(documents) == 10
    duplicates = find_duplicates(
        signature_table([[signer.signature(book) for book in documents]], 0), config
    )
    names = {book.doc_id: slug(book.uri) for book in documents}
    assert len(duplicates) == 5
    for duplicate in duplicates:
        assert names[duplicate.doc_id] == names[duplicate.kept_doc_id]
        assert duplicate.method == "exact" or (duplicate.similarity or 0) > 0.9


def test_pages_of_every_language_pass_the_stop_word_rule(pages: list[Document]) -> None:
    chain = FilterChain([LanguageConfig(min_score=None), GopherQualityConfig()])
    judged = [chain.judge(page) for page in pages]
    number = Counter(judgement.document.language for judgement in judged)
    kept = Counter(j.document.language for j in judged if j.verdict.keep)
    reasons = Counter((j.document.language, j.verdict.reason) for j in judged)
    assert number["de"] > 650
    for language in ("de", "en", "es", "fr", "pl"):
        assert kept[language] / number[language] > 0.9, language
        assert reasons[language, "too_few_stop_words"] <= 1
    # The English list alone would have thrown most German pages away.
    english = sum(
        FilterChain([GopherQualityConfig()])
        .judge(Document(p.doc_id, p.source, p.uri, p.text, p.origin, language="en"))
        .verdict.keep
        for p, judgement in zip(pages, judged, strict=True)
        if judgement.document.language == "de"
    )
    assert english < kept["de"]


def test_whole_pages_with_their_menus_are_judged_by_all_rules(pages: list[Document]) -> None:
    chain = FilterChain(
        [
            LanguageConfig(),
            GopherRepetitionConfig(),
            GopherQualityConfig(),
            C4Config(),
            FineWebConfig(),
        ]
    )
    judged = [chain.judge(page) for page in pages]
    stages = Counter(j.verdict.stage for j in judged)
    assert set(stages) == {
        "filter",
        "language",
        "gopher_repetition",
        "gopher_quality",
        "c4",
        "fineweb",
    }
    # These texts hold menus and footers, which the line rules are made to refuse.
    kept = Counter(j.document.language for j in judged if j.verdict.keep)
    number = Counter(j.document.language for j in judged)
    assert 0.15 < kept["de"] / number["de"] < 0.5
    assert 0.15 < kept["en"] / number["en"] < 0.5


def test_real_pages_hold_few_duplicates_and_all_are_one_site_or_mirrored(
    pages: list[Document],
) -> None:
    config = DedupConfig()
    signer = config.build()
    duplicates = find_duplicates(
        signature_table([[signer.signature(page) for page in pages]], 0), config
    )
    assert len(duplicates) == 5
    assert sorted(duplicate.method for duplicate in duplicates) == ["exact"] * 2 + ["minhash"] * 3
