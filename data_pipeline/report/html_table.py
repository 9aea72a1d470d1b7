"""A table of the page: all cells escaped."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, has_total: bool = False
) -> str:
    """The table; with `has_total` its last row is the sum of the others."""
    lines = list(rows)
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = []
    for number, row in enumerate(lines):
        css = ' class="total"' if has_total and number == len(lines) - 1 else ""
        body.append(f"<tr{css}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return (
        f'<div class="card"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
