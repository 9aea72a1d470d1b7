"""Why a document was kept or dropped: each measured value beside its limit, and whence the limit.

Read from what the job recorded, by the config it ran with; no page is read again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contracts.config import Config
from contracts.errors import DataError
from data_pipeline.config import DataConfig
from data_pipeline.documents import MEASURE_PREFIX
from data_pipeline.filters import FilterChain
from data_pipeline.filters.protocol import (
    RELATIONS,
    DocumentFilter,
    Rule,
    RuledFilter,
    first_broken,
)
from data_pipeline.inspection import Selection
from data_pipeline.recorded import Recorded, RecordedUnit, read_recorded, rows_where
from data_pipeline.records import Measures

HEAD_CHARACTERS = 1200
"""Of the text that is shown."""
SHOWN_NAMES = 6
"""Of a list that is a limit."""


@dataclass(frozen=True)
class Check:
    """One rule of one filter, asked of one document."""

    filter: str
    measure: str
    value: float | str | None
    """None: not measured."""
    refused_where: str
    """The limit: `< 50`, `not in (de, en)`."""
    result: str
    """`passed`, `refused`, `does not apply` or `not measured`."""
    reason: str
    """What a drop by this rule is called."""
    field: str
    """Field of the filter's config that holds the limit."""
    source: str
    """What the limit means and the paper it is from."""


@dataclass(frozen=True)
class Explanation:
    """Everything recorded of one document."""

    doc_id: str
    source: str
    uri: str
    origin: str
    language: str | None
    language_score: float | None
    verdict: str
    """`kept`, `passed the filters` (deduplication is still to come), or `dropped`."""
    stage: str | None
    """What dropped it."""
    reason: str | None
    value: str | None
    """The value that decided, or of a duplicate the document that was kept."""
    kept_uri: str | None
    """Of a duplicate: address of the document that was kept, where this job knows it."""
    checks: tuple[Check, ...]
    other_values: Mapping[str, float | str]
    """Measured values that no limit looks at."""
    text_head: str


def explanations(config: DataConfig, selection: Selection) -> list[Explanation]:
    """What was recorded of the documents with an id or address.

    Raises:
        DataError: no job has run, or it knows no such document.
    """
    recorded = read_recorded(config)
    found = [
        _explained(recorded, unit, row)
        for unit in recorded.units
        for url in (unit.passed_url, unit.refused_url)
        for row in rows_where(url, selection.by, selection.value)
    ]
    if not found:
        unfinished = "" if recorded.is_finished else " so far (the job has not read all units)"
        raise DataError(
            f"{selection.by}={selection.value}: no such document among the kept and the dropped "
            f"of {recorded.where}{unfinished}; doc_ids and uris stand in its documents/*.parquet"
        )
    return found


def _explained(recorded: Recorded, unit: RecordedUnit, row: Mapping[str, Any]) -> Explanation:
    drop = row if "stage" in row else _later_drop(unit, row["doc_id"])
    measures = {
        name.removeprefix(MEASURE_PREFIX): value
        for name, value in {**(drop or {}), **row}.items()
        if name.startswith(MEASURE_PREFIX) and value is not None
    }
    checks = tuple(checks_of(recorded.config, row["source"] or unit.source, measures))
    looked_at = {f"{check.filter}.{check.measure}" for check in checks}
    verdict = "kept" if recorded.is_finished else "passed the filters"
    return Explanation(
        doc_id=row["doc_id"],
        source=row["source"] or unit.source,
        uri=row["uri"] or "",
        origin=f"{row['origin_path']} at {row['origin_offset']}" if row["origin_path"] else "",
        language=row["language"],
        language_score=row["language_score"],
        verdict="dropped" if drop else verdict,
        stage=drop["stage"] if drop else None,
        reason=drop["reason"] if drop else None,
        value=drop["value"] if drop else None,
        kept_uri=_uri_of(recorded, drop["value"]) if drop and drop is not row else None,
        checks=checks,
        other_values={k: v for k, v in sorted(measures.items()) if k not in looked_at},
        text_head=(row.get("text") or row.get("text_sample") or "")[:HEAD_CHARACTERS],
    )


