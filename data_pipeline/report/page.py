"""The report as one self-contained HTML page: all foreign text escaped, no request to anywhere.

Its one script, the search in the table of documents, is allowed by its hash alone.
"""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from data_pipeline.report.charts import length_histogram
from data_pipeline.report.data import DropSample, ReportData, SourceReport, StageTime
from data_pipeline.report.documents_table import documents_table, script_hash
from data_pipeline.report.groups import by_host, by_language, by_source
from data_pipeline.report.html_table import html_table
from data_pipeline.report.numbers import (
    grouped,
    in_bytes,
    in_time,
    other_records,
    percent,
    short,
)
from data_pipeline.report.pairs import near_duplicates
from data_pipeline.report.safety import safety
from data_pipeline.report.style import STYLE
from data_pipeline.report.timeline import timeline


def html_page(data: ReportData) -> str:
    """The whole page."""
    sections = (
        _head(data),
        _unread(data),
        _funnel(data),
        by_source(data),
        by_language(data),
        by_host(data),
        safety(data),
        documents_table(data),
        near_duplicates(data.near_duplicates),
        _samples(data),
        _sources(data),
        _lengths(data),
        _splits(data),
        timeline(data.timeline),
        _times(data),
        _origin(data),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'unsafe-inline'; script-src {script_hash()}; connect-src 'self'\">"
        f"<title>{escape(data.title)} – data report</title><style>{STYLE}</style></head>\n"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _head(data: ReportData) -> str:
    tokens = sum(split.num_tokens for split in data.splits)
    text_bytes = sum(source.num_bytes for source in data.sources)
    tiles = (
        (grouped(data.num_in), "documents read"),
        (grouped(data.num_kept), f"documents kept ({percent(data.num_kept, data.num_in)})"),
        (in_bytes(text_bytes), "of text kept"),
        (short(tokens), "tokens"),
        (f"{text_bytes / tokens:.2f}" if tokens else "–", "bytes of text per token"),
        (in_time(sum(time.seconds for time in data.times)), "of work, all stages"),
    )
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in tiles
    )
    return (
        f'<h1>{escape(data.title)}</h1><p class="lead quiet">Every document read was either kept '
        f"or dropped for a stated reason{_others(data)}.</p>"
        f'<div class="tiles">{cells}</div>'
    )


def _others(data: ReportData) -> str:
    return f". Beside them, {escape(other_records(data))}" if data.other_records else ""


def _funnel(data: ReportData) -> str:
    left = data.num_in
    rows = [
        '<li class="head"><span>Stage</span><span></span><span class="n">dropped</span>'
        '<span class="n">left</span></li>',
        _funnel_row("documents read", left, 0, data.num_in, ""),
    ]
    for stage, reasons in data.dropped.items():
        dropped = sum(reasons.values())
        left -= dropped
        named = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        text = " · ".join(
            f"{escape(reason)} <b>{grouped(count)}</b>" for reason, count in named if count
        )
        rows.append(_funnel_row(stage, left, dropped, data.num_in, text))
    return (
        "<h2>What was kept, what was dropped, and why</h2>"
        '<p class="legend"><i style="background:var(--kept)"></i>left after the stage'
        '<i style="background:var(--dropped)"></i>dropped by it</p>'
        f'<div class="card"><ul class="funnel">{"".join(rows)}</ul></div>'
    )


def _funnel_row(stage: str, left: int, dropped: int, num_in: int, reasons: str) -> str:
    whole = num_in or 1
    below = f'<span class="reasons">{reasons}</span>' if reasons else ""
    return (
        f'<li><span class="stage">{escape(stage)}</span><span class="track">'
        f'<span class="bar kept" style="width:{100 * left / whole:.2f}%"></span>'
        f'<span class="bar dropped" style="width:{100 * dropped / whole:.2f}%"></span></span>'
        f'<span class="n">{grouped(dropped) if dropped else "–"}</span>'
        f'<span class="n">{grouped(left)}</span>{below}</li>'
    )


def _sources(data: ReportData) -> str:
    splits = [split.name for split in data.splits]
    head = ["Source", "read", "kept", "share", "text", *(f"{name} tokens" for name in splits)]
    rows = [_source_row(source, splits) for source in data.sources]
    if len(rows) > 1:
        rows.append(
            [
                "all",
                grouped(data.num_in),
                grouped(data.num_kept),
                percent(data.num_kept, data.num_in),
                in_bytes(sum(source.num_bytes for source in data.sources)),
                *(
                    grouped(sum(source.num_tokens.get(name, 0) for source in data.sources))
                    for name in splits
                ),
            ]
        )
    return "<h2>Sources</h2>" + html_table(head, rows, has_total=len(rows) > 1)


