"""When a run of ours began to read, by what its ledger says."""

import json
import os
from pathlib import Path

from benchmarks.end_to_end import Course, Run, first_task_started
from benchmarks.processes import StepError


def _record(folder: Path, name: str, *, done_at: float, seconds: float | None) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(
        json.dumps({"result": {} if seconds is None else {"cost": {"seconds": seconds}}})
    )
    os.utime(path, (done_at, done_at))


def test_reading_begins_with_the_earliest_task(tmp_path: Path) -> None:
    ledger = tmp_path / "map"
    _record(ledger, "a", done_at=130.0, seconds=20.0)
    _record(ledger, "b", done_at=125.0, seconds=19.0)
    assert first_task_started(ledger, launched=100.0) == 106.0


def test_without_figures_reading_begins_with_the_command(tmp_path: Path) -> None:
    assert first_task_started(tmp_path / "map", launched=100.0) == 100.0
    _record(tmp_path / "map", "a", done_at=130.0, seconds=None)
    assert first_task_started(tmp_path / "map", launched=100.0) == 100.0


def test_a_course_gives_the_median_of_its_runs_on_one_core() -> None:
    course = Course("ours, fast")
    course.runs += [Run(800, 600, 2_000_000, 5.0, seconds) for seconds in (4.0, 8.0, 40.0)]
    assert course.rate == 50.0
    note = course.figure.note
    assert note == "kept 600 of 800 (75 %), 2.00 M tokens, 40.0 s after 5.0 s to start, 3 runs"


def test_a_failure_becomes_a_figure_without_value() -> None:
    course = Course("datatrove")
    with course.trying():
        raise StepError("datatrove", "exit code 1", "no lxml")
    assert (course.figure.value, course.figure.note) == (None, "exit code 1: no lxml")
