"""What pages say against their use, what was masked, what stands in evaluation sets."""

from collections.abc import Iterator

from data_pipeline.report.data import ReportData
from data_pipeline.report.html_table import html_table
from data_pipeline.report.numbers import grouped, percent

NAMES = {"emails": "e-mail addresses", "ips": "IP addresses", "phones": "telephone numbers"}
"""What is masked, as the page and the card call it."""


def safety(data: ReportData) -> str:
    """The section; empty for a job without opt-out, masking and decontamination."""
    return "".join(_parts(data))


def _parts(data: ReportData) -> Iterator[str]:
    found = data.safety
    if found.signals:
        dropped = data.dropped.get("opt_out", {})
        yield '<h2>Opt-out</h2><p class="quiet">Pages that speak against their use, by signal.</p>'
        yield html_table(
            ("Signal", "pages", "dropped for it"),
            [
                (name, grouped(count), grouped(dropped.get(name, 0)))
                for name, count in found.signals.items()
            ],
        )
    if found.masked:
        yield (
            f'<h2>Personal data</h2><p class="quiet">Masked in {grouped(found.num_masked)} kept '
            f"documents ({percent(found.num_masked, data.num_kept)}).</p>"
        )
        yield html_table(
            ("Masked", "in kept documents"),
            [(NAMES.get(name, name), grouped(count)) for name, count in found.masked.items()],
        )
    if found.eval_sets:
        dropped = data.dropped.get("decontamination", {})
        yield (
            '<h2>Evaluation sets</h2><p class="quiet">Documents that hold their text, and how '
            "many went for it; the others went before.</p>"
        )
        yield html_table(
            ("Set", "documents", "dropped for it"),
            [
                (name, grouped(count), grouped(dropped.get(name, 0)))
                for name, count in found.eval_sets.items()
            ],
        )