def _source_row(source: SourceReport, splits: Sequence[str]) -> list[str]:
    return [
        source.name,
        grouped(source.num_in),
        grouped(source.num_kept),
        percent(source.num_kept, source.num_in),
        in_bytes(source.num_bytes),
        *(grouped(source.num_tokens.get(name, 0)) for name in splits),
    ]


def _lengths(data: ReportData) -> str:
    charts = "".join(
        f'<div class="card"><h3>{escape(source.name)}</h3>{length_histogram(source.lengths)}</div>'
        for source in data.sources
    )
    return (
        '<h2>Length of kept documents</h2><p class="quiet">Documents by bytes of text; each bar is '
        f'twice as long as the one before it.</p><div class="grid">{charts}</div>'
    )


def _splits(data: ReportData) -> str:
    head = ["Split", "shards", "rows", "tokens", "targets", "text", "on disk"]
    rows = [
        [
            split.name,
            grouped(split.num_shards),
            grouped(split.num_samples),
            grouped(split.num_tokens),
            grouped(split.num_targets),
            in_bytes(split.num_bytes),
            in_bytes(split.size_bytes),
        ]
        for split in data.splits
    ]
    spec = data.tokenizer
    return (
        f'<h2>Shards</h2><p class="quiet">Rows of {grouped(data.seq_len)} inputs; tokenizer of '
        f"{grouped(spec.vocab_size)} pieces, sha256 {escape(spec.sha256[:12])}…, tokens as "
        f"{escape(spec.token_dtype)}.</p>{html_table(head, rows)}"
    )


def _samples(data: ReportData) -> str:
    if not data.drop_samples:
        return ""
    order = {stage: place for place, stage in enumerate(data.dropped)}
    ranked = sorted(
        data.drop_samples, key=lambda item: (order.get(item.stage, len(order)), item.reason)
    )
    groups = []
    for (stage, reason), group in groupby(ranked, key=lambda item: (item.stage, item.reason)):
        samples = list(group)
        count = data.dropped.get(stage, {}).get(reason, len(samples))
        groups.append(
            f"<details><summary>{escape(stage)} · <b>{escape(reason)}</b>"
            f'<span class="note">{len(samples)} of {grouped(count)}</span></summary>'
            f"{''.join(_sample(sample) for sample in samples)}</details>"
        )
    return (
        '<h2>Dropped documents, by reason</h2><p class="quiet">A sample that depends on nothing '
        f'but the documents.</p><div class="card">{"".join(groups)}</div>'
    )


def _sample(sample: DropSample) -> str:
    value = f" · value <b>{escape(_value(sample.value))}</b>" if sample.value is not None else ""
    text = escape(sample.text) if sample.text else "<i>no text</i>"
    return (
        f'<article class="sample"><header><b>{escape(sample.uri or sample.doc_id)}</b>'
        f"<br>{escape(sample.source)} · {escape(sample.doc_id)}{value}</header>"
        f"<pre>{text}</pre></article>"
    )


def _value(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _times(data: ReportData) -> str:
    if not data.times:
        return ""
    head = ["Stage", "time", "items", "items/s", "read", "read/s", "worker memory", "tried again"]
    rows = [
        [
            time.stage,
            in_time(time.seconds),
            f"{grouped(time.num_items)} {time.item}",
            short(time.num_items / time.seconds) if time.seconds > 0 else "–",
            in_bytes(time.num_bytes),
            in_bytes(time.num_bytes / time.seconds) if time.seconds > 0 else "–",
            in_bytes(time.peak_rss_bytes) if time.peak_rss_bytes else "–",
            _tried_again(time),
        ]
        for time in data.times
    ]
    return f"<h2>Throughput</h2>{html_table(head, rows)}"


def _tried_again(time: StageTime) -> str:
    counts = (
        (time.num_retries, "retries"),
        (time.num_copies, "second copies"),
        (time.num_quarantined, "given up"),
    )
    return ", ".join(f"{grouped(count)} {what}" for count, what in counts if count) or "–"


def _unread(data: ReportData) -> str:
    """Files that could not be read to their end."""
    if not data.unread_files:
        return ""
    rows = [
        [file.source, file.url, file.kind.replace("_", " "), grouped(file.attempts), file.error]
        for file in data.unread_files
    ]
    return (
        '<h2>Files that could not be read</h2><p class="quiet">Left out files are tried again by '
        "the next run of the same command; of those cut short, what came before counts.</p>"
        f"{html_table(['Source', 'File', 'What', 'attempts', 'Error'], rows)}"
    )


def _origin(data: ReportData) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in data.facts.items()
    )
    return (
        f'<h2>Where it comes from</h2><div class="card"><dl>{facts}</dl><details><summary>'
        f"Config</summary><pre>{escape(data.config_yaml)}</pre></details></div>"
    )
