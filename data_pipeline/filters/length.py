"""Refuses texts by their length alone, for sources the web's other rules do not fit."""

from typing import Literal

from pydantic import NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.protocol import ABOVE, BELOW, RuleSpec, first_broken, rules_of
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class LengthConfig(Config):
    """Bounds on words and bytes; None: that rule is off."""

    kind: Literal["length"] = "length"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    min_words: NonNegativeInt | None = 50
    """Fewer words are refused (Rae et al. 2021, section A1.1, has 50)."""
    max_words: NonNegativeInt | None = None
    """More words are refused; None: off (Rae et al. 2021, section A1.1, has 100,000)."""
    max_text_bytes: NonNegativeInt | None = None
    """More UTF-8 bytes are refused; None: off. Of no paper: a bound on what one document costs."""

    def build(self) -> "Length":
        """The filter."""
        return Length(self)


_RULES = (
    RuleSpec("num_words", BELOW, "min_words", "too_few_words"),
    RuleSpec("num_words", ABOVE, "max_words", "too_many_words"),
    RuleSpec("text_bytes", ABOVE, "max_text_bytes", "too_many_bytes"),
)


class Length:
    """Words and bytes against bounds."""

    stage = "length"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: LengthConfig) -> None:
        self.rules = rules_of(config, _RULES)

    def measure(self, view: TextView) -> dict[str, float | str]:
        counts = view.counts
        return {"num_words": float(counts.num_words), "text_bytes": float(counts.num_bytes)}

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)
