"""What a filter is: it measures every document, and decides from the measures alone.

Measuring and deciding are apart so that a changed threshold can be judged again from stored
measures, without the text.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class DocumentFilter(Protocol):
    """One set of rules from one paper."""

    @property
    def stage(self) -> str:
        """The config's `kind`: names the filter in drops and in front of its measures."""

    def measure(self, view: TextView) -> dict[str, float | str]:
        """Everything the rules look at; total on any text, finite, the same keys for every text."""

    def decide(self, measures: Measures) -> Verdict:
        """Keep, or the first broken rule's reason and value; a pure function of the measures."""


@dataclass(frozen=True)
class Rule:
    """One threshold: a document is refused where `refuses(measure, threshold)`."""

    measure: str
    refuses: Callable[[float, float], bool]
    threshold: float
    reason: str


def rules(
    *candidates: tuple[str, Callable[[float, float], bool], float | None, str],
) -> tuple[Rule, ...]:
    """The rules that are switched on: those whose threshold is not None."""
    return tuple(
        Rule(measure, refuses, threshold, reason)
        for measure, refuses, threshold, reason in candidates
        if threshold is not None
    )


def first_broken(stage: str, rules_in_order: Sequence[Rule], measures: Measures) -> Verdict:
    """The verdict of a list of rules: the first one broken names the reason."""
    for rule in rules_in_order:
        value = measures[rule.measure]
        assert not isinstance(value, str), rule.measure
        if rule.refuses(value, rule.threshold):
            return Verdict(False, stage, rule.reason, value)
    return Verdict(True, stage)


BELOW = operator.lt
AT_MOST = operator.le
ABOVE = operator.gt
AT_LEAST = operator.ge
