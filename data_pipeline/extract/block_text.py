"""Text blocks to plain text, in the project's convention.

Paragraphs, headings among them, are parted by an empty line; list items are lines that begin with
`- `; the cells of a table's row are joined by ` | `, one row a line; code keeps its lines.
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import numpy.typing as npt

from data_pipeline.native.html_names import TAG_IDS
from data_pipeline.native.html_scan import ScannedPage

_ITEM = TAG_IDS["li"]
_ROW = TAG_IDS["tr"]
_CELLS = frozenset((TAG_IDS["td"], TAG_IDS["th"]))
_PRE = TAG_IDS["pre"]
_TABLE = TAG_IDS["table"]
Piece = tuple[str, str, int]
"""Kind (`paragraph`, `item` or `row`), text, and the table it stands in."""


def rendered(page: ScannedPage, kept: npt.NDArray[np.bool_]) -> str:
    """The kept blocks of a page as text."""
    tree = _Tree(page)
    rows = page.blocks[kept, :3].tolist()
    pieces = list(_pieces(page.text, rows, tree))
    parts: list[str] = []
    for number, (kind, text, table) in enumerate(pieces):
        if number:
            is_next = kind != "paragraph" and (kind, table) == (
                pieces[number - 1][0],
                pieces[number - 1][2],
            )
            parts.append("\n" if is_next else "\n\n")
        parts.append(text)
    return "".join(parts)


class _Tree:
    """What stands above each element."""

    def __init__(self, page: ScannedPage) -> None:
        self.parents: list[int] = page.elements[:, 0].tolist()
        self.tags: list[int] = page.elements[:, 1].tolist()
        self._known: dict[int, tuple[int, int, int, bool]] = {0: (0, 0, 0, False)}

    def above(self, element: int) -> tuple[int, int, int, bool]:
        """Nearest list item, row and table at or above an element (0: none); whether it is code."""
        path = []
        while element not in self._known:
            path.append(element)
            element = self.parents[element]
        item, row, table, is_code = self._known[element]
        for element in reversed(path):
            tag = self.tags[element]
            if tag == _ITEM:
                item, row, table = element, 0, 0
            elif tag == _TABLE:
                item, row, table = 0, 0, element
            elif tag == _ROW:
                row = element
            is_code |= tag == _PRE
            self._known[element] = (item, row, table, is_code)
        return item, row, table, is_code


def _pieces(text: bytes, rows: list[list[int]], tree: _Tree) -> Iterator[Piece]:
    begun = 0
    for (item, row, table), group in groupby(rows, lambda block: tree.above(block[2])[:3]):
        blocks = list(group)
        if row and _is_simple(blocks, tree):
            cells = [_one_line(text, block) for block in blocks]
            yield "row", " | ".join(cells), table
            continue
        for block in blocks:
            if item and not tree.above(block[2])[3]:
                mark = "" if item == begun else "- "
                begun = item
                yield "item", mark + _one_line(text, block), 0
            else:
                yield "paragraph", text[block[0] : block[1]].decode("utf-8", "replace"), 0


def _is_simple(blocks: list[list[int]], tree: _Tree) -> bool:
    """Whether each cell of a row holds one text and no more."""
    elements = {block[2] for block in blocks}
    is_cells = all(tree.tags[element] in _CELLS for element in elements)
    return is_cells and len(elements) == len(blocks)


def _one_line(text: bytes, block: list[int]) -> str:
    return " ".join(text[block[0] : block[1]].decode("utf-8", "replace").split())
