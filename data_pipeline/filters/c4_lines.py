"""Removes the lines that Raffel et al. 2020 (C4), section 2.2, removes; it edits, not judges.

A line stays when it ends in terminal punctuation, holds enough words and does not speak of
JavaScript. Blank lines stay where a line around them does, so that paragraphs remain paragraphs.
Deviation: the marks of other scripts end a sentence too (`text_view.TERMINAL_PUNCTUATION`).
"""

import re
from dataclasses import dataclass, replace

from pydantic import NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.text_view import ends_in_punctuation, has_fewer_words
from data_pipeline.records import Document

_BLANK_LINES = re.compile(r"\n{3,}")


class C4LineRemovalConfig(Config):
    """Which lines go."""

    removes_unterminated: bool = True
    """Remove lines that do not end in terminal punctuation."""
    removes_javascript: bool = True
    """Remove lines that speak of JavaScript."""
    min_words_per_line: NonNegativeInt | None = 5
    """Remove lines of fewer words; None: off."""

    def build(self) -> "C4LineRemoval":
        """The cleaner."""
        return C4LineRemoval(self)


def speaks_of_javascript(line: str) -> bool:
    """Whether a line holds the word, as warnings to switch it on do."""
    return "javascript" in line.lower()


@dataclass(frozen=True)
class Cleaned:
    """A document whose text was edited, and by how much."""

    document: Document
    num_lines: int
    """Lines removed."""
    num_characters: int
    """Characters of those lines."""


class C4LineRemoval:
    """Takes lines out of documents."""

    def __init__(self, config: C4LineRemovalConfig) -> None:
        self._config = config

    def clean(self, document: Document) -> Cleaned:
        """The document without the faulty lines."""
        kept: list[str] = []
        num_lines = num_characters = 0
        for line in document.text.split("\n"):
            stripped = line.strip()
            if not stripped or not self._removes(stripped):
                kept.append(line if stripped else "")
            else:
                num_lines += 1
                num_characters += len(line)
        if not num_lines:
            return Cleaned(document, 0, 0)
        text = _BLANK_LINES.sub("\n\n", "\n".join(kept)).strip("\n")
        return Cleaned(replace(document, text=text), num_lines, num_characters)

    def _removes(self, line: str) -> bool:
        config = self._config
        return (
            (config.removes_unterminated and not ends_in_punctuation(line))
            or has_fewer_words(line, config.min_words_per_line or 0)
            or (config.removes_javascript and speaks_of_javascript(line))
        )
