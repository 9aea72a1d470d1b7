"""Bytes of a page to text.

The charset is that of HTTP header, meta tag, byte order mark, or a detector, in that order.

Labels are understood as browsers do (WHATWG Encoding Standard: `iso-8859-1` is windows-1252,
`gb2312` is GBK); a label that means nothing is passed over. Wrong bytes become U+FFFD, NULs go.
"""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

META_BYTES = 4096
"""How far into a page its meta tag is looked for; the standard says 1024, not pages."""
DETECT_BYTES = 1 << 16
_META = re.compile(
    rb"<meta\b[^>]{0,512}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE
)
_XML = re.compile(rb"^\s*<\?xml\b[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{2,40})[\"']")
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decoded(payload: bytes, header_charset: str | None) -> str:
    """The payload as text, without NULs or surrogates."""
    charset = charset_of(payload, header_charset)
    text = codecs.decode(payload, charset, "replace")
    text = text.removeprefix("\ufeff")
    # A NUL comes of a zero byte in every charset of the web; bytes are looked through faster.
    return text.replace("\0", "") if b"\0" in payload else text


def charset_of(payload: bytes, header_charset: str | None) -> str:
    """The Python codec to read the payload with."""
    return (
        codec_of(header_charset)
        or _declared(payload)
        or _marked(payload)
        or detected_charset(payload)
    )


def codec_of(label: str | None) -> str | None:
    """The Python codec of a charset label; None where it names none."""
    if not label or not label.isascii():
        return None
    name = map_encoding_to_html5(label.strip().lower(), fallback_utf8=False)
    if name is None:
        return None
    try:
        info = codecs.lookup(name)
    except LookupError:
        return None
    return info.name if info._is_text_encoding else None


def _declared(payload: bytes) -> str | None:
    """The charset of a meta tag or XML declaration."""
    head = _COMMENT.sub(b"", payload[:META_BYTES])
    for pattern in (_META, _XML):
        found = pattern.search(head)
        codec = codec_of(found[1].decode("ascii")) if found else None
        if codec is not None:
            # A tag legible as ASCII is not in UTF-16 (HTML standard, section 13.2.3.3).
            return "utf-8" if codec.startswith("utf-16") else codec
    return None


def _marked(payload: bytes) -> str | None:
    for mark, codec in _MARKS:
        if payload.startswith(mark):
            return codec
    return None


def detected_charset(payload: bytes) -> str:
    """What the bytes look like: UTF-8 where valid, else the detector's best guess."""
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        found = detect_encoding(payload, max_len=DETECT_BYTES)
        return codec_of(found) or "windows-1252"
    return "utf-8"
