"""Tells a book's text from what stands before and behind it: title page, contents, licence.

Names are those of the EPUB Structural Semantics Vocabulary and the headings that converters leave
in plain text. A dedication, a preface or endnotes are the author's and stay.
"""

import re

MATTER_TYPES = frozenset(
    {"cover", "titlepage", "halftitlepage", "imprint", "colophon", "copyright-page"}
    | {"toc", "loi", "lot", "landmarks", "other-credits"}
)
MATTER_NAME = re.compile(
    r"^(cover|(half)?[-_ ]?title[-_ ]?page|half[-_ ]?title|imprint|colophon|(un)?copyright"
    r"|copyright[-_ ]page|toc|nav|(table[-_ ]of[-_ ])?contents|licen[cs]e|legal"
    r"|pg-(header|footer))$",
    re.IGNORECASE,
)
LICENCE = re.compile(
    r"full project gutenberg(-tm|™)? licen[cs]e|project gutenberg(-tm|™)? license"
    r"|all rights reserved\. no part of this (book|publication)"
    r"|smashwords edition, licen[cs]e notes",
    re.IGNORECASE,
)
LICENCE_CHARACTERS = 30_000
"""A part longer than this is a chapter that names a licence, not a licence."""
GUTENBERG_START = re.compile(r"^\*\*\* ?START OF (THE|THIS) PROJECT GUTENBERG.*$", re.MULTILINE)
GUTENBERG_END = re.compile(
    r"^(\*\*\* ?END OF (THE|THIS) PROJECT GUTENBERG.*|End of (the )?Project Gutenberg.*)$",
    re.MULTILINE,
)
HEADER_FIELD = re.compile(r"^(Title|Author|Language|Licen[cs]e):[ \t]+(\S.*)$", re.MULTILINE)
BYLINE = re.compile(r"^by\s+(\S.*?)\.?$", re.IGNORECASE)
HEADER_CHARACTERS = 3_000
TITLE_PAGE_CHARACTERS = 300
FRONT_PARTS = 6
"""Front matter is looked for in so many parts of a text ..."""
BACK_PARTS = 6
"""... and back matter in so many at its end."""


def is_matter_type(kind: str) -> bool:
    """Whether an `epub:type` names front or back matter."""
    return kind in MATTER_TYPES


def is_matter_name(name: str) -> bool:
    """Whether a file's stem or a heading names front or back matter."""
    return MATTER_NAME.match(name.strip()) is not None


def is_licence(text: str) -> bool:
    """Whether a part is a licence or copyright notice."""
    return len(text) <= LICENCE_CHARACTERS and LICENCE.search(text) is not None


def strip_matter(text: str) -> tuple[str, dict[str, str]]:
    """A plain-text book without its front and back matter, and what those said of it.

    Parts are what two or more blank lines divide, as converters leave between the files of an EPUB.

    Returns:
        The text, and title, author, language and licence as far as they were found.
    """
    found = _header_fields(text)
    if start := GUTENBERG_START.search(text):
        text = text[start.end() :]
    if end := GUTENBERG_END.search(text):
        text = text[: end.start()]
    parts = [part.strip("\n") for part in re.split(r"\n(?:[ \t]*\n){2,}", text.strip("\n"))]
    if len(parts) > 1:
        found = _title_page(parts[0]) | found
    last = len(parts) - BACK_PARTS
    kept = [
        part
        for number, part in enumerate(parts)
        if not (number < FRONT_PARTS or number >= last) or not _is_matter_part(part, number)
    ]
    return "\n\n\n".join(part for part in kept if part.strip()), found


def _is_matter_part(part: str, number: int) -> bool:
    heading = part.strip().partition("\n")[0]
    if is_matter_name(heading) or is_licence(part):
        return True
    if number > 0:
        return False
    is_header = len(part) < HEADER_CHARACTERS and HEADER_FIELD.match(part.strip()) is not None
    return is_header or bool(_title_page(part))


def _header_fields(text: str) -> dict[str, str]:
    names = {"title": "title", "author": "author", "language": "language", "license": "licence"}
    found = HEADER_FIELD.findall(text[:HEADER_CHARACTERS])
    return {names.get(key.lower(), "licence"): value.strip() for key, value in reversed(found)}


def _title_page(part: str) -> dict[str, str]:
    """Title and author of a short part whose last line is a byline; empty when it is none."""
    lines = [line.strip() for line in part.splitlines() if line.strip()]
    if len(part) > TITLE_PAGE_CHARACTERS or len(lines) < 2:
        return {}
    byline = BYLINE.match(lines[-1])
    return {"title": " ".join(lines[:-1]), "author": byline[1]} if byline else {}
