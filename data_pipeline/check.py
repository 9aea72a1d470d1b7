"""What a config means, before anything is done: units, bytes, row and shard sizes."""

from typing import Any

from contracts.config import fingerprint
from data_pipeline.config import DataConfig
from data_pipeline.document_index import read_index
from data_pipeline.filters import FilterChain
from data_pipeline.ledger import Ledger
from data_pipeline.plan import plan_units
from data_pipeline.sources import PythonDocsConfig, SourceConfig

NOT_RENDERED = {"state": "not rendered yet"}
"""Of a source whose files the job will write itself; `check` writes none."""


def derived_facts(config: DataConfig) -> dict[str, Any]:
    """The facts as plain values; reads lists of files, writes nothing.

    Raises:
        ConfigError: the config does not fit together.
        DataError: a source finds nothing.
    """
    FilterChain(config.filters)
    shards = config.shards
    facts: dict[str, Any] = {
        "output_dir": config.output_dir,
        "config_sha256": fingerprint(config),
        "data_sha256": config.data_sha256,
        "runner": config.runner.kind,
        "extractor": config.extractor.kind,
        "filters": [section.kind for section in config.filters],
        "row_tokens": shards.seq_len + 1,
        "rows_per_chunk": shards.rows_per_chunk,
        "rows_per_shard": shards.rows_per_shard,
        "shard_bytes_at_most": shards.rows_per_shard * (shards.seq_len + 1) * 4,
    }
    if config.start_from == "documents":
        index = read_index(config.documents_dir or config.output_dir)
        facts["sources"] = {
            name: {
                "units": len(index.of_source(name)),
                "documents": sum(file.num_kept for file in index.of_source(name)),
                "bytes": sum(file.text_bytes for file in index.of_source(name)),
            }
            for name in index.sources
        }
        return facts
    ledger = Ledger(config.output_dir)
    ready = [source for source in config.sources if not _is_unrendered(source)]
    counts: dict[str, dict[str, int]] = {}
    for item in plan_units(config, ready):
        entry = counts.setdefault(item.unit.source, {"units": 0, "bytes": 0, "done": 0})
        entry["units"] += 1
        entry["bytes"] += item.unit.size_bytes
        entry["done"] += ledger.find("map", item.map_id) is not None
    names = [source.source_name for source in config.sources]
    return facts | {"sources": {name: counts.get(name, NOT_RENDERED) for name in names}}


def _is_unrendered(source: SourceConfig) -> bool:
    """Whether listing a source's units would first have to write its files."""
    return isinstance(source, PythonDocsConfig) and not source.build().is_rendered


def facts_text(facts: dict[str, Any]) -> str:
    """The facts as lines."""
    lines = []
    for name, value in facts.items():
        if name != "sources":
            shown = ", ".join(value) if isinstance(value, list) else value
            lines.append(f"{name:<20} {shown}")
    for name, entry in facts["sources"].items():
        parts = (f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in entry.items())
        lines.append(f"source {name:<13} " + ", ".join(parts))
    return "\n".join(lines)
