"""The report on the terminal: the counts that must add up, and what each source gave."""

from rich.console import Console
from rich.table import Table

from data_pipeline.report.data import ReportData
from data_pipeline.report.numbers import grouped, in_bytes, other_records, percent


def print_report(data: ReportData, console: Console | None = None) -> None:
    """Print the funnel, the sources and the splits."""
    console = console or Console()
    for table in (_funnel(data), _sources(data), _splits(data)):
        console.print(table)


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _funnel(data: ReportData) -> Table:
    table = _table(data.title, "stage", "documents", "share", "left")
    left = data.num_in
    table.add_row("documents read", grouped(left), "100.0\u202f%", grouped(left))
    for stage, reasons in data.dropped.items():
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            left -= count
            share = percent(count, data.num_in)
            table.add_row(f"{stage}: {reason}", f"-{grouped(count)}", share, grouped(left))
    share = percent(data.num_kept, data.num_in)
    table.add_section()
    table.add_row("kept", grouped(data.num_kept), share, grouped(left), style="bold")
    if data.other_records:
        table.caption = f"Beside these, {other_records(data)}."
        table.caption_justify = "left"
    return table


def _sources(data: ReportData) -> Table:
    names = [split.name for split in data.splits]
    columns = [f"{name} tokens" for name in names]
    table = _table("sources", "source", "read", "kept", "text", *columns)
    for source in data.sources:
        table.add_row(
            source.name,
            grouped(source.num_in),
            grouped(source.num_kept),
            in_bytes(source.num_bytes),
            *(grouped(source.num_tokens.get(name, 0)) for name in names),
        )
    return table


def _splits(data: ReportData) -> Table:
    table = _table("shards", "split", "shards", "rows", "tokens", "on disk")
    for split in data.splits:
        table.add_row(
            split.name,
            grouped(split.num_shards),
            grouped(split.num_samples),
            grouped(split.num_tokens),
            in_bytes(split.size_bytes),
        )
    return table
