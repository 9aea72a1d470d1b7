"""Metrics read back from a journal."""

from pathlib import Path

from contracts.journal import Journal, metric_series


def test_the_later_value_of_a_step_counts_and_steps_are_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "tracking.jsonl")
    journal.append("start", {"run_id": "r"})
    for step, loss in ((1, 3.0), (2, 2.0), (3, 1.5), (2, 2.25)):
        journal.append("metrics", {"step": step, "values": {"train/loss": loss}})
    assert metric_series(journal.path) == {"train/loss": {1: 3.0, 2: 2.25, 3: 1.5}}


def test_no_journal_gives_nothing(tmp_path: Path) -> None:
    assert metric_series(tmp_path / "none.jsonl") == {}
