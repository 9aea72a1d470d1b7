"""Finds e-mail addresses in text, also such as are written `name (at) domain.tld`.

Left alone: domains that RFC 2606 keeps for examples, remote addresses of version control
(`git@host`), and file names that carry an `@` (`icon@2x.png`).
"""

import re
from collections.abc import Iterable

from data_pipeline.filters.pii_shape import apart

_DOMAIN = (
    r"((?:[^\W_](?:[^\W_]|-(?!\.)){0,62}\.){1,8}"
    r"(?:xn--[a-zA-Z0-9-]{2,59}|[^\W\d_]{2,24}))(?![\w@]|-\w|\.\w)"
)
# The local part is read backwards from the sign: a pattern that begins with it tries every letter.
_AFTER_SIGN = re.compile(r"@" + _DOMAIN)
_LOCAL = re.compile(r"[\w.!#$%&*+/=?^`{|}~'-]{1,64}\Z")
_SPELLED = re.compile(
    r"[ \u00a0]?[\[({][ \u00a0]?(?i:at|ät|@|AT)[ \u00a0]?[\])}][ \u00a0]?" + _DOMAIN
)
_SPELLED_HINT = re.compile(rb"\(-?(?:at|@)[- ]")  # in the shape of `shape_of`
_NOT_FIRST = "!#$%&*+/=?^`{|}~'.-"
"""Characters that are valid in front but stand there as punctuation of the text."""
_EXAMPLES = re.compile(
    r"(?:.*\.)?example(?:\.(?:com|net|org|edu))?\Z|.*\.(?:test|invalid|localhost|local)\Z"
)
_FILE_ENDINGS = frozenset(
    (
        *("png", "jpg", "jpeg", "gif", "webp", "svg", "css", "js", "ts", "html", "php", "json"),
        *("xml", "yml", "yaml", "txt", "pdf", "zip", "exe", "dll", "jar", "ico", "avif"),
    )
)
_NOT_PEOPLE = frozenset({"git", "hg", "svn", "cvs", "root", "localhost"})
"""Local parts of remote repositories and shells."""
MAX_LOCAL = 64
"""RFC 5321, section 4.5.3.1.1."""


def find_emails(text: str, shape: bytes) -> list[tuple[int, int]]:
    """(start, end) of each address, in order, without overlap.

    Args:
        text: the text.
        shape: what it looks like, by `pii_shape.shape_of`.
    """
    found = _around(text, _AFTER_SIGN.finditer(text)) if b"@" in shape else []
    hints = list(_SPELLED_HINT.finditer(shape))
    if hints:
        spelled = (_spelled(text, hint.start()) for hint in hints)
        found = apart(sorted(found + _around(text, filter(None, spelled))))
    return found


def _spelled(text: str, bracket: int) -> re.Match[str] | None:
    """A sign in brackets and the domain behind it, with a blank before it if there is one."""
    return _SPELLED.match(text, max(0, bracket - 1)) or _SPELLED.match(text, bracket)


def _around(text: str, signs_and_domains: Iterable[re.Match[str]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    end_before = 0
    for match in signs_and_domains:
        if match.start() < end_before:
            continue
        head = text[max(end_before, match.start() - MAX_LOCAL) : match.start()]
        local = _LOCAL.search(head)
        if local is None:
            continue
        name = local[0].lstrip(_NOT_FIRST)
        if not _is_address(name, match[1]):
            continue
        found.append((match.start() - len(name), match.end()))
        end_before = match.end()
    return found


def _is_address(local: str, domain: str) -> bool:
    if not local or local.endswith(".") or ".." in local or local.lower() in _NOT_PEOPLE:
        return False
    lowered = domain.lower()
    if lowered.rpartition(".")[2] in _FILE_ENDINGS:
        return False
    return _EXAMPLES.match(lowered) is None
