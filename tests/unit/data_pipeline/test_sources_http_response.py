"""HTTP responses as archives hold them: coded, mislabelled, cut, or no page at all."""

import gzip
import zlib

import brotli
import pytest

from data_pipeline.sources.http_response import Page, Refusal, content_type, page_of_response

HTML = b"<!doctype html><html><body>" + b"<p>A paragraph of text.</p>" * 50 + b"</body></html>"


def response(body: bytes, *fields: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *fields]).encode() + b"\r\n\r\n" + body


def result(block: bytes, limit: int = 1 << 20) -> Page | Refusal:
    return page_of_response(block, max_payload_bytes=limit)


def chunked(body: bytes, size: int = 100) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


RAW_DEFLATE = zlib.compressobj(wbits=-15)
DEFLATED = RAW_DEFLATE.compress(HTML) + RAW_DEFLATE.flush()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (HTML, ()),
        (HTML, ("Content-Length: 3",)),
        (gzip.compress(HTML), ("Content-Encoding: gzip",)),
        (gzip.compress(HTML), ("Content-Encoding: x-gzip",)),
        (gzip.compress(HTML), ()),
        (zlib.compress(HTML), ("Content-Encoding: deflate",)),
        (DEFLATED, ("Content-Encoding: deflate",)),
        (brotli.compress(HTML), ("Content-Encoding: br",)),
        (brotli.compress(gzip.compress(HTML)), ("Content-Encoding: gzip, br",)),
        (HTML, ("Content-Encoding: gzip",)),
        (HTML, ("Content-Encoding: deflate",)),
        (HTML, ("Content-Encoding: br",)),
        (b"Text first: " + HTML, ("Content-Encoding: br",)),
        (chunked(HTML), ("Transfer-Encoding: chunked",)),
        (HTML, ("Transfer-Encoding: chunked",)),
        (chunked(gzip.compress(HTML)), ("Transfer-Encoding: chunked", "Content-Encoding: gzip")),
    ],
)
def test_the_page_comes_out_whatever_the_head_says(body: bytes, fields: tuple[str, ...]) -> None:
    page = result(response(body, "Content-Type: text/html", *fields))
    assert isinstance(page, Page)
    assert page.body.endswith(HTML)


def test_what_is_left_of_a_cut_body_comes_out() -> None:
    for body, coding in (
        (chunked(HTML)[:700], "Transfer-Encoding: chunked"),
        (gzip.compress(HTML * 500)[:400], "Content-Encoding: gzip"),
    ):
        page = result(response(body, coding))
        assert isinstance(page, Page)
        assert page.body.startswith(b"<!doctype html>")


def test_heads_with_bare_line_feeds_and_odd_spelling_are_read() -> None:
    block = b"HTTP/1.0 200\ncontent-type:TEXT/HTML;CharSet='EUC-JP'\n\n" + HTML
    assert result(block) == Page(HTML, "text/html", "EUC-JP")


@pytest.mark.parametrize(
    ("block", "refusal"),
    [
        (b"\r\n\r\n" + HTML, Refusal("http_garbage")),
        (b"ICY\r\n\r\n" + HTML, Refusal("http_garbage")),
        (b"HTTP/1.1\r\n\xff: \x00\r\n\r\n" + HTML, Refusal("http_garbage")),
        (b"HTTP/1.1 200 OK\r\nA: b", Refusal("http_garbage")),
        (response(HTML, status="HTTP/1.1 301 Moved"), Refusal("http_status", "301")),
        (response(HTML, "Content-Type: image/png"), Refusal("media_type", "image/png")),
        (response(b""), Refusal("empty_body")),
        (response(b" \r\n "), Refusal("empty_body")),
        (response(b"%PDF-1.7 <html>"), Refusal("not_html", "binary")),
        (response(b"\0\0\0\x18ftypmp42<html>"), Refusal("not_html", "binary")),
        (response(b'{"html": "<p>x</p>"}'), Refusal("not_html", "json")),
        (response(b"just words, 1 < 2"), Refusal("not_html", "no tags")),
    ],
)
def test_what_is_no_page_is_refused_by_name(block: bytes, refusal: Refusal) -> None:
    assert result(block) == refusal


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_bomb_is_not_inflated_beyond_the_limit(coding: str) -> None:
    bomb = b"\0" * 50_000_000
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}[coding](bomb)
    refused = result(response(packed, f"Content-Encoding: {coding}"), limit=100_000)
    assert refused == Refusal("payload_too_large", "more than 100000 bytes inflated")


def test_an_uncoded_body_beyond_the_limit_is_refused() -> None:
    assert result(response(HTML), limit=100) == Refusal("payload_too_large", float(len(HTML)))


def test_content_type_is_taken_apart() -> None:
    assert content_type('Text/HTML ; charset = "utf-8"') == ("text/html", "utf-8")
    assert content_type("text/html") == ("text/html", None)
    assert content_type("") == ("", None)
