"""Main text by resiliparse (Bevendorff et al. 2018): fast rules over a Lexbor parse."""

import re
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text

from data_pipeline.extract.protocol import PageConfig

_ITEM = re.compile(r"\n +(?:\u2022|\d{1,4}\.) (?=\S)")
_CELL_EDGES = re.compile(r"(?<=[^\t\n])(?:\t\t)+(?=[^\t\n])")


class ResiliparseConfig(PageConfig):
    """Main text by resiliparse."""

    kind: Literal["resiliparse"] = "resiliparse"
    is_main_content: bool = True
    """Whether menus, footers and the like are left out; false: the page's whole text."""
    has_comments: bool = False
    """Whether readers' comments are kept."""

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        text: str = extract_plain_text(
            page,
            main_content=self.is_main_content,
            comments=self.has_comments,
            alt_texts=False,
            preserve_formatting=True,
        )
        return _plain_form(text)


def _plain_form(text: str) -> str:
    """The text in the plain-text form of docs/formats.md: `- ` for bullets, ` | ` between cells.

    Told from the text alone: a line of code that looks like an item, or has two tabs between
    characters, is changed, too.
    """
    if "\n  " in text or text.startswith("  "):
        text = _ITEM.sub("\n- ", "\n" + text)[1:]
    if "\t\t" in text:
        text = _CELL_EDGES.sub(lambda edges: " | " * (len(edges[0]) // 2), text)
    return text
