"""What an HTML page is like before it is parsed: how deep, and what its head says."""

import html
import re

HEAD_CHARACTERS = 1 << 16
_TAG = re.compile(r"<(/?[a-zA-Z][a-zA-Z0-9]*)")
_NOT_NESTING = frozenset(
    (
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
        *("source", "track", "wbr", "html", "head", "body", "p", "li", "dt", "dd", "td", "th"),
        *("tr", "tbody", "thead", "tfoot", "option", "optgroup", "colgroup"),
    )
)
"""Elements that hold nothing, or that the next of their kind closes."""
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_LANGUAGE = re.compile(r"<html\b[^>]{0,1024}?\slang\s*=\s*[\"']?([A-Za-z][A-Za-z0-9-]{1,34})", re.I)
_HINT = re.compile(
    r"\A[^>]{0,200}?=\s*[\"']?(og:locale|content-language)[\"'\s]"
    r"[^>]{0,200}?\bcontent\s*=\s*[\"']?([A-Za-z][A-Za-z0-9_-]{1,34})",
    re.IGNORECASE,
)
TITLE_CHARACTERS = 300
# Begins with a plain character, which is looked for much faster than a class of two.
_META_OR_END = re.compile(r"<(?:[mM][eE][tT][aA]\s([^>]{1,2000})|/[hH][eE][aA][dD])")
_TOLD_BY_META = ("bot", "tdm-", "og:locale", "content-language")
"""What the meta tags that are read hold, in lower case."""
_USE_NAME = re.compile(
    r"\bname\s*=\s*[\"']?\s*([\w-]{0,40}?(?:robots|bot|tdm-reservation|tdm-policy))"
    r"\s*(?:[\"'\s/]|\Z)",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"\bcontent\s*=\s*(?:\"([^\"]{0,500})|'([^']{0,500})|([^\s\"'>]{1,500}))", re.IGNORECASE
)


class PageTooDeepError(Exception):
    """A parsed page's elements nest deeper than the configured limit."""


def is_deeper_than(page: str, limit: int) -> bool:
    """Whether the page's tags nest deeper than `limit`; found without parsing."""
    num_marks = page.count("<")
    # Most pages have too few tags to nest so deep; counting takes a fraction of finding them.
    if num_marks <= limit or num_marks - page.count("</") <= limit:
        return False
    tags = _TAG.findall(page)
    if len(tags) <= limit:
        return False
    open_of: dict[str, int] = {}
    depth = 0
    for tag in tags:
        if tag[0] == "/":
            name = tag[1:].lower()
            if open_of.get(name, 0) > 0:
                open_of[name] -= 1
                depth -= 1
        elif (name := tag.lower()) not in _NOT_NESTING:
            open_of[name] = open_of.get(name, 0) + 1
            depth += 1
            if depth > limit:
                return True
    return False


def head_metadata(page: str) -> dict[str, str]:
    """Title and html language, as far as the page's head has them."""
    head = page[:HEAD_CHARACTERS]
    found = {}
    title = _TITLE.search(head)
    if title and (words := " ".join(html.unescape(title[1]).split())):
        found["title"] = words[:TITLE_CHARACTERS]
    language = _LANGUAGE.search(head)
    if language:
        found["html_lang"] = language[1].lower()
    tags = _telling_tags(head)
    return found | _language_hints(tags) | _use_metadata(tags) if tags else found


def _telling_tags(head: str) -> list[str]:
    """Of the meta tags before the head's end those that may say what is looked for."""
    tags: list[str] = []
    for found in _META_OR_END.finditer(head):
        if found[1] is None:
            break
        tags.append(found[1])
    lowered = "\n".join(tags).lower()
    if not any(word in lowered for word in _TOLD_BY_META):
        return []
    return [tag for tag in tags if any(word in tag.lower() for word in _TOLD_BY_META)]


def _language_hints(tags: list[str]) -> dict[str, str]:
    """What meta tags say of the page's language; for the record, nothing decides by it."""
    found: dict[str, str] = {}
    for hint in filter(None, map(_HINT.search, tags)):
        found.setdefault("og_locale" if ":" in hint[1] else "content_language", hint[2].lower())
    return found


def _use_metadata(tags: list[str]) -> dict[str, str]:
    """What meta tags say of the page's use: `meta.robots` and TDMRep's `meta.tdm-*`.

    A tag for one bot stands as in the X-Robots-Tag header, the bot's name in front.
    """
    robots: list[str] = []
    found: dict[str, str] = {}
    for tag in tags:
        named = _USE_NAME.search(tag)
        content = _CONTENT.search(tag) if named else None
        if named is None or content is None:
            continue
        name = named[1].lower()
        value = html.unescape(next(filter(None, content.groups()), "")).strip()
        if name.startswith("tdm-"):
            found.setdefault(f"meta.{name}", value)
        else:
            robots.append(value if name == "robots" else f"{name}: {value}")
    if robots:
        found["meta.robots"] = "\n".join(robots)
    return found
