"""Options, contestants in turn, and what becomes of one that fails."""

import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import StepError, run_command
from benchmarks.schedule import (
    Contestant,
    Measured,
    Options,
    Schedule,
    failure_note,
    parsed_options,
)
from contracts.errors import ConfigError

ROWS = ("warc", "tar")


def test_options_have_the_defaults_of_a_full_run() -> None:
    assert parsed_options({}, pages=8200, rows=ROWS) == Options(8200)


def test_options_of_a_quick_look() -> None:
    given = {"pages": "500", "only": "tar,warc", "repeats": "1", "clock": "cpu"}
    assert parsed_options(given, pages=8200, rows=ROWS) == Options(500, ("tar", "warc"), 1, "cpu")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"page": "5"}, r"unknown options \['page'\]; there are pages, only, repeats and clock"),
        ({"only": "tape"}, r"only=tape: \['tape'\] are no rows; rows are \['warc', 'tar'\]"),
        ({"pages": "0"}, "pages=0: must be a whole number of 1 or more"),
        ({"repeats": "x"}, "repeats=x: must be a whole number of 1 or more"),
        ({"clock": "sun"}, r"clock=sun: must be one of \['wall', 'cpu'\]"),
    ],
)
def test_a_wrong_option_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed_options(given, pages=8200, rows=ROWS)


def _contestant(who: str = "ours") -> Contestant:
    return Contestant(who, "benchmarks.own_parts", {"part": "read"})


def test_the_rate_is_the_median_by_the_clock_that_was_asked_for() -> None:
    figures = [
        {"amount": 10, "wall_seconds": wall, "cpu_seconds": cpu}
        for wall, cpu in [(1.0, 1.0), (2.0, 0.5), (5.0, 1.0)]
    ]
    measured = Measured(_contestant(), figures)
    assert measured.rate("wall") == 5.0
    assert measured.rate("cpu") == 10.0
    assert measured.amount() == 10.0


def test_one_that_failed_has_no_rate_and_says_why() -> None:
    measured = Measured(_contestant(), [], StepError("read", "exit code 1", "a\nno such file\n"))
    assert measured.rate("wall") is None
    figure = measured.figure(None)
    assert (figure.value, figure.note) == (None, "exit code 1: no such file")
    assert failure_note(StepError("read", "exit code 1", "")) == "exit code 1"


def test_a_failure_is_kept_and_not_tried_again(tmp_path: Path) -> None:
    schedule = Schedule(Options(10, repeats=2), tmp_path, time.monotonic() + 60)
    lost = Contestant("peer", "benchmarks.own_parts", {"part": "read"}, python="/no/such/python")
    found = schedule.measure("warc", [lost])
    failure = found["peer"].failure
    assert failure is not None
    assert "cannot be started" in failure.reason
    assert len(list((tmp_path / "warc").iterdir())) == 1


def test_no_step_starts_after_the_deadline(tmp_path: Path) -> None:
    schedule = Schedule(Options(10), tmp_path, time.monotonic() - 1)
    with pytest.raises(StepError, match="no time left before the benchmark's limit"):
        schedule.timeout(10.0, "a step")


def test_a_command_that_fails_gives_the_end_of_its_log(tmp_path: Path) -> None:
    script = "import sys; print('the cause'); sys.exit(3)"
    with pytest.raises(StepError, match="a step: exit code 3") as caught:
        run_command("a step", [sys.executable, "-c", script], log=tmp_path / "log", timeout=30)
    assert caught.value.tail == "the cause"


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    script = "import threading; threading.Event().wait()"
    with pytest.raises(StepError, match="not done after 0 s, its limit"):
        run_command("a step", [sys.executable, "-c", script], log=tmp_path / "log", timeout=0.3)
