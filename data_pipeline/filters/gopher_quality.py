"""Refuses what does not look like running text, after Rae et al. 2021 (Gopher), section A1.1.

Deviations: the paper's eight English stop words stand beside lists for other languages
(`stop_words.py`), and the document's own language chooses; for a language without a list the rules
on stop words and on mean word length do not apply, for they would measure the script and not the
page. Without a known language the best of all lists counts.
"""

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.protocol import ABOVE, BELOW, first_broken, rules
from data_pipeline.filters.stop_words import STOP_WORDS, stop_word_lists
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class GopherQualityConfig(Config):
    """Thresholds of section A1.1; None: that rule is off."""

    kind: Literal["gopher_quality"] = "gopher_quality"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    min_words: NonNegativeInt | None = 50
    """Fewer words are refused."""
    max_words: NonNegativeInt | None = 100_000
    """More words are refused (books need None)."""
    min_mean_word_length: NonNegativeFloat | None = 3.0
    """Characters; shorter on average is refused."""
    max_mean_word_length: NonNegativeFloat | None = 10.0
    """Characters; longer on average is refused."""
    max_hash_word_ratio: NonNegativeFloat | None = 0.1
    """Hash signs / words."""
    max_ellipsis_word_ratio: NonNegativeFloat | None = 0.1
    """Ellipses / words."""
    max_bullet_line_fraction: NonNegativeFloat | None = 0.9
    """Lines that start with a bullet / lines."""
    max_ellipsis_line_fraction: NonNegativeFloat | None = 0.3
    """Lines that end in an ellipsis / lines."""
    min_alphabetic_word_fraction: NonNegativeFloat | None = 0.8
    """Words with at least one letter / words."""
    min_stop_words: NonNegativeInt | None = 2
    """Different stop words of the document's language."""

    def build(self) -> "GopherQuality":
        """The filter."""
        return GopherQuality(self)


class GopherQuality:
    """Length, word shapes, symbols, bullets, ellipses, stop words."""

    stage = "gopher_quality"

    def __init__(self, config: GopherQualityConfig) -> None:
        c = config
        self._rules = rules(
            ("num_words", BELOW, c.min_words, "too_few_words"),
            ("num_words", ABOVE, c.max_words, "too_many_words"),
            ("mean_word_length", BELOW, c.min_mean_word_length, "short_words"),
            ("mean_word_length", ABOVE, c.max_mean_word_length, "long_words"),
            ("hash_word_ratio", ABOVE, c.max_hash_word_ratio, "hash_signs"),
            ("ellipsis_word_ratio", ABOVE, c.max_ellipsis_word_ratio, "ellipses"),
            ("bullet_line_fraction", ABOVE, c.max_bullet_line_fraction, "bullet_lines"),
            ("ellipsis_line_fraction", ABOVE, c.max_ellipsis_line_fraction, "ellipsis_lines"),
            (
                "alphabetic_word_fraction",
                BELOW,
                c.min_alphabetic_word_fraction,
                "non_alphabetic_words",
            ),
            ("num_stop_words", BELOW, c.min_stop_words, "too_few_stop_words"),
        )
        by_language = {"mean_word_length", "num_stop_words"}
        self._rules_of_any_language = tuple(r for r in self._rules if r.measure not in by_language)

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
            "has_stop_word_list": float(language is None or language in STOP_WORDS),
        }

    def decide(self, measures: Measures) -> Verdict:
        known = bool(measures["has_stop_word_list"])
        return first_broken(
            self.stage, self._rules if known else self._rules_of_any_language, measures
        )
