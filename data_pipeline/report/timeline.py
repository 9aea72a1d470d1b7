"""Throughput and memory over time, as inline SVG: one panel each, stages as bands behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise

from data_pipeline.report.data import TimelinePoint
from data_pipeline.report.numbers import in_bytes, in_time, short

_WIDTH, _HEIGHT = 1000, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 10, 26, 22
_MIN_BAND_FOR_NAME = 46
_MOST_POINTS = 400
_LASTING = 0.04
"""Share of the time from which a stage sets the scale."""


Curve = list[tuple[float, float]]
"""(seconds, value)"""


@dataclass(frozen=True)
class _Panel:
    title: str
    curves: Sequence[Curve]
    """One for each stage."""
    shown: Callable[[float], str]


def timeline(points: Sequence[TimelinePoint]) -> str:
    """The panels; empty where the job was too short to be looked at twice."""
    if len(points) < 3 or points[-1].seconds <= points[0].seconds:
        return ""
    panels = [
        _Panel("documents per second", _rates(points, lambda p: p.documents), short),
        _Panel("bytes read per second", _rates(points, lambda p: p.num_bytes), in_bytes),
        _Panel(
            "memory of all workers together",
            _levels(points),
            in_bytes,
        ),
    ]
    charts = "".join(_chart(panel, points) for panel in panels if any(map(len, panel.curves)))
    return (
        '<h2>Throughput and memory over time</h2><p class="quiet">All runs of this job end to end; '
        "stages are the bands. Peaks of stages that took a moment are cut off.</p>"
        f'<div class="card">{charts}</div>'
    )


def _stages(points: Sequence[TimelinePoint]) -> list[list[TimelinePoint]]:
    """The points of each stage, thinned where there are very many."""
    every = max(1, len(points) // _MOST_POINTS)
    stages = []
    for _, group in groupby(points, key=lambda point: point.stage):
        stage = list(group)
        stages.append([*stage[:-1:every], stage[-1]])
    return stages


def _rates(points: Sequence[TimelinePoint], count: Callable[[TimelinePoint], int]) -> list[Curve]:
    """How much per second between neighbouring points."""
    return [
        [
            (moment, max(0, count(after) - count(before)) / (after.seconds - before.seconds))
            for before, after in pairwise(stage)
            for moment in (before.seconds, after.seconds)
            if after.seconds > before.seconds
        ]
        for stage in _stages(points)
    ]


def _levels(points: Sequence[TimelinePoint]) -> list[Curve]:
    """Memory where it is known."""
    return [
        [(point.seconds, float(point.rss_bytes)) for point in stage if point.rss_bytes]
        for stage in _stages(points)
    ]


def _top(curves: Sequence[Curve], span: float) -> float:
    """The highest value of the stages that lasted."""
    lasting = [c for c in curves if c and c[-1][0] - c[0][0] >= _LASTING * span]
    return max((value for curve in lasting or curves for _, value in curve), default=0.0) or 1.0


def _chart(panel: _Panel, points: Sequence[TimelinePoint]) -> str:
    start, end = points[0].seconds, points[-1].seconds
    most = _top(panel.curves, end - start)
    room = _HEIGHT - _TOP - _BOTTOM

    def x(seconds: float) -> float:
        return _LEFT + (seconds - start) / (end - start) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + room * (1 - min(value / most, 1.05))

    lines = [
        " ".join(f"{x(seconds):.1f},{y(value):.1f}" for seconds, value in curve)
        for curve in panel.curves
        if len(curve) > 1
    ]
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(panel.title)}">',
        *_bands(points, x),
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>',
        *(
            f'<text class="tick" x="{_LEFT - 6}" y="{y(value) + 3.5:.1f}" text-anchor="end">'
            f"{escape(panel.shown(value))}</text>"
            for value in (0.0, most / 2, most)
        ),
        *(
            f'<text class="tick" x="{x(seconds):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">'
            f"{escape(in_time(seconds - start))}</text>"
            for seconds in (start + (end - start) * part for part in (0.25, 0.5, 0.75))
        ),
        *(f'<polyline class="line" points="{line}"/>' for line in lines),
        f'<text class="name" x="{_LEFT}" y="11">{escape(panel.title)}</text></svg>',
    ]
    return "".join(parts)


def _bands(points: Sequence[TimelinePoint], x: Callable[[float], float]) -> list[str]:
    """A stripe for each stage, every other one shaded, with its name where there is room."""
    parts = []
    for number, (stage, group) in enumerate(groupby(points, key=lambda point: point.stage)):
        stretch = list(group)
        left, right = x(stretch[0].seconds), x(stretch[-1].seconds)
        width = max(right - left, 0.5)
        shade = "band" if number % 2 == 0 else "band other"
        parts.append(
            f'<g><title>{escape(stage)}</title><rect class="{shade}" x="{left:.1f}" y="{_TOP - 8}" '
            f'width="{width:.1f}" height="{_HEIGHT - _TOP - _BOTTOM + 8}"/>'
        )
        if width > _MIN_BAND_FOR_NAME:
            parts.append(
                f'<text class="tick" x="{left + 4:.1f}" y="{_TOP + 2}">{escape(stage)}</text>'
            )
        parts.append("</g>")
    return parts
