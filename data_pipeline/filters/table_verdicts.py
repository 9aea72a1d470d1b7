"""The verdicts of filters on a whole table of measures, column by column.

The same as `FilterChain.decide_from_measures` of each row. A filter that does not decide by rules
alone is asked row by row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import DataError
from data_pipeline.filters.protocol import DocumentFilter, Rule, RuledFilter

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int32]
KEPT = -1


@dataclass(frozen=True)
class JudgingFilter:
    """A filter and the sources it judges."""

    filter: DocumentFilter
    sources: frozenset[str] | None
    """None: all."""


@dataclass(frozen=True)
class TableVerdicts:
    """Which row is refused by what."""

    reasons: tuple[tuple[str, str], ...]
    """(stage, reason) pairs."""
    codes: IntArray
    """(N,) place in `reasons`; KEPT where no filter refuses."""


class _Columns:
    """Measures as arrays; a missing column is an error that names the measure."""

    def __init__(self, columns: Mapping[str, pa.ChunkedArray], source: str) -> None:
        self._columns = columns
        self._source = source

    def column(self, name: str, rows: BoolArray) -> pa.Array:
        found = self._columns.get(name)
        chosen = None if found is None else found.filter(pa.array(rows)).combine_chunks()
        if chosen is None or chosen.null_count:
            raise DataError(
                f"a document of source {self._source!r} has no measure {name!r}; other filters "
                "measured it: run the filters again over the texts"
            )
        return chosen

    def rows(self, stage: str, rows: BoolArray) -> list[dict[str, float | str]]:
        """Each chosen row's measures of one filter, by their names in it."""
        prefix = f"{stage}."
        names = [name for name in self._columns if name.startswith(prefix)]
        columns = [self.column(name, rows).to_pylist() for name in names]
        own = [name.removeprefix(prefix) for name in names]
        return [dict(zip(own, values, strict=True)) for values in zip(*columns, strict=True)]

    def refused(self, stage: str, rule: Rule, rows: BoolArray) -> BoolArray:
        """(R,) of the chosen rows, whether a rule refuses each."""
        values = self.column(f"{stage}.{rule.measure}", rows)
        found: BoolArray = _compared(values, rule)
        if rule.only_where:
            found &= _numbers(self.column(f"{stage}.{rule.only_where}", rows)) != 0
        return found


def _numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    numbers: npt.NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    return numbers


def _compared(values: pa.Array, rule: Rule) -> BoolArray:
    if isinstance(rule.threshold, frozenset):
        encoded = values.dictionary_encode()
        words = [rule.refuses(word, rule.threshold) for word in encoded.dictionary.to_pylist()]
        places = encoded.indices.to_numpy(zero_copy_only=False)
        refused: BoolArray = np.array(words, dtype=np.bool_)[places]
        return refused
    compared: BoolArray = np.asarray(rule.refuses(_numbers(values), rule.threshold))
    return compared


def table_verdicts(
    filters: Sequence[JudgingFilter], table: pa.Table, measures: Mapping[str, pa.ChunkedArray]
) -> TableVerdicts:
    """The first refusal of each row by the filters in their order.

    Args:
        filters: as the chain has them.
        table: a column `source`.
        measures: `<kind>.<name>` to column, as long as the table.

    Raises:
        DataError: a measure that a filter needs was not taken of one of its documents.
    """
    verdicts = _Open(table.num_rows)
    source_names = table.column("source")
    for judging in filters:
        for source in pc.unique(source_names).to_pylist():
            if judging.sources is None or source in judging.sources:
                of_source = _equal(source_names, source)
                columns = _Columns(measures, source)
                _judge(judging.filter, columns, of_source, verdicts)
    return TableVerdicts(tuple(verdicts.reasons), verdicts.codes)


class _Open:
    """Verdicts as far as they are known."""

    def __init__(self, num_rows: int) -> None:
        self.reasons: dict[tuple[str, str], int] = {}
        self.codes: IntArray = np.full(num_rows, KEPT, dtype=np.int32)

    def refuse(self, places: npt.NDArray[np.int64], stage: str, reason: str) -> None:
        self.codes[places] = self.reasons.setdefault((stage, reason), len(self.reasons))


def _equal(column: pa.ChunkedArray, value: str) -> BoolArray:
    equal: BoolArray = pc.equal(column, value).to_numpy()
    return equal


def _judge(judge: DocumentFilter, columns: _Columns, rows: BoolArray, verdicts: _Open) -> None:
    if isinstance(judge, RuledFilter):
        _judge_by_rules(judge.rules, judge.stage, columns, rows, verdicts)
    else:
        _judge_by_row(judge, columns, rows, verdicts)


def _judge_by_rules(
    rules: Sequence[Rule], stage: str, columns: _Columns, rows: BoolArray, verdicts: _Open
) -> None:
    for rule in rules:
        left = rows & (verdicts.codes == KEPT)
        refused = columns.refused(stage, rule, left)
        places = np.flatnonzero(left)[refused]
        if not rule.reason_measure:
            verdicts.refuse(places, stage, rule.reason)
            continue
        reasons = columns.column(f"{stage}.{rule.reason_measure}", left).to_pylist()
        for place, reason in zip(places, np.array(reasons, dtype=object)[refused], strict=True):
            verdicts.refuse(np.array([place]), stage, str(reason))


def _judge_by_row(
    judge: DocumentFilter, columns: _Columns, rows: BoolArray, verdicts: _Open
) -> None:
    left = rows & (verdicts.codes == KEPT)
    for place, own in zip(np.flatnonzero(left), columns.rows(judge.stage, left), strict=True):
        verdict = judge.decide(own)
        if not verdict.keep:
            verdicts.refuse(np.array([place]), judge.stage, verdict.reason or "")
