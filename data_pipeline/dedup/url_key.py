"""The normal form of a web address: equal forms are one page crawled twice, and its key.

RFC 3986, section 6.2.2 and 6.2.3: scheme and host in lower case, escapes in upper case and none of
unreserved characters, dot segments gone, default ports gone, an empty path is `/`. Beyond the RFC,
as crawls need it: `http` is `https`, `www.` in front of a host, a trailing slash, the fragment (but
`#!`) and parameters that only follow visitors make no difference; parameters are sorted. Paths and
parameters keep their case. Addresses of other schemes have no normal form.
"""

import re
from datetime import UTC, datetime
from posixpath import normpath
from urllib.parse import urlsplit

import xxhash

_TRACKING = re.compile(
    r"(?:utm_\w+|mtm_\w+|pk_(?:campaign|kwd|source|medium|content)|gclid|gclsrc|dclid|gbraid|wbraid"
    r"|fbclid|msclkid|twclid|ttclid|yclid|igshid|mc_[ce]id|_hs(?:enc|mi)|vero_id|oly_\w+_id"
    r"|_ga|_gl|phpsessid|jsessionid)(?:=|\Z)",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SESSION = re.compile(r";jsessionid=[^/;?]*", re.IGNORECASE)
_DEFAULT_PORTS = frozenset({None, 80, 443})


def normalized_url(url: str) -> str | None:
    """The normal form of an `http` or `https` address; None for all others and broken ones."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in {"http", "https"} or not host:
        return None
    host = host.rstrip(".")
    bare = host.removeprefix("www.")
    host = bare if "." in bare else host
    where = host if port in _DEFAULT_PORTS else f"{host}:{port}"
    query = "&".join(
        sorted(
            _escaped(item) for item in parts.query.split("&") if item and not _TRACKING.match(item)
        )
    )
    fragment = f"#{parts.fragment}" if parts.fragment.startswith("!") else ""
    return f"{where}{_path(parts.path)}{'?' + query if query else ''}{fragment}"


def _path(path: str) -> str:
    path = _escaped(_SESSION.sub("", path))
    if not path.strip("/"):
        return "/"
    # Repeated slashes mean something to some servers: only dots are resolved.
    if "/." in path:
        path = "/" + normpath(path).lstrip("/")
    return path.rstrip("/") or "/"


def _escaped(text: str) -> str:
    return _ESCAPE.sub(_escape, text) if "%" in text else text


def _escape(found: re.Match[str]) -> str:
    value = int(found[1], 16)
    return chr(value) if value in _UNRESERVED else f"%{value:02X}"


def url_key(url: str) -> bytes | None:
    """(16 bytes) xxh3-128 of the normal form; None where there is none."""
    form = normalized_url(url)
    return None if form is None else xxhash.xxh3_128_digest(form.encode("utf-8", "surrogatepass"))


def host_of(url: str) -> str | None:
    """Host of a web address without `www.`; None for what is no web address."""
    form = normalized_url(url)
    return None if form is None else re.split(r"[/?#:]", form, maxsplit=1)[0]


def fetched_seconds(moment: str | None) -> int:
    """Seconds since 1970 of an ISO 8601 moment (UTC where it names no zone); 0 for any other."""
    if not moment:
        return 0
    try:
        found = datetime.fromisoformat(moment)
        return max(0, int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError):
        return 0
