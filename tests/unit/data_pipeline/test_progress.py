import io
import logging
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from data_pipeline import progress
from data_pipeline.progress import ProgressFile, StageProgress, Tally, progress_folder, shown


def stage(folder: Path) -> StageProgress:
    return StageProgress("map", total_bytes=2_000_000, output_dir=str(folder), unit_ids=["a", "b"])


def test_running_and_finished_tasks_count_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "WRITE_SECONDS", 0.0)
    watched = stage(tmp_path)
    file = ProgressFile(str(tmp_path), "a")
    file.update(Tally(10, 500_000, Counter({"length/too_few_words": 2})))
    watched.finished("b", Tally(20, 1_000_000, Counter({"length/too_few_words": 1})))
    found = watched.snapshot()
    assert (found.tally.documents, found.num_done, found.num_tasks) == (30, 1, 2)
    assert found.fraction == 0.75
    line = found.line()
    assert line.startswith("1/2 units · 30 documents · ")
    assert line.endswith("dropped length/too_few_words 3")


def test_a_task_writes_seldom(tmp_path: Path) -> None:
    file = ProgressFile(str(tmp_path), "a")
    for number in range(1000):
        file.update(Tally(number))
    assert not Path(progress_folder(str(tmp_path))).exists()


def test_a_file_of_an_ended_task_does_not_count_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "WRITE_SECONDS", 0.0)
    watched = stage(tmp_path)
    ProgressFile(str(tmp_path), "a").update(Tally(10, 10))
    watched.finished("a", Tally(10, 10))
    assert watched.snapshot().tally.documents == 10


def test_before_the_first_byte_the_time_to_go_is_not_known(tmp_path: Path) -> None:
    assert "ETA ?" in stage(tmp_path).snapshot().line()


def test_a_terminal_gets_a_bar_with_the_last_counts(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200)
    watched = stage(tmp_path)
    with shown(watched, console):
        watched.finished("a", Tally(7, 100))
    assert "7 documents" in out.getvalue()


def test_elsewhere_a_log_line_comes_every_few_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    with shown(stage(tmp_path), Console(file=io.StringIO())):
        while not caplog.records:
            pass
    assert "stage=map 0/2 units" in caplog.text
