"""The page inside an archived HTTP response: head parsed, body freed of its transfer coding.

Servers and crawlers lie about bodies: an announced coding may have been removed already, or a
coded body announced as plain. What the bytes look like decides; a body that turns out too large,
or that is no HTML whatever its header says, is a `Refusal`.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import brotli

from data_pipeline.native.gzip_magic import GZIP_MAGIC

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
START_BYTES = 1 << 10
LOOK_BYTES = 1 << 16
"""How far into a body its kind is looked for."""
KEPT_HEADERS = ("content-language", "x-robots-tag", "tdm-reservation", "tdm-policy")
"""Headers that go on with the page: its language, and what it says against its use."""
MAX_HEADER_CHARACTERS = 500
MAX_HEAD_BYTES = 1 << 20
"""An HTTP head that is longer is none."""
MAX_CODINGS = 4
MAX_MEMBERS = 256
"""Of a body; more of either are made to keep a reader busy."""
GZIP_WINDOW = 31
"""What zlib calls gzip."""
MAX_CONTROL_SHARE = 0.04
"""Of a body's beginning without NULs: random bytes have 0.1, pages in any charset next to none."""
_CONTROLS = bytes(i for i in range(32) if i not in b"\t\n\f\r\x1b")
_INK = re.compile(rb"\S")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})\b")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]{0,256})?\r?\n")
_MARKUP = re.compile(rb"<[a-zA-Z!?/]")
_JSON = re.compile(rb"[\[{]\s*[\"\[{\]}\d-]")
_BINARY_STARTS = (
    *(b"%PDF", b"PK\x03\x04", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"RIFF", b"\x1f\x8b", b"BZh"),
    *(b"\x7fELF", b"Rar!", b"7z\xbc\xaf", b"ID3", b"OggS", b"\x1aE\xdf\xa3", b"wOFF", b"wOF2"),
)


@dataclass(frozen=True)
class Page:
    """An HTML body as the browser would have got it, still in its charset."""

    body: bytes
    media_type: str
    charset: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Headers that matter later, as `http.<name>`."""


@dataclass(frozen=True)
class Refusal:
    """Why a response gives no page."""

    reason: str
    value: float | str | None = None


def page_of_response(block: bytes | memoryview, *, max_payload_bytes: int) -> Page | Refusal:
    """The page of an HTTP response record, or why there is none."""
    status = _STATUS.match(block)
    end = _HEAD_END.search(block, 0, MAX_HEAD_BYTES)
    if status is None or end is None:
        return Refusal("http_garbage")
    if status[1] != b"200":
        return Refusal("http_status", status[1].decode())
    headers = _headers(bytes(block[: end.start()]))
    media_type, charset = content_type(headers.get("content-type", ""))
    if media_type and media_type not in HTML_TYPES:
        return Refusal("media_type", media_type[:80])
    body = bytes(block[end.end() :])
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _dechunked(body)
    decoded = _decoded(body, headers.get("content-encoding", ""), max_payload_bytes)
    if isinstance(decoded, Refusal):
        return decoded
    page = html_page(decoded, charset)
    kept = {
        f"http.{name}": headers[name][:MAX_HEADER_CHARACTERS]
        for name in KEPT_HEADERS
        if name in headers
    }
    return replace(page, metadata=kept) if kept and isinstance(page, Page) else page


def html_page(body: bytes, charset: str | None) -> Page | Refusal:
    """A body as a page, unless its bytes say that it is something else."""
    if not _INK.search(body):
        return Refusal("empty_body")
    for num_bytes in (START_BYTES, LOOK_BYTES):  # a page says what it is near its beginning
        look = body[:num_bytes].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\f")
        has_tags = _MARKUP.search(look) is not None
        if has_tags:
            break
    is_known_binary = look.startswith(_BINARY_STARTS) or b"ftyp" in {look[4:8], body[4:8]}
    if is_known_binary or _control_share(look[:START_BYTES]) > MAX_CONTROL_SHARE:
        return Refusal("not_html", "binary")
    if _JSON.match(look):
        return Refusal("not_html", "json")
    if not has_tags:
        return Refusal("not_html", "no tags")
    return Page(body, "text/html", charset)


def _control_share(data: bytes) -> float:
    """Share of bytes that stand in no text: control signs but blanks, line ends and escapes."""
    return 1 - len(data.translate(None, _CONTROLS)) / max(1, len(data))


def content_type(value: str) -> tuple[str, str | None]:
    """Media type (lower case) and charset of a Content-Type header."""
    media_type = value.partition(";")[0].strip().lower()
    charset = _CHARSET.search(value)
    return media_type, charset[1] if charset else None


def _headers(head: bytes) -> dict[str, str]:
    """Header fields by lower-case name; the first of a repeated one counts, of robots all do."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name == "x-robots-tag" and name in found:
            found[name] = f"{found[name]}\n{value.strip()}"
        elif colon:
            found.setdefault(name, value.strip())
    return found


