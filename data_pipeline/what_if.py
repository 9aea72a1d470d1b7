"""What other thresholds would have kept: counted anew from recorded values, without the texts.

Documents that were dropped before the filters stay dropped. Those that the filters newly keep count
as kept: nobody has looked for duplicates of them. Those found to be duplicates stay duplicates,
also where the document they repeat is now dropped (how many is said).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.config import Config, as_tree
from contracts.errors import ConfigError
from data_pipeline.config import OF_THE_DOCUMENTS, DataConfig
from data_pipeline.documents import MEASURE_PREFIX
from data_pipeline.filters import FilterChain
from data_pipeline.filters.opt_out import STAGE as OPT_OUT
from data_pipeline.filters.protocol import RuledFilter
from data_pipeline.filters.table_verdicts import KEPT, JudgingFilter, table_verdicts
from data_pipeline.recorded import Recorded, RecordedUnit, read_columns, read_recorded

CHANGEABLE = ("filters", "opt_out", "output_dir", "documents_dir", "from", "start_from")
"""Sections whose overrides have a meaning here."""
_FIXED = tuple(name for name in OF_THE_DOCUMENTS if name not in CHANGEABLE)
"""Sections that decide what is read, measured and compared."""
_KEPT = "kept"


@dataclass(frozen=True)
class WhatIf:
    """Documents by what became of them, as recorded and by another config."""

    changes: tuple[str, ...]
    """`filters.length.min_words: 50 -> 40`."""
    is_finished: bool
    """False: the job still runs, and only its finished units are counted."""
    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """{(source, language, recorded outcome, new outcome): documents}; an outcome is `kept` or
    `<stage>: <reason>`."""
    num_orphans: int = 0
    """Duplicates that stay dropped though the document they repeat is now dropped too."""

    def totals(self, place: int) -> list[tuple[str, int, int]]:
        """(name, recorded, new) kept documents by 0 source or 1 language."""
        before: Counter[str] = Counter()
        after: Counter[str] = Counter()
        for key, count in self.counts.items():
            before[key[place]] += count * (key[2] == _KEPT)
            after[key[place]] += count * (key[3] == _KEPT)
        return [(name, before[name], after[name]) for name in sorted(before | after)]

    def outcomes(self) -> list[tuple[str, int, int]]:
        """(outcome, recorded, new) documents; `kept` first."""
        before: Counter[str] = Counter()
        after: Counter[str] = Counter()
        for (_, _, was, becomes), count in self.counts.items():
            before[was] += count
            after[becomes] += count
        names = sorted(before | after, key=lambda name: (name != _KEPT, name))
        return [(name, before[name], after[name]) for name in names]

    @property
    def num_newly_kept(self) -> int:
        """Documents that another config keeps, not yet compared with the others."""
        return sum(n for key, n in self.counts.items() if key[2] != _KEPT and key[3] == _KEPT)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("recorded", "what_if")
        return {
            "changes": list(self.changes),
            "is_finished": self.is_finished,
            "num_documents": self.counts.total(),
            "num_newly_kept": self.num_newly_kept,
            "num_orphaned_duplicates": self.num_orphans,
            "outcomes": {k: dict(zip(names, v, strict=True)) for k, *v in self.outcomes()},
            "kept_by_source": {k: dict(zip(names, v, strict=True)) for k, *v in self.totals(0)},
            "kept_by_language": {k: dict(zip(names, v, strict=True)) for k, *v in self.totals(1)},
        }


def what_if(config: DataConfig, overrides: Sequence[str] = ()) -> WhatIf:
    """Count what a config would have kept of the documents that a job has measured.

    Args:
        config: with other thresholds than the job had.
        overrides: those of the command line, to refuse what changes no count.

    Raises:
        ConfigError: it changes something that was not measured; names the field.
        DataError: no job has run.
    """
    for override in overrides:
        section = override.partition("=")[0].partition(".")[0]
        if section not in CHANGEABLE:
            why = (
                "cannot be told from what was measured; run the job with it"
                if section in _FIXED
                else "changes no count of documents; give fields of the filters"
            )
            raise ConfigError(f"what-if {override}: {why}")
    recorded = read_recorded(config)
    chain = FilterChain(config.filters, config.opt_out)
    changes = tuple(_changes(recorded, config))
    found = WhatIf(changes, recorded.is_finished)
    judged = {section.kind for section in recorded.config.filters} | {OPT_OUT}
    unit_results = [_judged(unit, chain.filters, judged) for unit in recorded.units]
    for counts, _, _ in unit_results:
        found.counts.update(counts)
    dropped = pa.concat_arrays([ids for _, ids, _ in unit_results])
    repeated = pa.concat_arrays([ids for _, _, ids in unit_results])
    orphans = pc.sum(pc.is_in(repeated, value_set=dropped)).as_py() or 0
    return WhatIf(changes, recorded.is_finished, found.counts, orphans)


_UnitResult = tuple[Counter[tuple[str, str, str, str]], pa.Array, pa.Array]


def _judged(unit: RecordedUnit, filters: Sequence[JudgingFilter], judged: set[str]) -> _UnitResult:
    """Counts, doc_ids that are newly dropped, and doc_ids that the duplicates left repeat."""
    passed = read_columns(unit.passed_url, ["doc_id", "source", "language"])
    was, repeats = _later_outcomes(unit, passed.column("doc_id"))
    becomes = _outcomes(passed, filters, was)
    newly_dropped = pa.array((was == _KEPT) & (becomes != _KEPT), pa.bool_())
    dropped_ids = passed.column("doc_id").filter(newly_dropped).combine_chunks()
    repeated_ids = pa.array(repeats[(was == becomes) & (was != _KEPT)].tolist(), pa.string())
    counts = _counted(unit.source, passed, was, becomes)
    counts.update(_judged_again(unit, filters, judged))
    return counts, dropped_ids, repeated_ids


def _judged_again(
    unit: RecordedUnit, filters: Sequence[JudgingFilter], judged: set[str]
) -> Counter[tuple[str, str, str, str]]:
    """Counts of the documents that the filters, or what comes before them, refused."""
    refused = read_columns(unit.refused_url, ["source", "language", "stage", "reason"])
    stages = np.array(refused.column("stage").to_pylist(), dtype=object)
    was = stages + ": " + np.array(refused.column("reason").to_pylist(), dtype=object)
    becomes = was.copy()
    rows = np.isin(stages.astype(str), sorted(judged)) if len(stages) else np.zeros(0, dtype=bool)
    again = refused.filter(pa.array(rows, pa.bool_()))
    becomes[rows] = _outcomes(again, filters, np.full(again.num_rows, _KEPT, dtype=object))
    return _counted(unit.source, refused, was, becomes)


def _later_outcomes(unit: RecordedUnit, doc_ids: pa.ChunkedArray) -> tuple[Any, Any]:
    """Of each document that passed: its outcome behind the filters, and what it repeats."""
    was = np.full(len(doc_ids), _KEPT, dtype=object)
    repeats = np.full(len(doc_ids), None, dtype=object)
    names = ["doc_id", "stage", "reason", "value"]
    drops = [row for url in unit.later_urls for row in read_columns(url, names).to_pylist()]
    dropped_ids = pa.array([row["doc_id"] for row in drops], pa.string())
    held = pc.is_in(doc_ids, value_set=dropped_ids).to_numpy()
    places: dict[str, list[int]] = {}
    for place in np.flatnonzero(held).tolist():
        places.setdefault(doc_ids[place].as_py(), []).append(place)
    for row in drops:
        # Of records with one id the first is the one that was kept.
        place = places[row["doc_id"]].pop()
        was[place] = f"{row['stage']}: {row['reason']}"
        repeats[place] = row["value"]
    return was, repeats


def _outcomes(table: pa.Table, filters: Sequence[JudgingFilter], otherwise: Any) -> Any:
    """(N,) `<stage>: <reason>` of the filters' first refusal, else what `otherwise` holds."""
    measures = {
        name.removeprefix(MEASURE_PREFIX): table.column(name)
        for name in table.column_names
        if name.startswith(MEASURE_PREFIX)
    }
    verdicts = table_verdicts(filters, table, measures)
    names = np.array([f"{stage}: {reason}" for stage, reason in verdicts.reasons], dtype=object)
    found = np.array(otherwise, dtype=object)
    refused = verdicts.codes != KEPT
    found[refused] = names[verdicts.codes[refused]]
    return found


