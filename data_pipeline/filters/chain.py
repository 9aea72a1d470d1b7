"""Runs all filters over a document: edit lines, name the language, measure all, decide once.

Every filter that applies to the document's source measures it, also behind one that refused, so
that another set of thresholds can be judged from the stored measures alone. The first filter in
config order that refuses names the drop; before them all stands what the page itself says against
its use. Behind the verdict personal data is masked, in dropped documents too: their samples are
kept. Of a page that opted out no text is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from contracts.errors import ConfigError, DataError
from data_pipeline.filters.c4 import C4Config
from data_pipeline.filters.c4_lines import C4LineRemoval
from data_pipeline.filters.language import Language
from data_pipeline.filters.opt_out import STAGE as OPT_OUT
from data_pipeline.filters.opt_out import OptOutConfig
from data_pipeline.filters.pii import STAGE as PII
from data_pipeline.filters.pii import PiiConfig
from data_pipeline.filters.protocol import DocumentFilter
from data_pipeline.filters.table_verdicts import JudgingFilter
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Document, Measures, Verdict


class FilterSection(Protocol):
    """What every filter's config has."""

    @property
    def sources(self) -> tuple[str, ...] | None:
        """Names of the sources it judges; None: all."""

    def build(self) -> DocumentFilter:
        """The filter."""


@dataclass(frozen=True)
class Judgement:
    """What the filters found in one document."""

    document: Document
    """As it goes on: language set, lines removed and personal data masked where the config says so;
    without its text when it opted out."""
    measures: Measures
    """`<kind>.<name>` to value, of every filter that applies to its source."""
    verdict: Verdict
    """Of the first filter that refuses; else `keep`, with stage `filter`."""


@dataclass(frozen=True)
class _Link:
    """A filter, the sources it judges, and what edits their texts first."""

    filter: DocumentFilter
    sources: frozenset[str] | None
    line_removal: C4LineRemoval | None

    def applies_to(self, source: str) -> bool:
        return self.sources is None or source in self.sources

    def overlaps(self, other: "_Link") -> bool:
        same_stage = self.filter.stage == other.filter.stage
        both_named = self.sources is not None and other.sources is not None
        apart = both_named and not (self.sources or set()) & (other.sources or set())
        return same_stage and not apart


class FilterChain:
    """The filters of a config, in its order, between opting out and masking."""

    def __init__(
        self,
        configs: Sequence[FilterSection],
        opt_out: OptOutConfig | None = None,
        pii: PiiConfig | None = None,
    ) -> None:
        links = tuple(_link(config) for config in configs)
        first: tuple[_Link, ...] = () if opt_out is None else (_Link(opt_out.build(), None, None),)
        self._links = (*first, *links)
        self._masker = None if pii is None else pii.build()
        for i, link in enumerate(links):
            if any(map(link.overlaps, links[:i])):
                raise ConfigError(
                    f"filters.{i}: a second {link.filter.stage!r} judges the same source, and one "
                    "measure has one name; merge the two or give them different `sources`"
                )

    @property
    def filters(self) -> tuple[JudgingFilter, ...]:
        """The filters in the order in which they may name a drop, with the sources they judge."""
        return tuple(JudgingFilter(link.filter, link.sources) for link in self._links)

    def judge(self, document: Document) -> Judgement:
        """The document as it goes on, all its measures, and the verdict."""
        links = [link for link in self._links if link.applies_to(document.source)]
        measures: dict[str, float | str] = {}
        for link in links:
            if link.line_removal is not None:
                cleaned = link.line_removal.clean(document)
                document = cleaned.document
                measures[f"{link.filter.stage}.num_lines_removed"] = float(cleaned.num_lines)
                measures[f"{link.filter.stage}.num_characters_removed"] = float(
                    cleaned.num_characters
                )
        # The language comes first wherever it stands: other filters choose their stop words by it.
        links.sort(key=lambda link: not isinstance(link.filter, Language))
        view = TextView(document)
        for link in links:
            found = link.filter.measure(view)
            measures.update({f"{link.filter.stage}.{name}": v for name, v in found.items()})
            if isinstance(link.filter, Language):
                language, score = str(found["language"]), float(found["score"])
                document = replace(document, language=language, language_score=score)
                view = TextView(document)
        verdict = self.decide_from_measures(measures, document.source)
        if verdict.stage == OPT_OUT:
            document = replace(document, text="")
        return Judgement(self._masked(document, measures), measures, verdict)

    def _masked(self, document: Document, measures: dict[str, float | str]) -> Document:
        if self._masker is None or not self._masker.applies_to(document.source):
            return document
        masked = self._masker.mask(document.text)
        measures.update({f"{PII}.{name}": value for name, value in masked.measures.items()})
        return document if masked.text is document.text else replace(document, text=masked.text)

    def decide_from_measures(self, measures: Measures, source: str) -> Verdict:
        """The verdict of these filters on measures taken earlier; a pure function of both.

        Raises:
            DataError: the measures were taken by other filters, and one is missing.
        """
        by_stage: dict[str, dict[str, float | str]] = {}
        for full_name, value in measures.items():
            stage, _, name = full_name.partition(".")
            by_stage.setdefault(stage, {})[name] = value
        for link in self._links:
            if not link.applies_to(source):
                continue
            stage = link.filter.stage
            try:
                verdict = link.filter.decide(by_stage.get(stage, {}))
            except KeyError as error:
                raise DataError(
                    f"a document of source {source!r} has no measure '{stage}.{error.args[0]}'; "
                    "other filters measured it: run the filters again over the texts"
                ) from error
            if not verdict.keep:
                return verdict
        return Verdict(True, "filter")


def _link(config: FilterSection) -> _Link:
    removal = config.line_removal if isinstance(config, C4Config) else None
    return _Link(
        filter=config.build(),
        sources=None if config.sources is None else frozenset(config.sources),
        line_removal=None if removal is None else removal.build(),
    )
