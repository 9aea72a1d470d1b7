"""What a page says against its use: read from headers and meta tags, recorded, honoured."""

from collections.abc import Mapping

import pytest

from data_pipeline.extract.page_shape import head_metadata
from data_pipeline.filters import FilterChain, OptOutConfig
from data_pipeline.filters.opt_out import directives
from data_pipeline.records import Document, Origin
from data_pipeline.sources.http_response import Page, page_of_response


def document(metadata: Mapping[str, str]) -> Document:
    return Document("d", "web", "https://a.example/", "A text.", Origin("f", 0), metadata=metadata)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"http.x-robots-tag": "noai"}, "noai"),
        ({"http.x-robots-tag": "noindex, NoAI"}, "noai"),
        ({"http.x-robots-tag": "otherbot: noindex\nnoai"}, "noai"),
        ({"http.x-robots-tag": "CCBot: noai"}, "noai"),
        ({"http.x-robots-tag": "otherbot: noarchive, ccbot: nofollow, noai"}, "noai"),
        ({"http.x-robots-tag": "max-snippet: 20, noai"}, "noai"),
        ({"http.x-robots-tag": "otherbot: noai"}, None),
        ({"http.x-robots-tag": "otherbot: nofollow, noai"}, None),
        ({"http.x-robots-tag": "noimageai, noindex"}, None),
        ({"http.x-robots-tag": ""}, None),
        ({"meta.robots": "index, follow"}, None),
        ({"meta.robots": "noml"}, "noml"),
        ({"meta.robots": "googlebot: noai"}, None),
        ({"http.tdm-reservation": "1"}, "tdm_reservation"),
        ({"meta.tdm-reservation": " 1 "}, "tdm_reservation"),
        ({"meta.tdm-reservation": "0"}, None),
        ({}, None),
    ],
)
def test_signals(metadata: dict[str, str], reason: str | None) -> None:
    judged = FilterChain([], OptOutConfig()).judge(document(metadata))
    assert judged.verdict.reason == reason
    assert judged.verdict.keep == (reason is None)
    if reason is not None:
        assert judged.verdict.stage == "opt_out"
        assert judged.document.text == ""
        assert judged.measures[f"opt_out.{reason}"] == 1.0
    kept = FilterChain([], OptOutConfig(honour=False)).judge(document(metadata))
    assert kept.verdict.keep
    assert kept.document.text == "A text."
    assert kept.measures == judged.measures


def test_pictures_and_search_results_count_where_named() -> None:
    config = OptOutConfig(signals=("noimageai",))
    page = document({"http.x-robots-tag": "noimageai"})
    assert FilterChain([], config).judge(page).verdict.reason == "noimageai"


def test_an_agents_name_holds_for_what_follows() -> None:
    assert list(
        directives("noarchive, a: noai, nofollow, unavailable_after: 1 jan, b: noindex")
    ) == [
        ("", "noarchive"),
        ("a", "noai"),
        ("a", "nofollow"),
        ("a", "unavailable_after: 1 jan"),
        ("b", "noindex"),
    ]


def test_headers_that_matter_go_on_with_the_page() -> None:
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Robots-Tag: noindex\r\n"
        "x-robots-tag: otherbot: noai\r\nTDM-Reservation: 1\r\ntdm-policy: https://a.example/p\r\n"
        "Content-Language: de-DE\r\nServer: x\r\n\r\n<p>a"
    )
    page = page_of_response(head.encode(), max_payload_bytes=1000)
    assert isinstance(page, Page)
    assert page.metadata == {
        "http.x-robots-tag": "noindex\notherbot: noai",
        "http.tdm-reservation": "1",
        "http.tdm-policy": "https://a.example/p",
        "http.content-language": "de-DE",
    }


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ('<meta name="robots" content="noai, noimageai">', {"meta.robots": "noai, noimageai"}),
        ("<META CONTENT='NOAI' NAME=ROBOTS>", {"meta.robots": "NOAI"}),
        ("<meta name=robots content=noai/>", {"meta.robots": "noai/"}),
        ('<meta name="ccbot" content="noai">', {"meta.robots": "ccbot: noai"}),
        (
            '<meta name="robots" content="a"><meta name="xbot" content="b">',
            {"meta.robots": "a\nxbot: b"},
        ),
        (
            '<meta name="tdm-reservation" content="1">'
            '<meta name="tdm-policy" content="https://a.example/p?a=1&amp;b=2">',
            {"meta.tdm-reservation": "1", "meta.tdm-policy": "https://a.example/p?a=1&b=2"},
        ),
        ('<meta name="robots">', {}),
        ('<meta name="description" content="about robots"></head>', {}),
        ('</head><meta name="robots" content="noai">', {}),
        ("<meta " * 1000 + "name=robots", {}),
    ],
)
def test_meta_tags(head: str, found: dict[str, str]) -> None:
    assert head_metadata(head) == found
