"""Counts of one unit's opt-out signals, masked personal data and evaluation sets."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from data_pipeline.documents import MEASURE_PREFIX
from data_pipeline.report.data import SafetyReport

_OPT_OUT = f"{MEASURE_PREFIX}opt_out."
_PII = f"{MEASURE_PREFIX}pii.num_"
_EVAL_SET = f"{MEASURE_PREFIX}decontamination.eval_set"


def safety_of(kept: pa.Table, dropped: Sequence[pa.Table]) -> SafetyReport:
    """What the filters measured: of masking in the kept documents, of the rest in all."""
    signals: Counter[str] = Counter()
    eval_sets: Counter[str] = Counter()
    for table in (kept, *dropped):
        signals.update(_sums(table, _OPT_OUT))
        if _EVAL_SET in table.column_names:
            eval_sets.update(filter(None, table[_EVAL_SET].to_pylist()))
    masks = [pc.fill_null(kept[name], 0) for name in kept.column_names if name.startswith(_PII)]
    is_masked = [any(row) for row in zip(*(mask.to_pylist() for mask in masks), strict=True)]
    return SafetyReport(dict(signals), _sums(kept, _PII), sum(is_masked), dict(eval_sets))


def _sums(table: pa.Table, prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): round(pc.sum(table[name]).as_py() or 0)
        for name in table.column_names
        if name.startswith(prefix)
    }