def _later_drop(unit: RecordedUnit, doc_id: str) -> dict[str, Any] | None:
    drops = (row for url in unit.later_urls for row in rows_where(url, "doc_id", doc_id))
    return next(drops, None)


def _uri_of(recorded: Recorded, doc_id: str | None) -> str | None:
    if doc_id is None:
        return None
    rows = (row for unit in recorded.units for row in rows_where(unit.passed_url, "doc_id", doc_id))
    found = next(rows, None)
    return None if found is None else str(found["uri"])


def checks_of(
    config: DataConfig, source: str, measures: Mapping[str, float | str]
) -> Iterator[Check]:
    """Each rule that a config asks of a source's documents, and what it says of some measures."""
    sections: Sequence[Config] = (config.opt_out, *config.filters)
    chain = FilterChain(config.filters, config.opt_out)
    for section, judging in zip(sections, chain.filters, strict=True):
        if judging.sources is not None and source not in judging.sources:
            continue
        prefix = f"{judging.filter.stage}."
        own = {k.removeprefix(prefix): v for k, v in measures.items() if k.startswith(prefix)}
        if isinstance(judging.filter, RuledFilter):
            for rule in judging.filter.rules:
                yield _check(section, judging.filter.stage, rule, own)
        else:
            yield _check_as_one(section, judging.filter, own)


def _check_as_one(section: Config, judge: DocumentFilter, own: Measures) -> Check:
    """The verdict of a filter that decides by more than limits."""
    verdict = judge.decide(own) if own else None
    result = "not measured" if verdict is None else "passed" if verdict.keep else "refused"
    return Check(
        filter=judge.stage,
        measure="(its lists)",
        value=None if verdict is None else verdict.value,
        refused_where="listed",
        result=result,
        reason="" if verdict is None else verdict.reason or "",
        field="",
        source=" ".join((type(section).__doc__ or "").split()),
    )


def _check(section: Config, stage: str, rule: Rule, own: Measures) -> Check:
    value = own.get(rule.measure)
    if value is None:
        result = "not measured"
    elif rule.only_where and not own[rule.only_where]:
        result = "does not apply"
    else:
        result = "passed" if first_broken(stage, [rule], own).keep else "refused"
    described = type(section).model_fields.get(rule.field)
    text = described.description if described is not None else None
    return Check(
        filter=stage,
        measure=rule.measure,
        value=value,
        refused_where=f"{RELATIONS.get(rule.refuses, 'in')} {_limit(rule.threshold)}",
        result=result,
        reason=rule.reason,
        field=rule.field,
        source=" ".join((text or type(section).__doc__ or "").split()),
    )


def _limit(threshold: float | frozenset[str]) -> str:
    if not isinstance(threshold, frozenset):
        return f"{threshold:g}"
    names = sorted(threshold)
    more = f", and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"({', '.join(names[:SHOWN_NAMES])}{more})"


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Plain values."""
    return asdict(explanation)


def explanation_lines(found: Explanation) -> Iterator[str]:
    """For people: the verdict, the values beside their limits, how the text begins."""
    yield f"doc_id    {found.doc_id}"
    yield f"source    {found.source}"
    yield f"uri       {found.uri}"
    yield f"origin    {found.origin}"
    if found.language is not None:
        yield f"language  {found.language} ({found.language_score or 0.0:.2f})"
    yield f"verdict   {_verdict_text(found)}"
    yield ""
    rows = [("filter", "measure", "value", "refused where", "result", "limit of")]
    rows += [
        (
            c.filter,
            c.measure,
            _shown(c.value),
            c.refused_where,
            c.result,
            f"{c.field}: {c.source}".lstrip(": "),
        )
        for c in found.checks
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[:5], widths, strict=True))
        yield f"{cells}  {row[5]}"
    for name, value in found.other_values.items():
        yield f"{name} = {_shown(value)}, no limit"
    yield ""
    yield found.text_head


def _verdict_text(found: Explanation) -> str:
    if found.stage is None:
        return found.verdict
    value = "" if found.value is None else f" ({found.value})"
    kept = "" if found.kept_uri is None else f", kept: {found.kept_uri}"
    return f"{found.verdict} by {found.stage}: {found.reason}{value}{kept}"


def _shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else value