def _counted(
    source: str, table: pa.Table, was: Any, becomes: Any
) -> Counter[tuple[str, str, str, str]]:
    columns = {
        "source": pc.fill_null(table.column("source"), source),
        "language": pc.fill_null(table.column("language"), "-"),
        "was": pa.array(was.tolist(), pa.string()),
        "becomes": pa.array(becomes.tolist(), pa.string()),
    }
    groups = pa.table(columns).group_by(list(columns)).aggregate([([], "count_all")])
    rows = groups.to_pylist()
    return Counter({tuple(row[name] for name in columns): row["count_all"] for row in rows})


def _changes(recorded: Recorded, config: DataConfig) -> Iterator[str]:
    """The differences that only move limits; refuses all others."""
    old, new = as_tree(recorded.config), as_tree(config)
    for name in _FIXED:
        for path, _, _ in _differing(old[name], new[name], name):
            _refuse(path, recorded.where)
    yield from _field_changes("opt_out", recorded.config.opt_out, config.opt_out, recorded.where)
    ran = _by_name(recorded.config)
    wanted = _by_name(config)
    for name, section in wanted.items():
        if name not in ran:
            raise ConfigError(
                f"{name}: this filter was not run, so nothing was measured for it; run the job "
                f"with it (the recorded config is {recorded.where}/config.yaml)"
            )
        yield from _field_changes(name, ran[name], section, recorded.where)
    yield from (f"{name}: left out" for name in ran if name not in wanted)
    shared = [name for name in ran if name in wanted]
    if shared != list(wanted):
        yield "filters: another order, so that others name the drops"


