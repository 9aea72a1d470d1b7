"""Text of a book's XHTML: every block in order, nothing judged as boilerplate.

Paragraphs, headings, list items and table rows are parted by a blank line, the chapters (top-level
sections) by two; a line break stays a line end, so verse keeps its lines. Marks that point to notes
go.
"""

import re
from collections.abc import Iterator

from lxml import etree

OPS_TYPE = "{http://www.idpf.org/2007/ops}type"
BLOCKS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "dt", "dd", "tr", "blockquote", "div", "pre"}
    | {"section", "article", "header", "footer", "hgroup", "figcaption", "figure", "ul", "ol"}
    | {"dl", "table", "tbody", "thead", "aside", "body", "html", "hr", "main", "caption"}
)
SKIPPED = frozenset({"script", "style", "svg", "math", "img", "head", "audio", "video", "object"})
NOTE_MARKS = frozenset({"noteref", "backlink"})


def book_text(xhtml: bytes) -> str:
    """Text of a book's chapters; empty when there is none.

    Raises:
        etree.XMLSyntaxError: the bytes hold no tree at all.
    """
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, huge_tree=True)
    root = etree.fromstring(xhtml, parser)
    return "" if root is None else text_of(root)


def text_of(root: etree._Element) -> str:
    """Blocks of a tree as paragraphs."""
    body = next(root.iter("{*}body"), root)
    return "\n\n".join(block for block in _blocks(body) if block)


def _blocks(root: etree._Element) -> Iterator[str]:
    """Texts between the edges of block elements, in document order."""
    pieces: list[str] = []
    for event, element in _walk(root):
        name = etree.QName(element).localname if isinstance(element.tag, str) else ""
        if name in BLOCKS:
            yield _folded(pieces)
            pieces.clear()
        if event == "start" and name == "br":
            pieces.append("\n")
        if event == "start" and element.text and name not in SKIPPED and name:
            pieces.append(_one_line(element.text))
        if event == "end" and element.tail and element is not root:
            pieces.append(_one_line(element.tail))
    yield _folded(pieces)


def _walk(root: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    """Start and end of each element, without those that hold no text of the book."""
    walker = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walker:
        if event in {"comment", "pi"}:
            yield "end", element
            continue
        if event == "start" and _is_skipped(element):
            walker.skip_subtree()
            continue
        yield event, element


def _is_skipped(element: etree._Element) -> bool:
    if not isinstance(element.tag, str):  # an entity that nothing declares
        return False
    name = etree.QName(element).localname
    kinds = str(element.get(OPS_TYPE, "")).split()
    return name in SKIPPED or not NOTE_MARKS.isdisjoint(kinds)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _folded(pieces: list[str]) -> str:
    lines = "".join(pieces).split("\n")
    return "\n".join(line for line in (re.sub(r" +", " ", x).strip() for x in lines) if line)