def _dechunked(body: bytes) -> bytes:
    """The body without its chunk sizes; as it is where it has none, cut where they end wrongly."""
    parts: list[bytes] = []
    at = 0
    while found := _CHUNK.match(body, at):
        size = int(found[1], 16)
        if size == 0:
            return b"".join(parts)
        at = found.end() + size
        parts.append(body[found.end() : at])
        if body[at : at + 2] == b"\r\n":
            at += 2
        elif body[at : at + 1] == b"\n":
            at += 1
        elif at < len(body):
            return body if len(parts) == 1 else b"".join(parts)
    return b"".join(parts) if parts else body


def _decoded(body: bytes, codings: str, limit: int) -> bytes | Refusal:
    """The body with its content codings undone, last first; false claims are ignored."""
    names = [name.strip() for name in codings.lower().split(",") if name.strip()]
    if body.startswith(GZIP_MAGIC) and not {"gzip", "x-gzip"} & set(names):
        names.append("gzip")
    for name in reversed(names[-MAX_CODINGS:]):
        if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            break
        inflated = _inflated(body, name, limit)
        if inflated is None:
            return Refusal("payload_too_large", f"more than {limit} bytes inflated")
        body = inflated
    return body if len(body) <= limit else Refusal("payload_too_large", float(len(body)))


def _inflated(body: bytes, coding: str, limit: int) -> bytes | None:
    """The inflated body, or itself where it is not of this coding; None beyond the limit."""
    if coding in ("gzip", "x-gzip"):
        windows: tuple[int, ...] = (GZIP_WINDOW,) if body.startswith(b"\x1f\x8b") else ()
    elif coding == "deflate":
        windows = (15, -15)
    else:
        return _from_brotli(body, limit) if coding == "br" else body
    for window in windows:
        out = _inflated_members(body, window, limit)
        if out is None or out:
            return out
    return body


def _inflated_members(body: bytes, window: int, limit: int) -> bytes | None:
    """All members of a zlib stream as far as they are sound; None beyond the limit."""
    parts: list[bytes] = []
    num_bytes = 0
    for _ in range(MAX_MEMBERS):
        inflater = zlib.decompressobj(window)
        try:
            part = inflater.decompress(body, limit + 1 - num_bytes)
        except zlib.error:
            return b"".join(parts) or _sound_part(body, window, limit)
        parts.append(part)
        num_bytes += len(part)
        if num_bytes > limit:
            return None
        body = inflater.unused_data
        if not inflater.eof or not body or window != GZIP_WINDOW:
            break
    return b"".join(parts)


def _sound_part(body: bytes, window: int, limit: int) -> bytes | None:
    """What a damaged stream gives before the damage, fed in small pieces; None beyond the limit."""
    inflater = zlib.decompressobj(window)
    out = b""
    for at in range(0, len(body), 1024):
        try:
            out += inflater.decompress(body[at : at + 1024], limit + 1 - len(out))
        except zlib.error:
            break
        if len(out) > limit:
            return None
    return out


def _from_brotli(body: bytes, limit: int) -> bytes | None:
    decoder = brotli.Decompressor()
    out = b""
    for at in range(0, len(body), 4096):
        try:
            out += decoder.process(body[at : at + 4096], output_buffer_limit=limit + 1 - len(out))
        except brotli.error:
            return out or body
        if len(out) > limit:
            return None
    return out or body
