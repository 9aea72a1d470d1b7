"""Main text by trafilatura (Barbaresi 2021): its rules, then fallbacks where those find little."""

from typing import Literal

import trafilatura
from pydantic import PositiveInt
from trafilatura.settings import Document as TrafilaturaDocument
from trafilatura.xml import xmltotxt

from contracts.config import Config


class TrafilaturaConfig(Config):
    """Main text by trafilatura."""

    kind: Literal["trafilatura"] = "trafilatura"
    mode: Literal["fast", "default", "precision", "recall"] = "fast"
    """`fast`: its own rules only; `default`: compared with fallbacks; or favour one side."""
    has_tables: bool = True
    """Whether the text of tables is kept."""
    has_comments: bool = False
    """Whether readers' comments are kept."""
    max_page_bytes: PositiveInt = 5 << 20
    """A longer page is dropped (`page_too_large`)."""
    max_depth: PositiveInt = 2000
    """A page whose tags nest deeper is dropped (`page_too_deep`)."""

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        found = trafilatura.bare_extraction(
            page,
            fast=self.mode == "fast",
            favor_precision=self.mode == "precision",
            favor_recall=self.mode == "recall",
            include_comments=self.has_comments,
            include_tables=self.has_tables,
            with_metadata=False,
        )
        if not isinstance(found, TrafilaturaDocument) or found.body is None:
            return ""
        blocks = [found.body.text or "", *(xmltotxt(block, False) for block in found.body)]
        blocks.append(found.comments or "")
        return "\n\n".join(block.strip() for block in blocks if block and not block.isspace())
