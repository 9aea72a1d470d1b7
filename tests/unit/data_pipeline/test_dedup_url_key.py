"""Addresses: which are one page, which are two, and which have no normal form."""

import pytest

from data_pipeline.dedup import host_of, normalized_url
from data_pipeline.dedup.url_key import fetched_seconds, url_key


@pytest.mark.parametrize(
    "other",
    [
        "http://example.org/a/b?x=1&y=2",
        "HTTPS://WWW.Example.ORG:443/a/b/?y=2&x=1#part",
        "https://example.org./a/./c/../b?x=1&y=2&utm_source=mail&gclid=7&fbclid=z",
        "https://example.org/a/%62?x=1&&y=2&",
        "https://example.org/a/b;jsessionid=77?y=2&x=1",
    ],
)
def test_addresses_of_one_page_have_one_form(other: str) -> None:
    assert normalized_url(other) == "example.org/a/b?x=1&y=2"
    assert url_key(other) == url_key("https://example.org/a/b?x=1&y=2")


@pytest.mark.parametrize(
    "other",
    [
        "https://example.org/A/b?x=1&y=2",
        "https://example.org/a/b?x=1&y=3",
        "https://example.org/a/b?x=1&y=2&ref=7",
        "https://example.org:8080/a/b?x=1&y=2",
        "https://m.example.org/a/b?x=1&y=2",
        "https://example.org/a%2Fb?x=1&y=2",
        "https://example.org/a/b?x=1&y=2#!page",
    ],
)
def test_addresses_of_other_pages_have_other_forms(other: str) -> None:
    assert normalized_url(other) not in {None, "example.org/a/b?x=1&y=2"}


@pytest.mark.parametrize("text", ["", "book.txt#3", "ftp://example.org/", "https://", "http://[x/"])
def test_what_is_no_web_address_has_no_form(text: str) -> None:
    assert normalized_url(text) is None
    assert url_key(text) is None
    assert host_of(text) is None


def test_small_forms() -> None:
    assert (
        normalized_url("http://example.org")
        == normalized_url("http://example.org//")
        == ("example.org/")
    )
    assert normalized_url("http://www.org/") == "www.org/"
    assert normalized_url("http://e.org/%7euser%3f") == "e.org/~user%3F"
    assert host_of("http://www.example.org:80/x?y#z") == "example.org"
    assert host_of("http://example.org:81/x") == "example.org"


def test_moments_are_seconds() -> None:
    assert fetched_seconds("1970-01-02T00:00:00Z") == fetched_seconds("1970-01-02") == 86400
    assert fetched_seconds(None) == fetched_seconds("") == fetched_seconds("yesterday") == 0
