"""Refuses what does not look like running text, after Rae et al. 2021 (Gopher), section A1.1.

Deviations: the paper's eight English stop words stand beside lists for other languages
(`stop_words.py`), and the document's own language chooses; for a language without a list the rules
on stop words and on mean word length do not apply, for they would measure the script and not the
page. Without a known language the best of all lists counts.
"""

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.protocol import ABOVE, BELOW, RuleSpec, first_broken, rules_of
from data_pipeline.filters.stop_words import STOP_WORDS, stop_word_lists
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class GopherQualityConfig(Config):
    """Thresholds of section A1.1; None: that rule is off."""

    kind: Literal["gopher_quality"] = "gopher_quality"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    min_words: NonNegativeInt | None = 50
    """Fewer words are refused (Rae et al. 2021, section A1.1, has 50)."""
    max_words: NonNegativeInt | None = 100_000
    """More words are refused; books need None (Rae et al. 2021, section A1.1, has 100,000)."""
    min_mean_word_length: NonNegativeFloat | None = 3.0
    """Characters; shorter on average is refused (Rae et al. 2021, section A1.1, has 3)."""
    max_mean_word_length: NonNegativeFloat | None = 10.0
    """Characters; longer on average is refused (Rae et al. 2021, section A1.1, has 10)."""
    max_hash_word_ratio: NonNegativeFloat | None = 0.1
    """Hash signs / words; more is refused (Rae et al. 2021, section A1.1, has 0.1)."""
    max_ellipsis_word_ratio: NonNegativeFloat | None = 0.1
    """Ellipses / words; more is refused (Rae et al. 2021, section A1.1, has 0.1)."""
    max_bullet_line_fraction: NonNegativeFloat | None = 0.9
    """Lines that start with a bullet / lines (Rae et al. 2021, section A1.1, has 0.9)."""
    max_ellipsis_line_fraction: NonNegativeFloat | None = 0.3
    """Lines that end in an ellipsis / lines (Rae et al. 2021, section A1.1, has 0.3)."""
    min_alphabetic_word_fraction: NonNegativeFloat | None = 0.8
    """Words with a letter / words; less is refused (Rae et al. 2021, section A1.1, has 0.8)."""
    min_stop_words: NonNegativeInt | None = 2
    """Different stop words of the document's language; fewer are refused (Rae et al. 2021, section
    A1.1, has 2 of its eight English ones)."""

    def build(self) -> "GopherQuality":
        """The filter."""
        return GopherQuality(self)


_KNOWN = "has_stop_word_list"
_RULES = (
    RuleSpec("num_words", BELOW, "min_words", "too_few_words"),
    RuleSpec("num_words", ABOVE, "max_words", "too_many_words"),
    RuleSpec("mean_word_length", BELOW, "min_mean_word_length", "short_words", _KNOWN),
    RuleSpec("mean_word_length", ABOVE, "max_mean_word_length", "long_words", _KNOWN),
    RuleSpec("hash_word_ratio", ABOVE, "max_hash_word_ratio", "hash_signs"),
    RuleSpec("ellipsis_word_ratio", ABOVE, "max_ellipsis_word_ratio", "ellipses"),
    RuleSpec("bullet_line_fraction", ABOVE, "max_bullet_line_fraction", "bullet_lines"),
    RuleSpec("ellipsis_line_fraction", ABOVE, "max_ellipsis_line_fraction", "ellipsis_lines"),
    RuleSpec(
        "alphabetic_word_fraction", BELOW, "min_alphabetic_word_fraction", "non_alphabetic_words"
    ),
    RuleSpec("num_stop_words", BELOW, "min_stop_words", "too_few_stop_words", _KNOWN),
)


class GopherQuality:
    """Length, word shapes, symbols, bullets, ellipses, stop words."""

    stage = "gopher_quality"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: GopherQualityConfig) -> None:
        self.rules = rules_of(config, _RULES)

    def measure(self, view: TextView) -> dict[str, float | str]:
        counts, language = view.counts, view.language
        return {
            "num_words": float(counts.num_words),
            "mean_word_length": view.fraction_of_words(counts.num_word_characters),
            "hash_word_ratio": view.fraction_of_words(counts.num_hash_signs),
            "ellipsis_word_ratio": view.fraction_of_words(counts.num_ellipses),
            "bullet_line_fraction": view.fraction_of_lines(counts.num_bullet_lines),
            "ellipsis_line_fraction": view.fraction_of_lines(counts.num_ellipsis_lines),
            "alphabetic_word_fraction": view.fraction_of_words(counts.num_alphabetic_words),
            "num_stop_words": float(counts.num_listed_words(stop_word_lists(language))),
            _KNOWN: float(language is None or language in STOP_WORDS),
        }

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)
