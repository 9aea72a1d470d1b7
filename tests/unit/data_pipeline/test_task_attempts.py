"""Two attempts at one task at once: the first record stands, and the bytes are the same."""

import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts import storage
from data_pipeline.ledger import Ledger
from data_pipeline.progress import ProgressFile
from data_pipeline.stages.task import Outcome, run_task, work_path


@dataclass(frozen=True)
class HeldTask:
    output_dir: str
    unit_id: str
    num_bytes: int
    name: str
    """Which attempt it is."""


def held(task: HeldTask, progress: ProgressFile) -> Outcome:
    """Writes its output in two halves, and goes on each time only when it is let."""
    del progress
    folder = Path(task.output_dir)
    path = work_path("held", task.unit_id, "txt")
    with storage.atomic_write(storage.join(task.output_dir, path)) as stream:
        stream.write(b"first half, ")
        _wait(folder / f"{task.name}-may-write")
        stream.write(b"second half")
    (folder / f"{task.name}-has-written").touch()
    _wait(folder / f"{task.name}-may-commit")
    return Outcome((path,), {"by": task.name})


def _wait(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)


def attempt(task: HeldTask) -> None:
    result = run_task("held", held, task)
    (Path(task.output_dir) / f"{task.name}-result").write_text(str(result["by"]))


ORDERS = [
    ("a-may-write", "a-has-written", "a-may-commit", "a-result", "b-may-write", "b-may-commit"),
    ("a-may-write", "b-may-write", "b-has-written", "b-may-commit", "b-result", "a-may-commit"),
    ("b-may-write", "b-has-written", "a-may-write", "a-has-written", "a-may-commit", "a-result",
     "b-may-commit"),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_the_first_to_commit_counts_and_the_late_one_changes_nothing(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=attempt, args=(HeldTask(str(tmp_path), "u1", 1, name),))
        for name in ("a", "b")
    ]
    for process in both:
        process.start()
    partials = tmp_path / "work" / "held"
    while len(list(partials.glob(".*.partial"))) < 2:  # both are in the middle
        assert all(process.is_alive() for process in both)
        time.sleep(0.005)
    for step in order:
        if step.endswith(("-result", "-has-written")):
            _wait(tmp_path / step)
        else:
            (tmp_path / step).touch()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    done = Ledger(str(tmp_path)).find("held", "u1")
    assert done is not None
    assert isinstance(done.result, dict)
    first = order[[step.endswith("-result") for step in order].index(True)][0]
    assert done.result["by"] == first
    for name in ("a", "b"):
        assert (tmp_path / f"{name}-result").read_text() == first
    assert (partials / "u1.txt").read_bytes() == b"first half, second half"
    assert list(tmp_path.rglob("*.partial")) == []


def test_an_attempt_that_starts_when_all_is_done_does_nothing(tmp_path: Path) -> None:
    for name in ("a-may-write", "a-may-commit"):
        (tmp_path / name).touch()
    assert run_task("held", held, HeldTask(str(tmp_path), "u1", 1, "a")) == {"by": "a"}
    # It would wait for ever for its file.
    assert run_task("held", held, HeldTask(str(tmp_path), "u1", 1, "b")) == {"by": "a"}


def test_an_output_that_is_gone_is_written_again_and_a_record_that_lies_is_replaced(
    tmp_path: Path,
) -> None:
    for name in ("a-may-write", "a-may-commit", "b-may-write", "b-may-commit"):
        (tmp_path / name).touch()
    run_task("held", held, HeldTask(str(tmp_path), "u1", 1, "a"))
    (tmp_path / "work" / "held" / "u1.txt").unlink()
    assert run_task("held", held, HeldTask(str(tmp_path), "u1", 1, "b")) == {"by": "a"}
    record = tmp_path / "ledger" / "held" / "u1.json"
    record.write_text(record.read_text().replace('"size_bytes": 23', '"size_bytes": 99'))
    assert run_task("held", held, HeldTask(str(tmp_path), "u1", 1, "b")) == {"by": "b"}
