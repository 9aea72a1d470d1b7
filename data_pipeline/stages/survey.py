"""Survey: one unit's documents, kept and dropped, counted by language and host for the report.

DuckDB groups them inside the task, so that what the report merges is as small as the number of
different hosts and reasons.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts import storage
from contracts.errors import DataError
from data_pipeline.documents import MEASURE_PREFIX
from data_pipeline.progress import ProgressFile
from data_pipeline.report.data import (
    GroupReport,
    HostsReport,
    Period,
    ReportConfig,
    TableRow,
    shown_order,
)
from data_pipeline.stages.survey_safety import safety_of
from data_pipeline.stages.task import Outcome, work_path

HOST = "coalesce(nullif(regexp_extract(uri, '^[A-Za-z][A-Za-z0-9+.-]*://([^/:?#]+)', 1), ''), '–')"
GROUPS = """
    CREATE TABLE groups
    (kind VARCHAR, name VARCHAR, decision VARCHAR, documents BIGINT, bytes BIGINT)
"""
MEMORY = "512MB"
"""DuckDB's own limit for the merge; what does not fit goes to disk."""


@dataclass(frozen=True)
class SurveyTask:
    """Count one unit of the store."""

    output_dir: str
    unit_id: str
    source: str
    documents_url: str
    drops_urls: tuple[str, ...]
    report: ReportConfig
    num_bytes: int


def survey_unit(task: SurveyTask, progress: ProgressFile) -> Outcome:
    """Groups by language and host as parquet, and the unit's part of the table of documents."""
    del progress  # a moment
    tables = [_columns(task.documents_url), *map(_columns, task.drops_urls)]
    with duckdb.connect() as database:
        database.execute(GROUPS)
        for table in tables:
            database.register("rows", _named(table))
            for by, name in (("language", "coalesce(language, '–')"), ("host", HOST)):
                database.execute(
                    f"INSERT INTO groups SELECT '{by}', {name} AS name, decision, count(*), "  # noqa: S608 - constants of this file
                    "sum(num_bytes) FROM rows GROUP BY ALL"
                )
        merged = (
            "SELECT kind, name, decision, sum(documents)::BIGINT AS documents, "
            "sum(bytes)::BIGINT AS bytes FROM groups GROUP BY ALL ORDER BY ALL"
        )
        groups = database.sql(merged).to_arrow_table()
    paths = [work_path("survey", task.unit_id, what) for what in ("groups.parquet", "table.json")]
    urls = [storage.join(task.output_dir, path) for path in paths]
    with storage.atomic_write(urls[0]) as stream:
        pq.write_table(groups, stream, compression="zstd")
    rows = _table_rows(task, tables)
    storage.write_bytes(urls[1], json.dumps(rows, ensure_ascii=False).encode())
    safety = safety_of(tables[0], tables[1:])
    return Outcome(tuple(paths), {"dates": list(_dates(tables[0])), "safety": asdict(safety)})


def _columns(url: str) -> pa.Table:
    """A store file with the UTF-8 length of each text in place of the text."""
    with storage.open_read(url) as stream:
        try:
            file = pq.ParquetFile(stream)
            names = [n for n in file.schema_arrow.names if n not in {"text", "text_sample"}]
            table = file.read(columns=names)
            lengths = pa.chunked_array([pa.array([0] * table.num_rows, pa.int64())])
            if "text" in file.schema_arrow.names:
                groups = (
                    file.read_row_group(number, columns=["text"])["text"]
                    for number in range(file.num_row_groups)
                )
                chunks = [c for text in groups for c in pc.binary_length(text).chunks]
                lengths = pa.chunked_array(chunks, pa.int32()).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{url} is not a document store file: {error}; remove it and run the data job again"
            ) from error
    return table.append_column("num_bytes", lengths)


def _named(table: pa.Table) -> pa.Table:
    """The columns that are grouped: uri, language, decision, num_bytes."""
    decisions: pa.Array | pa.ChunkedArray = pa.array(["kept"] * table.num_rows, pa.string())
    if "stage" in table.column_names:
        decisions = pc.binary_join_element_wise(table["stage"], table["reason"], "/")
    return pa.table(
        {
            "uri": table["uri"],
            "language": table["language"],
            "decision": decisions,
            "num_bytes": table["num_bytes"],
        }
    )


def _dates(kept: pa.Table) -> tuple[str, ...]:
    """First and last date of fetching; empty where no document has one."""
    found = [
        value
        for entry in kept["metadata"].to_pylist()
        for name, value in entry or ()
        if name == "fetched_at"
    ]
    return (min(found), max(found)) if found else ()