def _by_name(config: DataConfig) -> dict[str, Config]:
    """Filters by `filters.<kind>`; a second one of a kind gets its number."""
    seen: Counter[str] = Counter()
    found: dict[str, Config] = {}
    for section in config.filters:
        number = seen[section.kind]
        seen[section.kind] += 1
        found[f"filters.{section.kind}" + (f"[{number}]" if number else "")] = section
    return found


def _field_changes(name: str, old: Any, new: Any, where: str) -> Iterator[str]:
    judge = new.build()
    thresholds = judge.thresholds if isinstance(judge, RuledFilter) else frozenset()
    for path, was, becomes in _differing(as_tree(old), as_tree(new), name):
        own = path.removeprefix(f"{name}.")
        narrower = own == "sources" and _is_narrower(was, becomes)
        if re.sub(r"\b\d+\b", "*", own) not in thresholds and not narrower:
            _refuse(path, where)
        yield f"{path}: {was} -> {becomes}"


def _is_narrower(was: Any, becomes: Any) -> bool:
    return was is None or (becomes is not None and set(becomes) <= set(was))


def _refuse(path: str, where: str) -> None:
    raise ConfigError(
        f"{path}: what it changes was not measured under this value; run the job again with it, or "
        f"leave it as {where}/config.yaml has it"
    )


def _differing(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Dotted paths at which two trees differ, with both values; a list of words is one value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            yield from _differing(old.get(name), new.get(name), f"{path}.{name}")
    elif _are_sections(old) and _are_sections(new) and len(old) == len(new):
        for number, (was, becomes) in enumerate(zip(old, new, strict=True)):
            yield from _differing(was, becomes, f"{path}.{number}")
    elif old != new:
        yield path, old, new


def _are_sections(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def what_if_lines(found: WhatIf) -> Iterator[str]:
    """For people: what changed, and the counts beside the recorded ones."""
    for change in found.changes or ("nothing: the recorded limits",):
        yield f"changed  {change}"
    if not found.is_finished:
        yield "the job is not finished: only its finished units are counted"
    for title, rows in (
        ("documents", found.outcomes()),
        ("kept by source", found.totals(0)),
        ("kept by language", found.totals(1)),
    ):
        yield ""
        yield f"{title:<44} {'recorded':>12} {'what-if':>12} {'difference':>12}"
        for name, before, after in rows:
            yield f"  {name:<42} {before:>12,} {after:>12,} {after - before:>+12,}"
    yield ""
    yield (
        f"{found.num_newly_kept:,} newly kept documents were not compared for duplicates; they "
        "count as kept"
    )
    yield (
        f"{found.num_orphans:,} duplicates stay dropped whose kept document is dropped now; a run "
        "would keep one of each group"
    )
