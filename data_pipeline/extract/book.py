"""Text of a book's XHTML: every block in order, nothing judged as boilerplate.

Paragraphs and headings are parted by a blank line; list items and table rows are lines, text that
was set as code stays as it is. A line break stays a line end, so verse keeps its lines. Marks that
point to notes go.
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
CELLS = frozenset({"td", "th"})
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
    """Blocks of a tree, in the plain-text form of docs/formats.md."""
    body = next(root.iter("{*}body"), root)
    blocks = _Blocks()
    for event, element in _walk(body):
        name = etree.QName(element).localname if isinstance(element.tag, str) else ""
        if event == "start":
            blocks.opens(name)
            if element.text and name:
                blocks.says(element.text)
        else:
            blocks.closes(name)
            if element.tail and element is not body:
                blocks.says(element.tail)
    return blocks.text()


class _Blocks:
    """Texts between the edges of block elements, in document order, each with its kind."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._pieces: list[str] = []
        self._opens_item = False
        self._num_cells = 0
        self._num_rows_open = 0
        self._num_pre_open = 0

    def opens(self, name: str) -> None:
        if name == "br":
            self._pieces.append("\n")
        elif name == "tr":
            self._num_rows_open += 1
            if self._num_rows_open == 1:
                self._ends_block()
                self._num_cells = 0
        elif self._num_rows_open:
            self._in_row(name)
        elif name in BLOCKS:
            self._ends_block()
            self._opens_item = self._opens_item or name == "li"
            self._num_pre_open += name == "pre"

    def closes(self, name: str) -> None:
        if name == "tr":
            self._num_rows_open -= 1
            if not self._num_rows_open:
                self._ends_block(kind="row")
        elif self._num_rows_open:
            self._in_row(name, opens=False)
        elif name in BLOCKS:
            self._ends_block()
            self._opens_item = self._opens_item and name != "li"
            self._num_pre_open -= name == "pre"

    def says(self, text: str) -> None:
        self._pieces.append(text if self._num_pre_open else re.sub(r"\s+", " ", text))

    def text(self) -> str:
        """All blocks: items and rows on lines that follow each other, the rest in paragraphs."""
        self._ends_block()
        parts: list[str] = []
        last = "paragraph"
        for kind, block in self._found:
            parts += ["\n" if kind == last != "paragraph" else "\n\n", block]
            last = kind
        return "".join(parts[1:])

    def _in_row(self, name: str, *, opens: bool = True) -> None:
        if name in CELLS and self._num_rows_open == 1 and opens:
            self._pieces.append(" | " if self._num_cells else "")
            self._num_cells += 1
        elif name in BLOCKS or name in CELLS:
            self._pieces.append(" ")

    def _ends_block(self, kind: str = "paragraph") -> None:
        joined, self._pieces = "".join(self._pieces), []
        block = joined.strip("\n").rstrip() if self._num_pre_open else _folded(joined)
        if kind == "row":
            block = block.replace("\n", " ")
        if not block:
            return
        if self._opens_item:
            kind, block, self._opens_item = "item", f"- {block}", False
        self._found.append((kind, block))


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


def _folded(text: str) -> str:
    lines = text.split("\n")
    return "\n".join(line for line in (re.sub(r" +", " ", x).strip() for x in lines) if line)
