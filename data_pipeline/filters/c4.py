"""Refuses pages that are not natural language, after Raffel et al. 2020 (C4), section 2.2.

Page rules: three sentences, no "lorem ipsum", no curly bracket. The line rules (terminal
punctuation, words in a line, "javascript") are measured as fractions of lines and off by default;
the paper removes such lines instead of the page, which is `line_removal` (see `c4_lines.py`), done
before any filter measures. Not done: the list of bad words, policy notices, spans of three
sentences seen before (the dedup room's work), and the language threshold (the language filter's). A
sentence is counted at each word that ends in an end mark; the paper leaves the method open.
"""

from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.c4_lines import C4LineRemovalConfig
from data_pipeline.filters.protocol import ABOVE, BELOW, RuleSpec, first_broken, rules_of
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class C4Config(Config):
    """Rules of section 2.2; None (or false): that rule is off."""

    kind: Literal["c4"] = "c4"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    line_removal: C4LineRemovalConfig | None = None
    """Removes lines as the paper does, before any filter measures; None: texts stay as they are."""
    min_sentences: NonNegativeInt | None = 3
    """Fewer sentences are refused (Raffel et al. 2020, section 2.2, has 3)."""
    refuses_lorem_ipsum: bool = True
    """Refuse a page that holds "lorem ipsum" (Raffel et al. 2020, section 2.2)."""
    refuses_curly_brackets: bool = True
    """Refuse a page that holds a curly bracket (Raffel et al. 2020, section 2.2)."""
    max_unterminated_line_fraction: NonNegativeFloat | None = None
    """Lines without terminal punctuation / lines; None: off (Raffel et al. 2020, section 2.2,
    removes such lines, without a threshold)."""
    max_few_word_line_fraction: NonNegativeFloat | None = None
    """Lines of fewer than `min_words_per_line` words / lines; None: off (Raffel et al. 2020,
    section 2.2, removes such lines, without a threshold)."""
    max_javascript_line_fraction: NonNegativeFloat | None = None
    """Lines that speak of JavaScript / lines; None: off (Raffel et al. 2020, section 2.2,
    removes such lines, without a threshold)."""
    min_words_per_line: NonNegativeInt = 5
    """What the fraction of lines with few words counts (Raffel et al. 2020, section 2.2,
    has 5)."""

    def build(self) -> "C4":
        """The filter."""
        return C4(self)


_RULES = (
    RuleSpec("has_lorem_ipsum", ABOVE, "refuses_lorem_ipsum", "lorem_ipsum"),
    RuleSpec("num_curly_brackets", ABOVE, "refuses_curly_brackets", "curly_bracket"),
    RuleSpec("num_sentences", BELOW, "min_sentences", "too_few_sentences"),
    RuleSpec(
        "unterminated_line_fraction",
        ABOVE,
        "max_unterminated_line_fraction",
        "unterminated_lines",
    ),
    RuleSpec("few_word_line_fraction", ABOVE, "max_few_word_line_fraction", "few_word_lines"),
    RuleSpec("javascript_line_fraction", ABOVE, "max_javascript_line_fraction", "javascript_lines"),
)


class C4:
    """Sentences, placeholder text, code, and the fractions of lines C4 would remove."""

    stage = "c4"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: C4Config) -> None:
        self._min_words_per_line = config.min_words_per_line
        self.rules = rules_of(config, _RULES)

    def measure(self, view: TextView) -> dict[str, float | str]:
        counts = view.counts
        num_few = counts.num_lines_below(self._min_words_per_line)
        terminated = view.fraction_of_lines(counts.num_terminated_lines)
        return {
            "num_sentences": float(counts.num_sentence_ends),
            "has_lorem_ipsum": float(counts.has_lorem_ipsum),
            "num_curly_brackets": float(counts.num_curly_brackets),
            "unterminated_line_fraction": 1.0 - terminated,
            "few_word_line_fraction": view.fraction_of_lines(num_few),
            "javascript_line_fraction": view.fraction_of_lines(counts.num_javascript_lines),
        }

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)
