"""Finds e-mail addresses in text, also such as are written `name (at) domain.tld`.

Left alone: domains that RFC 2606 keeps for examples, remote addresses of version control
(`git@host`), and file names that carry an `@` (`icon@2x.png`).
"""

import re

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
_SPELLED_HINT = re.compile(rb"[\[({](?: |\xc2\xa0)?(?:[aA][tT]|\xc3\xa4t|@)[ \xc2\])}]")
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


def find_emails(text: str, octets: bytes) -> list[tuple[int, int]]:
    """(start, end) of each address, in order, without overlap.

    Args:
        text: the text.
        octets: it in UTF-8, where short strings are found faster.
    """
    found = _around(text, _AFTER_SIGN) if b"@" in octets else []
    if _SPELLED_HINT.search(octets):
        found = _apart(sorted(found + _around(text, _SPELLED)))
    return found


def _around(text: str, sign_and_domain: re.Pattern[str]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    end_before = 0
    for match in sign_and_domain.finditer(text):
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


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for span in spans:
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
