"""Refuses texts that repeat themselves, after Rae et al. 2021 (Gopher), section A1.1 and table A1.

The table bounds how much of a text stands in repeated lines, paragraphs and word n-grams.
"Repeated" is read here as: equal to a part that stood before in the same text, so a passage that
stands twice counts once. The most frequent n-gram counts only where it stands at least twice, and
overlaps count once.
"""

from typing import Literal

from pydantic import NonNegativeFloat

from contracts.config import Config
from data_pipeline.filters.protocol import ABOVE, RuleSpec, first_broken, rules_of
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class GopherRepetitionConfig(Config):
    """Thresholds of table A1; a document above one is refused; None: that rule is off."""

    kind: Literal["gopher_repetition"] = "gopher_repetition"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    max_duplicate_line_fraction: NonNegativeFloat | None = 0.30
    """Repeated lines / lines (Rae et al. 2021, table A1: 0.30)."""
    max_duplicate_paragraph_fraction: NonNegativeFloat | None = 0.30
    """Repeated paragraphs / paragraphs (Rae et al. 2021, table A1: 0.30)."""
    max_duplicate_line_characters: NonNegativeFloat | None = 0.20
    """Share of characters in repeated lines (Rae et al. 2021, table A1: 0.20)."""
    max_duplicate_paragraph_characters: NonNegativeFloat | None = 0.20
    """Share of characters in repeated paragraphs (Rae et al. 2021, table A1: 0.20)."""
    max_top_2_gram: NonNegativeFloat | None = 0.20
    """Share of characters in the most frequent pair of words (Rae et al. 2021, table A1: 0.20)."""
    max_top_3_gram: NonNegativeFloat | None = 0.18
    """Share of characters in the most frequent 3 words (Rae et al. 2021, table A1: 0.18)."""
    max_top_4_gram: NonNegativeFloat | None = 0.16
    """Share of characters in the most frequent 4 words (Rae et al. 2021, table A1: 0.16)."""
    max_duplicate_5_grams: NonNegativeFloat | None = 0.15
    """Share of characters in repeated stretches of 5 words (Rae et al. 2021, table A1: 0.15)."""
    max_duplicate_6_grams: NonNegativeFloat | None = 0.14
    """Share of characters in repeated stretches of 6 words (Rae et al. 2021, table A1: 0.14)."""
    max_duplicate_7_grams: NonNegativeFloat | None = 0.13
    """Share of characters in repeated stretches of 7 words (Rae et al. 2021, table A1: 0.13)."""
    max_duplicate_8_grams: NonNegativeFloat | None = 0.12
    """Share of characters in repeated stretches of 8 words (Rae et al. 2021, table A1: 0.12)."""
    max_duplicate_9_grams: NonNegativeFloat | None = 0.11
    """Share of characters in repeated stretches of 9 words (Rae et al. 2021, table A1: 0.11)."""
    max_duplicate_10_grams: NonNegativeFloat | None = 0.10
    """Share of characters in repeated stretches of 10 words (Rae et al. 2021, table A1: 0.10)."""

    def build(self) -> "GopherRepetition":
        """The filter."""
        return GopherRepetition(self)


_REPEATED = (
    *("top_2_gram", "top_3_gram", "top_4_gram", "duplicate_5_grams", "duplicate_6_grams"),
    *("duplicate_7_grams", "duplicate_8_grams", "duplicate_9_grams", "duplicate_10_grams"),
)
_RULES = (
    RuleSpec("duplicate_line_fraction", ABOVE, "max_duplicate_line_fraction", "duplicate_lines"),
    RuleSpec(
        "duplicate_paragraph_fraction",
        ABOVE,
        "max_duplicate_paragraph_fraction",
        "duplicate_paragraphs",
    ),
    RuleSpec(
        "duplicate_line_characters",
        ABOVE,
        "max_duplicate_line_characters",
        "duplicate_line_characters",
    ),
    RuleSpec(
        "duplicate_paragraph_characters",
        ABOVE,
        "max_duplicate_paragraph_characters",
        "duplicate_paragraph_characters",
    ),
    *(RuleSpec(name, ABOVE, f"max_{name}", name) for name in _REPEATED),
)


class GopherRepetition:
    """Repetition of lines, paragraphs and n-grams within one text."""

    stage = "gopher_repetition"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: GopherRepetitionConfig) -> None:
        self.rules = rules_of(config, _RULES)

    def measure(self, view: TextView) -> dict[str, float | str]:
        counts = view.counts
        lines, paragraphs = counts.line_repetition, counts.paragraph_repetition
        ngrams = counts.ngram_repetition
        return {
            "duplicate_line_fraction": lines.parts_fraction,
            "duplicate_paragraph_fraction": paragraphs.parts_fraction,
            "duplicate_line_characters": lines.characters_fraction,
            "duplicate_paragraph_characters": paragraphs.characters_fraction,
            **{f"top_{n}_gram": value for n, value in ngrams.top.items()},
            **{f"duplicate_{n}_grams": value for n, value in ngrams.duplicate.items()},
        }

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)
