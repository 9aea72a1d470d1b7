"""Records to documents: pages by either extractor, plain text, and every way of giving none."""

import time

import pytest

from data_pipeline.extract import (
    BalancedConfig,
    ExtractorConfig,
    FastConfig,
    LearnedConfig,
    PreciseConfig,
    ResiliparseConfig,
    TrafilaturaConfig,
    build_extractor,
)
from data_pipeline.extract.page_shape import head_metadata, is_deeper_than
from data_pipeline.extract.protocol import clean_text
from data_pipeline.records import Document, Drop, Origin, RawRecord

SENTENCE = "The river rises in the hills and runs to the sea past the old town. "
ARTICLE = (
    '<html lang="en-GB"><head><title>A &amp; B\n rivers</title></head><body><nav>'
    '<a href="/">Home</a> <a href="/x">Shop</a></nav><article><h1>Rivers</h1>'
    f"<p>{SENTENCE * 5}</p><p>{SENTENCE * 4}</p></article><footer>Imprint</footer></body></html>"
)
CONFIGS: list[ExtractorConfig] = [
    TrafilaturaConfig(),
    TrafilaturaConfig(mode="default"),
    TrafilaturaConfig(mode="precision"),
    TrafilaturaConfig(mode="recall"),
    ResiliparseConfig(),
    PreciseConfig(),
    BalancedConfig(),
    FastConfig(),
    LearnedConfig(),
]


def record(payload: str | bytes, media_type: str = "text/html", **fields: str) -> RawRecord:
    return RawRecord(
        record_id="r",
        source="s",
        uri=fields.get("uri", "https://site.example/"),
        media_type=media_type,
        payload=payload.encode() if isinstance(payload, str) else payload,
        origin=Origin("a.warc.gz", 7),
        metadata={"licence": fields["licence"]} if "licence" in fields else {},
    )


def extracted(config: ExtractorConfig, raw: RawRecord) -> Document | Drop:
    return build_extractor(config).extract(raw)


def reason(config: ExtractorConfig, raw: RawRecord) -> str:
    result = extracted(config, raw)
    assert isinstance(result, Drop)
    assert result.stage == "extract"
    assert (result.doc_id, result.source, result.origin) == (raw.doc_id, "s", raw.origin)
    return result.reason


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.kind}-{getattr(c, 'mode', '')}")
def test_the_article_comes_out_in_paragraphs_without_the_menu(config: ExtractorConfig) -> None:
    document = extracted(config, record(ARTICLE, licence="CC0"))
    assert isinstance(document, Document)
    assert f"{SENTENCE * 5}".strip() in document.text
    assert "\n\n" in document.text
    assert "Shop" not in document.text
    assert document.metadata == {"title": "A & B rivers", "html_lang": "en-gb", "licence": "CC0"}
    assert document.doc_id == record("").doc_id


@pytest.mark.parametrize("config", [TrafilaturaConfig(), ResiliparseConfig()], ids=lambda c: c.kind)
def test_pages_that_give_nothing_are_dropped_by_name(config: ExtractorConfig) -> None:
    assert reason(config, record("<html><body><script>1</script></body></html>")) == "no_main_text"
    assert reason(config, record("<p></p>")) == "no_main_text"
    assert reason(config, record(b"\x00\x00")) == "no_main_text"
    assert reason(config, record(ARTICLE, "image/png")) == "media_type"


@pytest.mark.parametrize("config", [TrafilaturaConfig(), ResiliparseConfig()], ids=lambda c: c.kind)
@pytest.mark.parametrize("tag", ["<div>", "<b><i>", "<ul><li>", "<font>", "<div></x>"])
def test_thirty_thousand_open_tags_are_a_drop(config: ExtractorConfig, tag: str) -> None:
    page = ARTICLE.replace("<article>", "<article>" + tag * 30_000)
    assert reason(config, record(page)) == "page_too_deep"


@pytest.mark.parametrize("config", [TrafilaturaConfig(), ResiliparseConfig()], ids=lambda c: c.kind)
def test_fifty_megabytes_are_a_drop_at_once(config: ExtractorConfig) -> None:
    begin = time.perf_counter()
    assert reason(config, record(b"<p>text " * 6_250_000)) == "page_too_large"
    assert time.perf_counter() - begin < 1


def test_a_long_flat_page_is_not_called_deep() -> None:
    assert not is_deeper_than("<p>a<br><li>b" * 50_000, 100)
    assert not is_deeper_than("<div><span>x</span></div>" * 50_000, 100)
    assert is_deeper_than("<DIV>" * 101, 100)


def test_a_mode_gives_what_its_library_gives() -> None:
    raw = record(ARTICLE)
    assert extracted(PreciseConfig(), raw) == extracted(TrafilaturaConfig(mode="precision"), raw)
    assert extracted(BalancedConfig(), raw) == extracted(TrafilaturaConfig(mode="fast"), raw)
    assert extracted(FastConfig(), raw) == extracted(ResiliparseConfig(), raw)


def test_broken_xml_of_a_book_is_a_drop() -> None:
    assert reason(TrafilaturaConfig(), record(b"", "application/xhtml+xml")) == "parser_error"


def test_plain_text_keeps_its_words_and_loses_only_what_cannot_be_written() -> None:
    raw = record("one\r\ntwo  \r\r\n\n\n\nthree\0\n", "text/plain", uri="a\ud800\0b")
    document = extracted(TrafilaturaConfig(), raw)
    assert isinstance(document, Document)
    assert document.text == "one\ntwo\n\nthree"
    assert document.uri == "a\ufffdb"


def test_cleaning_twice_changes_nothing_and_composes_nothing() -> None:
    text = "  indented\n\n\n\nu\u0308 \u00fc \ud83d\ude00 \ud800\t\nend \n"
    once = clean_text(text)
    assert once == "  indented\n\nu\u0308 \u00fc \U0001f600 \ufffd\nend"
    assert clean_text(once) == once


def test_head_metadata_of_pages_without_a_head() -> None:
    assert head_metadata("no tags at all") == {}
    assert head_metadata("<title> </title><html lang=''>") == {}
    assert len(head_metadata(f"<title>{'x' * 5000}</title>")["title"]) == 300
