"""Finds public IP addresses in text, version 4 and 6.

Only addresses that lead to somebody's machine are found: private, reserved, loopback, multicast and
documentation ranges stay (`ipaddress.is_global`, the IANA special-purpose registries). Dotted
numbers that are no addresses stay too: those behind a word such as `version` or `section`, those
that are part of a longer number, and four single digits, which are a version, a paragraph of a law
or a public resolver (1.1.1.1, 8.8.8.8) much more often than a person's address.
"""

import ipaddress
import re

from data_pipeline.filters.pii_shape import apart

# Begins with digits, what must not stand before is looked at afterwards: a pattern that begins with
# a look-behind is tried at each character.
_V4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w-]|\.\d)")
_NOT_BEFORE_V4 = re.compile(r"[\w.+\u2212-]\Z|[\w)]/\Z")
_V6_HINT = re.compile(rb":(?::|(?<=[0ah]{3}:)[0ah]{0,4}:)")  # in the shape of `shape_of`
_V6 = re.compile(r"(?:[0-9A-Fa-f]{1,4}:|::)[0-9A-Fa-f:]{2,38}(?:\.\d{1,3}){0,3}(?![\w:]|\.\w)")
_NOT_BEFORE_V6 = re.compile(r"[\w:.]\Z")
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:v|ver|vers|versione?|versión|wersja|версия|release|rel|build|firmware|fw|drivers?|"
    r"treiber|kernel|updates?|patch|stand|revision|rev|sdk|api|sections?|sect|sec|chapter|kapitel|"
    r"abschnitt|ziffer|punkt|art|article|artikel|clause|paragraph|oid|nr|no)[.:]?|[§#])"
    r"[ \u00a0]{0,2}[vV(]?\Z",
    re.IGNORECASE,
)
_LOOK_BACK = 16
_V4_HINT = re.compile(rb"0\.0{1,3}\.0{1,3}\.0")  # in the shape of `shape_of`


def find_ips(text: str, shape: bytes) -> list[tuple[int, int]]:
    """(start, end) of each public address, in order, without overlap.

    Args:
        text: the text.
        shape: what it looks like, by `pii_shape.shape_of`.
    """
    found = _version_4(text) if _V4_HINT.search(shape) else []
    if _V6_HINT.search(shape):
        found += [match.span() for match in _V6.finditer(text) if _is_public_v6(text, match)]
        found = apart(sorted(found))
    return found


def _version_4(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _V4.finditer(text) if _is_public_v4(text, match)]


def _is_public_v4(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    if len(match[0]) == len("1.2.3.4") or _NOT_BEFORE_V4.search(before):
        return False
    return _VERSION_BEFORE.search(before) is None and _is_global(match[0])


def _is_public_v6(text: str, match: re.Match[str]) -> bool:
    if _NOT_BEFORE_V6.search(text[max(0, match.start() - 1) : match.start()]):
        return False
    # `a::b` and `12::30` are names of C++ and times; a public address begins with three digits.
    groups = [group for group in match[0].split(":") if group]
    return len(groups) > 1 and len(groups[0]) > 2 and _is_global(match[0])


def _is_global(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast
