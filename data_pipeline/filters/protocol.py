"""What a filter is: it measures every document, and decides from the measures alone.

Measuring and deciding are apart so that a changed threshold can be judged again from stored
measures, without the text.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from contracts.config import Config
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
    """One limit: a document is refused where `refuses(measure, threshold)`."""

    measure: str
    refuses: Callable[[Any, Any], Any]
    """Of a number and the threshold, or of a whole array of them; of one word and a set."""
    threshold: float | frozenset[str]
    reason: str
    field: str = ""
    """Field of the config that holds the threshold; its docstring names the source."""
    only_where: str = ""
    """A measure that must not be 0 for the rule to apply; empty: it always does."""
    reason_measure: str = ""
    """A measure that names the reason instead, as the set that was hit; empty: none."""


@dataclass(frozen=True)
class RuleSpec:
    """A rule as the config switches it on: off where the field is None or false."""

    measure: str
    refuses: Callable[[Any, Any], Any]
    field: str
    reason: str
    only_where: str = ""

    def rule(self, config: Config) -> Rule | None:
        """The rule with the config's threshold; None where it is off."""
        value = getattr(config, self.field)
        if value is None or value is False:
            return None
        if isinstance(value, tuple):
            value = frozenset(value)
        threshold = 0.0 if value is True else value
        return Rule(self.measure, self.refuses, threshold, self.reason, self.field, self.only_where)


def rules_of(config: Config, specs: Sequence[RuleSpec]) -> tuple[Rule, ...]:
    """The rules that are switched on, in order."""
    return tuple(rule for rule in (spec.rule(config) for spec in specs) if rule is not None)


@runtime_checkable
class RuledFilter(Protocol):
    """A filter that decides by a list of rules alone, so that tables can be judged by column."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In the order in which they may name a drop."""

    @property
    def thresholds(self) -> frozenset[str]:
        """Fields of its config that change the verdict, and nothing that is measured.

        Dotted; `*` stands for a place in a list.
        """


def first_broken(stage: str, rules_in_order: Sequence[Rule], measures: Measures) -> Verdict:
    """The verdict of a list of rules: the first one broken names the reason."""
    for rule in rules_in_order:
        value = measures[rule.measure]
        if rule.only_where and not measures[rule.only_where]:
            continue
        if rule.refuses(value, rule.threshold):
            return Verdict(False, stage, rule.reason, value)
    return Verdict(True, stage)


BELOW = operator.lt
AT_MOST = operator.le
ABOVE = operator.gt
AT_LEAST = operator.ge


def not_among(value: str, allowed: frozenset[str]) -> bool:
    """Whether a word is none of those allowed."""
    return value not in allowed


RELATIONS = {BELOW: "<", AT_MOST: "<=", ABOVE: ">", AT_LEAST: ">=", not_among: "not in"}
"""How a rule's refusal is written."""
