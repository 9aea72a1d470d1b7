"""Main text by resiliparse (Bevendorff et al. 2018): fast rules over a Lexbor parse."""

from typing import Literal

from pydantic import PositiveInt
from resiliparse.extract.html2text import extract_plain_text

from contracts.config import Config


class ResiliparseConfig(Config):
    """Main text by resiliparse."""

    kind: Literal["resiliparse"] = "resiliparse"
    is_main_content: bool = True
    """Whether menus, footers and the like are left out; false: the page's whole text."""
    has_comments: bool = False
    """Whether readers' comments are kept."""
    max_page_bytes: PositiveInt = 5 << 20
    """A longer page is dropped (`page_too_large`)."""
    max_depth: PositiveInt = 2000
    """A page whose tags nest deeper is dropped (`page_too_deep`); it would take quadratic time."""

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        text: str = extract_plain_text(
            page,
            main_content=self.is_main_content,
            comments=self.has_comments,
            alt_texts=False,
            preserve_formatting=True,
        )
        return text
