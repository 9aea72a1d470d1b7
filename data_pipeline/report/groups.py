"""What became of each group of documents: by source, by language, by host."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from data_pipeline.report.data import GroupReport, ReportData
from data_pipeline.report.numbers import grouped, in_bytes, percent

_MOST_LANGUAGES = 20
_REASONS_SHOWN = 3


def by_source(data: ReportData) -> str:
    """The share of each source's documents that each stage dropped."""
    stages = list(data.dropped)
    if not stages:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("Source", "read", *stages, "kept"))
    rows = []
    for source in data.sources:
        cells = [f"<td>{escape(source.name)}</td><td>{grouped(source.num_in)}</td>"]
        for stage in stages:
            count = sum(source.dropped.get(stage, {}).values())
            cells.append(_shaded(count, source.num_in, "dropped"))
        cells.append(_shaded(source.num_kept, source.num_in, "kept"))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<h2>The same by source</h2><p class="quiet">Of the documents read from each source, those '
        "that each stage dropped.</p>"
        f'<div class="card"><table class="heat"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _shaded(count: int, whole: int, css: str) -> str:
    """A cell whose background says the share."""
    if not count:
        return '<td class="quiet">–</td>'
    share = 100 * count / (whole or 1)
    return (
        f'<td style="--share:{share:.1f}%" class="shade {css}" title="{grouped(count)} documents">'
        f"{percent(count, whole)}</td>"
    )


def by_language(data: ReportData) -> str:
    """Kept and dropped by language; `–` where a document was dropped before it was known."""
    if not data.by_language:
        return ""
    shown, rest = data.by_language[:_MOST_LANGUAGES], data.by_language[_MOST_LANGUAGES:]
    rows = list(shown)
    if rest:
        rows.append(_together(f"{len(rest)} others", rest))
    return (
        '<h2>By language</h2><p class="quiet">As the language filter named it; – where a document '
        "went before that, or no filter asked.</p>"
        f"{_group_table('Language', rows)}"
    )


def by_host(data: ReportData) -> str:
    """The hosts with the most documents."""
    hosts = data.hosts
    if not any(host.name != "–" for host in hosts.hosts):
        return ""
    sampled = (
        ""
        if hosts.num_units == hosts.of_units
        else f" Counted in {grouped(hosts.num_units)} of {grouped(hosts.of_units)} work units, "
        "chosen by hash."
    )
    return (
        f'<h2>By host</h2><p class="quiet">The {len(hosts.hosts)} with the most documents, of '
        f"{grouped(hosts.num_hosts)}.{sampled}</p>{_group_table('Host', hosts.hosts)}"
    )


def _together(name: str, groups: Sequence[GroupReport]) -> GroupReport:
    dropped: dict[str, int] = {}
    for group in groups:
        for reason, count in group.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    ranked = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
    return GroupReport(
        name,
        sum(group.num_in for group in groups),
        sum(group.num_kept for group in groups),
        sum(group.num_bytes for group in groups),
        ranked,
    )


def _group_table(title: str, groups: Iterable[GroupReport]) -> str:
    names = (title, "read", "kept", "", "share", "text kept", "dropped for")
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(_group_row(group) for group in groups)
    return (
        f'<div class="card scroll"><table class="groups"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _group_row(group: GroupReport) -> str:
    share = 100 * group.num_kept / (group.num_in or 1)
    return (
        f"<tr><td>{escape(group.name)}</td><td>{grouped(group.num_in)}</td>"
        f"<td>{grouped(group.num_kept)}</td>"
        f'<td class="wide"><span class="track"><span class="bar kept" style="width:{share:.1f}%">'
        f"</span></span></td><td>{percent(group.num_kept, group.num_in)}</td>"
        f"<td>{in_bytes(group.num_bytes)}</td>"
        f'<td class="reasons">{_reasons(group.dropped)}</td></tr>'
    )


def _reasons(dropped: Mapping[str, int]) -> str:
    named = [
        f"{escape(reason)} <b>{grouped(count)}</b>"
        for reason, count in list(dropped.items())[:_REASONS_SHOWN]
    ]
    more = len(dropped) - _REASONS_SHOWN
    return " · ".join(named) + (f" · {more} more" if more > 0 else "")