def _table_rows(task: SurveyTask, tables: Sequence[pa.Table]) -> list[dict[str, Any]]:
    """The documents with the lowest hashes, with all their values."""
    places = [
        (shown_order(doc_id), number, row)
        for number, table in enumerate(tables)
        for row, doc_id in enumerate(table["doc_id"].to_pylist())
    ]
    chosen = sorted(places)[: task.report.table_documents]
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for number, table in enumerate(tables):
        wanted = [row for _, of_table, row in chosen if of_table == number]
        found = table.take(pa.array(wanted, pa.int64())).to_pylist()
        for row, values in zip(wanted, found, strict=True):
            rows[number, row] = vars(_table_row(values))
    return [rows[number, row] for _, number, row in chosen]


def _table_row(row: dict[str, Any]) -> TableRow:
    return TableRow(
        doc_id=row["doc_id"],
        uri=row["uri"] or "",
        source=row["source"] or "",
        language=row["language"],
        decision=f"{row['stage']}/{row['reason']}" if "stage" in row else "kept",
        value=row.get("value"),
        measures={
            name.removeprefix(MEASURE_PREFIX): round(value, 4)
            if isinstance(value, float)
            else value
            for name, value in row.items()
            if name.startswith(MEASURE_PREFIX) and value is not None
        },
    )


@dataclass(frozen=True)
class Survey:
    """The counts of all units together."""

    by_language: tuple[GroupReport, ...]
    hosts: HostsReport
    table: tuple[TableRow, ...]


def merged_survey(output_dir: str, unit_ids: Sequence[str], config: ReportConfig) -> Survey:
    """The units' counts together; the same for any order of units."""
    counted = sorted(unit_ids, key=shown_order)[: config.max_host_units]
    with duckdb.connect(config={"memory_limit": MEMORY}) as database:
        database.execute(GROUPS)
        for unit in unit_ids:
            with storage.open_read(_url(output_dir, unit, "groups.parquet")) as stream:
                database.register("part", pq.read_table(stream))
            kinds = "'language', 'host'" if unit in counted else "'language'"
            database.execute(f"INSERT INTO groups SELECT * FROM part WHERE kind IN ({kinds})")  # noqa: S608 - constants of this file
        languages = _groups(database, "language", None)
        hosts = _groups(database, "host", config.num_hosts)
        (num_hosts,) = database.execute(
            "SELECT count(DISTINCT name) FROM groups WHERE kind = 'host' AND name != '–'"
        ).fetchone() or (0,)
    rows: list[TableRow] = []
    for unit in unit_ids:
        data = storage.read_bytes(_url(output_dir, unit, "table.json"))
        rows += [TableRow(**row) for row in json.loads(data)]
        if len(rows) > 4 * config.table_documents:
            rows = _lowest(rows, config)
    return Survey(
        languages,
        HostsReport(hosts, int(num_hosts), len(counted), len(unit_ids)),
        tuple(_lowest(rows, config)),
    )


def _lowest(rows: list[TableRow], config: ReportConfig) -> list[TableRow]:
    ordered = sorted(rows, key=lambda row: (shown_order(row.doc_id), row.decision))
    return ordered[: config.table_documents]


def _groups(
    database: duckdb.DuckDBPyConnection, by: str, limit: int | None
) -> tuple[GroupReport, ...]:
    """The groups with the most documents, those with equal numbers by name."""
    ranked = database.execute(
        "SELECT name, sum(documents)::BIGINT, "
        "coalesce(sum(documents) FILTER (decision = 'kept'), 0)::BIGINT, sum(bytes)::BIGINT "
        "FROM groups WHERE kind = ? GROUP BY name ORDER BY 2 DESC, 1 LIMIT ?",
        [by, limit if limit is not None else 1 << 40],
    ).fetchall()
    reasons: dict[str, dict[str, int]] = {}
    for name, decision, count in database.execute(
        "SELECT name, decision, sum(documents)::BIGINT FROM groups WHERE kind = ? AND "
        "decision != 'kept' AND list_contains(?, name) GROUP BY ALL ORDER BY 3 DESC, 2",
        [by, [name for name, *_ in ranked]],
    ).fetchall():
        reasons.setdefault(name, {})[decision] = int(count)
    return tuple(
        GroupReport(name, int(num_in), int(kept), int(num_bytes), reasons.get(name, {}))
        for name, num_in, kept, num_bytes in ranked
    )


def _url(output_dir: str, unit: str, what: str) -> str:
    return storage.join(output_dir, work_path("survey", unit, what))


def periods_of(dates: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Period]:
    """When each source was fetched, from its units' first and last dates."""
    periods: dict[str, Period] = {}
    for source, found in dates:
        if found:
            first, last = found
            earlier = periods.get(source, Period(first, last))
            periods[source] = Period(min(earlier.first, first), max(earlier.last, last))
    return periods
