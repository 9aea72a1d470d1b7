"""Small charts as inline SVG: no script, no library, colours from the page's own variables."""

from collections.abc import Mapping, Sequence
from html import escape

from data_pipeline.report.numbers import grouped, percent

_WIDTH = 340
_HEIGHT = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 6, 6, 18, 24


def length_histogram(buckets: Mapping[int, int]) -> str:
    """Documents by power-of-two bucket of their bytes, as an SVG of one bar a bucket."""
    if not buckets:
        return '<p class="quiet">No documents.</p>'
    low, high = min(buckets), max(buckets)
    if high - low < 5:  # a lone bar says nothing of scale
        low, high = max(0, low - 2), high + 2
    numbers = range(low, high + 1)
    step = (_WIDTH - _LEFT - _RIGHT) / len(numbers)
    tallest = max(buckets, key=lambda number: buckets[number])
    most = buckets[tallest]
    total = sum(buckets.values())
    room = _HEIGHT - _TOP - _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Documents by length; most in a bucket: {most}">'
    ]
    for place, number in enumerate(numbers):
        count = buckets.get(number, 0)
        x = _LEFT + place * step
        height = max(room * count / most, 1.5) if count else 0
        y = _TOP + room - height
        said = f"{_edges(number)}: {grouped(count)} documents ({percent(count, total)})"
        parts.append(
            f'<g><title>{escape(said)}</title><rect class="hover" x="{x:.1f}" y="{_TOP}" '
            f'width="{step:.1f}" height="{room}"/><rect class="kept" x="{x + 1:.1f}" y="{y:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}" rx="1.5"/></g>'
        )
        if number == tallest:
            middle = x + step / 2
            parts.append(
                f'<text class="value" x="{middle:.1f}" y="{y - 4:.1f}">{grouped(count)}</text>'
            )
    base = _TOP + room + 0.5
    parts.append(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
    )
    parts.extend(_ticks(numbers, step))
    return "".join([*parts, "</svg>"])


def _edges(bucket: int) -> str:
    if bucket == 0:
        return "empty"
    return f"{_power(bucket - 1)} to {_power(bucket)}"


def _power(exponent: int) -> str:
    """2**exponent bytes in binary units: 512 B, 4 KiB."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    unit = min(exponent // 10, len(units) - 1)
    return f"{1 << (exponent - 10 * unit)}\u202f{units[unit]}"


def _ticks(numbers: Sequence[int], step: float) -> list[str]:
    every = max(1, -(-len(numbers) // 5))
    ticks = []
    for place, number in enumerate(numbers):
        if place % every == 0 and number > 0:
            x = _LEFT + place * step
            anchor = "start" if place == 0 else "middle"
            ticks.append(
                f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">'
                f"{_power(number - 1)}</text>"
            )
    return ticks
