"""The table of a benchmark: figures of ours and of the peers, ratios, bars, and the exit code."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What one of the compared gave."""

    who: str
    value: float | None
    """None: it failed to run, and `note` says why."""
    note: str = ""
    is_required: bool = True
    """Whether its failure fails the benchmark."""


@dataclass(frozen=True)
class Bar:
    """What a row promises."""

    text: str
    value: float | None
    """What was reached; None: nothing could be measured."""
    minimum: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.value is not None and self.value >= self.minimum

    @property
    def line(self) -> str:
        """For the reader."""
        if self.value is None:
            return f"MISSED  {self.text}: not measured"
        reached = f"{short(self.value)}{self.unit} of {short(self.minimum)}{self.unit}"
        if self.holds:
            return f"holds   {self.text}: {reached}"
        missing = 100 * (1 - self.value / self.minimum)
        return f"MISSED  {self.text}: {reached}, {missing:.1f} % short"


@dataclass(frozen=True)
class Row:
    """One line of the table: a quantity, who reached how much of it, and the bars."""

    title: str
    unit: str
    figures: tuple[Figure, ...] = ()
    bars: tuple[Bar, ...] = ()
    reference: str | None = None
    """Whose figure the ratios are taken to; None: no ratios."""
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Figure, ...]:
        """Those that failed to run though they had to."""
        return tuple(f for f in self.figures if f.value is None and f.is_required)

    def value_of(self, who: str) -> float | None:
        """The figure of one of the compared."""
        return next((figure.value for figure in self.figures if figure.who == who), None)


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """Ours / theirs; None where either is missing."""
    if ours is None or not theirs:
        return None
    return ours / theirs


def short(value: float) -> str:
    """Four digits that count, thousands in full."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))) - 1)}f}"


def row_text(row: Row) -> str:
    """A row as lines."""
    reference = row.value_of(row.reference) if row.reference else None
    width = max((len(figure.who) for figure in row.figures), default=0)
    lines = [f"{row.title} [{row.unit}]"]
    for figure in row.figures:
        value = "failed" if figure.value is None else short(figure.value)
        times = ratio(figure.value, reference)
        shown = f"{short(times)}x" if times is not None and figure.who != row.reference else ""
        lines.append(f"  {figure.who:<{width}}  {value:>9}  {shown:>7}  {figure.note}".rstrip())
    lines += [f"  {bar.line}" for bar in row.bars]
    lines += [f"  {note}" for note in row.notes]
    return "\n".join(lines)


def exit_code(rows: Sequence[Row]) -> int:
    """0: all bars hold and every peer ran; else 1."""
    return int(any(row.failures or not all(bar.holds for bar in row.bars) for row in rows))


def summary(name: str, rows: Sequence[Row], *, seconds: float, reduced: str = "") -> str:
    """The last line.

    Args:
        name: of the benchmark.
        rows: all that were run.
        seconds: the whole took.
        reduced: what makes this run less than the full one, empty for a full one.
    """
    bars = [bar for row in rows for bar in row.bars]
    missed = [bar.text for bar in bars if not bar.holds]
    failed = [figure.who for row in rows for figure in row.failures]
    parts = [f"{len(bars) - len(missed)} of {len(bars)} bars hold"]
    if missed:
        parts.append(f"missed: {'; '.join(missed)}")
    if failed:
        parts.append(f"failed to run: {', '.join(dict.fromkeys(failed))}")
    if reduced:
        parts.append(f"a reduced run ({reduced}), which proves no bar")
    parts.append(f"{seconds / 60:.1f} minutes")
    return f"{name}: {', '.join(parts)}"
