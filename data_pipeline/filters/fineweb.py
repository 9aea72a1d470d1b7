"""Refuses lists, menus and templates, after Penedo et al. 2024 (FineWeb), section 3.6.

Three rules, found there by comparing the statistics of a good and a worse crawl. A line is one that
holds more than blanks. The paper's threshold on repeated lines is 0.1; the pipeline released with
it runs with 0.01, which suits only texts whose extraction already removed menus.
"""

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.protocol import AT_LEAST, AT_MOST, RuleSpec, first_broken, rules_of
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class FineWebConfig(Config):
    """Thresholds of section 3.6; None: that rule is off."""

    kind: Literal["fineweb"] = "fineweb"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    min_terminal_punctuation_fraction: NonNegativeFloat | None = 0.12
    """Lines that end a sentence / lines; this or less is refused (Penedo et al. 2024,
    section 3.6, has 0.12)."""
    max_duplicate_line_characters: NonNegativeFloat | None = 0.1
    """Share of characters in lines that stood before; this or more is refused
    (Penedo et al. 2024, section 3.6, has 0.1)."""
    max_short_line_fraction: NonNegativeFloat | None = 0.67
    """Short lines / lines; this or more is refused (Penedo et al. 2024, section 3.6, has 0.67)."""
    short_line_characters: NonNegativeInt = 30
    """A line of at most so many characters is short (Penedo et al. 2024, section 3.6, has 30)."""

    def build(self) -> "FineWeb":
        """The filter."""
        return FineWeb(self)


_RULES = (
    RuleSpec(
        "terminal_punctuation_fraction",
        AT_MOST,
        "min_terminal_punctuation_fraction",
        "few_lines_end_in_punctuation",
    ),
    RuleSpec(
        "duplicate_line_characters",
        AT_LEAST,
        "max_duplicate_line_characters",
        "duplicate_line_characters",
    ),
    RuleSpec("short_line_fraction", AT_LEAST, "max_short_line_fraction", "short_lines"),
)


class FineWeb:
    """Line punctuation, line repetition, line length."""

    stage = "fineweb"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: FineWebConfig) -> None:
        self._short_line_characters = config.short_line_characters
        self.rules = rules_of(config, _RULES)

    def measure(self, view: TextView) -> dict[str, float | str]:
        counts = view.counts
        num_short = counts.num_lines_up_to(self._short_line_characters)
        return {
            "terminal_punctuation_fraction": view.fraction_of_lines(counts.num_terminated_lines),
            "duplicate_line_characters": counts.line_repetition.characters_fraction,
            "short_line_fraction": view.fraction_of_lines(num_short),
        }

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)
