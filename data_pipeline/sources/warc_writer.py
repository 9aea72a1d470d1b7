"""Writes pages as a WARC file in the record layout of Common Crawl, each record a gzip member.

warcinfo first, then request, response and metadata of each page (ISO 28500:2017, WARC 1.0). Dates
and record ids are functions of the pages: the same pages give the same bytes.
"""

import base64
import gzip
import hashlib
import uuid
from collections.abc import Iterable
from typing import IO

DATE = "2026-01-01T00:00:00Z"
NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122, appendix C: URLs


def write_pages(stream: IO[bytes], pages: Iterable[tuple[str, bytes]], *, isbn: str) -> int:
    """Write pages given as (URL, HTML in UTF-8).

    Args:
        stream: where the WARC goes.
        pages: URL and body of each.
        isbn: name of this collection, in the warcinfo record.

    Returns:
        Number of pages.
    """
    about = f"isPartOf: {isbn}\r\nsoftware: headwater\r\nformat: WARC File Format 1.0\r\n"
    _write(stream, "warcinfo", isbn, about.encode(), "application/warc-fields")
    count = 0
    for url, html in pages:
        path = url.split("/", 3)[3]
        host = url.split("/", 3)[2]
        request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n"
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
            f"Content-Length: {len(html)}\r\n\r\n"
        )
        http = "application/http; msgtype="
        _write(stream, "request", url, request.encode(), http + "request")
        _write(stream, "response", url, head.encode() + html, http + "response", payload=html)
        _write(stream, "metadata", url, b"fetchTimeMs: 0\r\n", "application/warc-fields")
        count += 1
    return count


def _write(
    stream: IO[bytes],
    kind: str,
    url: str,
    block: bytes,
    content_type: str,
    *,
    payload: bytes | None = None,
) -> None:
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Date: {DATE}",
        f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(NAMESPACE, f'{kind} {url}')}>",
        f"Content-Length: {len(block)}",
        f"Content-Type: {content_type}",
    ]
    if kind != "warcinfo":
        lines.append(f"WARC-Target-URI: {url}")
    if payload is not None:
        lines.append(f"WARC-Payload-Digest: {_digest(payload)}")
    lines.append(f"WARC-Block-Digest: {_digest(block)}")
    record = "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"
    stream.write(gzip.compress(record, mtime=0))


def _digest(data: bytes) -> str:
    """SHA-1 in base32, as Common Crawl writes it; a checksum, no protection."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
