"""Main text by trafilatura (Barbaresi 2021): its rules, then fallbacks where those find little."""

import re
from typing import Any, Literal

import trafilatura
from trafilatura.settings import Document as TrafilaturaDocument
from trafilatura.xml import xmltotxt

from data_pipeline.extract.protocol import PageConfig

_INDENTED_ITEM = re.compile(r"^ +- ", re.MULTILINE)
_RULE = re.compile(r"\|(?:---\|)+\s*")


class TrafilaturaConfig(PageConfig):
    """Main text by trafilatura."""

    kind: Literal["trafilatura"] = "trafilatura"
    mode: Literal["fast", "default", "precision", "recall"] = "fast"
    """`fast`: its own rules only; `default`: compared with fallbacks; or favour one side."""
    has_tables: bool = True
    """Whether the text of tables is kept."""
    has_comments: bool = False
    """Whether readers' comments are kept."""

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
        blocks = [found.body.text or "", *map(_block_text, found.body)]
        blocks.append(found.comments or "")
        return "\n\n".join(block.strip("\n") for block in blocks if block and not block.isspace())


def _block_text(block: Any) -> str:
    """A block in the plain-text form of docs/formats.md; trafilatura's own is nearly Markdown."""
    if block.tag == "code" or (block.tag == "quote" and block.find("code") is not None):
        return "".join(block.itertext())
    text: str = xmltotxt(block, False)
    if block.tag == "table":
        return "\n".join(row for line in text.split("\n") if (row := _row(line)))
    if block.tag == "list":
        return _INDENTED_ITEM.sub("- ", text)
    return text.strip()


def _row(line: str) -> str:
    """`| a | b | ` as `a | b`; nothing for the rule under a table's head."""
    if _RULE.fullmatch(line):
        return ""
    return line.strip().removeprefix("|").strip(" |").replace("\\|", "|")
