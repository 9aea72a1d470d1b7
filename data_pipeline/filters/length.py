"""Refuses texts by their length alone, for sources the web's other rules do not fit."""

from typing import Literal

from pydantic import NonNegativeInt

from contracts.config import Config
from data_pipeline.filters.protocol import ABOVE, BELOW, first_broken, rules
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
    """More words are refused; None: off."""
    max_text_bytes: NonNegativeInt | None = None
    """More UTF-8 bytes are refused; None: off."""

    def build(self) -> "Length":
        """The filter."""
        return Length(self)


class Length:
    """Words and bytes against bounds."""

    stage = "length"

    def __init__(self, config: LengthConfig) -> None:
        self._rules = rules(
            ("num_words", BELOW, config.min_words, "too_few_words"),
            ("num_words", ABOVE, config.max_words, "too_many_words"),
            ("text_bytes", ABOVE, config.max_text_bytes, "too_many_bytes"),
        )

    def measure(self, view: TextView) -> dict[str, float | str]:
        counts = view.counts
        return {"num_words": float(counts.num_words), "text_bytes": float(counts.num_bytes)}

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self._rules, measures)
