"""The table of a benchmark: ratios, bars, exit code, summary."""

import pytest

from benchmarks.table import Bar, Figure, Row, exit_code, ratio, row_text, short, summary


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (3.8, "3.80"), (45.67, "45.7"), (494, "494"), (2771.6, "2,772")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert short(value) == text


def test_a_ratio_needs_both_sides() -> None:
    assert ratio(6.0, 3.0) == 2.0
    assert ratio(None, 3.0) is None
    assert ratio(6.0, None) is None
    assert ratio(6.0, 0.0) is None


@pytest.mark.parametrize(
    ("value", "holds", "line"),
    [
        (4.0, True, "holds   fast: 4.00x of 3.80x"),
        (3.8, True, "holds   fast: 3.80x of 3.80x"),
        (1.9, False, "MISSED  fast: 1.90x of 3.80x, 50.0 % short"),
        (None, False, "MISSED  fast: not measured"),
    ],
)
def test_a_bar_says_whether_it_holds_and_by_how_much_not(
    value: float | None, holds: bool, line: str
) -> None:
    bar = Bar("fast", value, 3.8, "x")
    assert bar.holds is holds
    assert bar.line == line


def _row(*, ours: float | None = 8.0, theirs: float | None = 2.0, least: float = 3.0) -> Row:
    figures = (Figure("ours", ours), Figure("datatrove", theirs, "its log"))
    bars = (Bar("speed", ratio(ours, theirs), least, "x"),)
    return Row("Speed", "pages/s", figures, bars, "datatrove", ("a note",))


def test_a_row_shows_ratios_to_its_reference_and_its_bars() -> None:
    assert row_text(_row()).splitlines() == [
        "Speed [pages/s]",
        "  ours            8.00    4.00x",
        "  datatrove       2.00           its log",
        "  holds   speed: 4.00x of 3.00x",
        "  a note",
    ]


def test_the_exit_code_tells_missed_bars_and_failed_peers() -> None:
    assert exit_code([_row()]) == 0
    assert exit_code([_row(), _row(least=5.0)]) == 1
    failed = Row("Other", "MB/s", (Figure("peer", None, "exit code 1"),))
    assert exit_code([_row(), failed]) == 1
    excused = Row("Other", "MB/s", (Figure("peer", None, "no GPU", is_required=False),))
    assert exit_code([_row(), excused]) == 0


def test_a_peer_that_failed_stands_in_the_table_with_its_reason() -> None:
    text = row_text(_row(theirs=None))
    assert "datatrove     failed           its log" in text
    assert "MISSED  speed: not measured" in text


def test_the_summary_names_what_was_missed_and_who_failed() -> None:
    rows = [_row(), _row(theirs=None)]
    assert summary("data", rows, seconds=90, reduced="pages=10") == (
        "data: 1 of 2 bars hold, missed: speed, failed to run: datatrove, "
        "a reduced run (pages=10), which proves no bar, 1.5 minutes"
    )
    assert summary("data", [_row()], seconds=60) == "data: 1 of 1 bars hold, 1.0 minutes"
