"""Removes the lines that Raffel et al. 2020 (C4), section 2.2, removes; it edits, not judges.

A line stays when it ends in terminal punctuation, holds enough words and does not speak of
JavaScript. Blank lines stay where a line around them does, so that paragraphs remain paragraphs.
Deviation: the marks of other scripts end a sentence too (`text_parts.TERMINAL_PUNCTUATION`).
"""

import re
from dataclasses import dataclass, replace

from pydantic import NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.native_counts import character_flags
from data_pipeline.filters.text_parts import (
    ends_in_punctuation,
    has_fewer_words,
    speaks_of_javascript,
)
from data_pipeline.native.code_points import code_points, text_of
from data_pipeline.native.text_stats import can_count, without_lines
from data_pipeline.records import Document

_BLANK_LINES = re.compile(r"\n{3,}")


class C4LineRemovalConfig(Config):
    """Which lines go."""

    removes_unterminated: bool = True
    """Remove lines that do not end in terminal punctuation (Raffel et al. 2020, section 2.2)."""
    removes_javascript: bool = True
    """Remove lines that speak of JavaScript (Raffel et al. 2020, section 2.2)."""
    min_words_per_line: NonNegativeInt | None = 5
    """Remove lines of fewer words; None: off (Raffel et al. 2020, section 2.2)."""

    def build(self) -> "C4LineRemoval":
        """The cleaner."""
        return C4LineRemoval(self)


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
        is_short_enough = can_count(len(document.text))
        clean = self._cleaned_natively if is_short_enough else self.cleaned_text
        text, num_lines, num_characters = clean(document.text)
        if not num_lines:
            return Cleaned(document, 0, 0)
        return Cleaned(replace(document, text=text), num_lines, num_characters)

    def _cleaned_natively(self, text: str) -> tuple[str, int, int]:
        codes, table, config = code_points(text), character_flags(), self._config
        table.cover(codes)
        kept, num_lines, num_characters = without_lines(
            codes,
            table.flags,
            min_words=config.min_words_per_line or 0,
            removes_unterminated=config.removes_unterminated,
            removes_javascript=config.removes_javascript,
        )
        return text_of(kept), num_lines, num_characters

    def cleaned_text(self, text: str) -> tuple[str, int, int]:
        """A text without its faulty lines, their number and characters; the twin in Python."""
        kept: list[str] = []
        num_lines = num_characters = 0
        for line in text.split("\n"):
            stripped = line.strip()
            if not stripped or not self._removes(stripped):
                kept.append(line if stripped else "")
            else:
                num_lines += 1
                num_characters += len(line)
        return (
            _BLANK_LINES.sub("\n\n", "\n".join(kept)).strip("\n"),
            num_lines,
            num_characters,
        )

    def _removes(self, line: str) -> bool:
        config = self._config
        return (
            (config.removes_unterminated and not ends_in_punctuation(line))
            or has_fewer_words(line, config.min_words_per_line or 0)
            or (config.removes_javascript and speaks_of_javascript(line))
        )
