"""Trackers through their door: what is kept, and that nothing is in the caller's way."""

import json
import logging
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from contracts.config import Config, validated
from contracts.errors import ConfigError
from contracts.journal import Journal
from contracts.tracking import (
    JsonlConfig,
    MlflowConfig,
    NoTrackingConfig,
    NullTracker,
    Tracker,
    TrackingConfig,
    build_tracker,
    flattened,
)

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


class Holder(Config):
    tracking: TrackingConfig


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_union_is_chosen_by_kind() -> None:
    for kind, cls in (("mlflow", MlflowConfig), ("jsonl", JsonlConfig), ("none", NoTrackingConfig)):
        holder = validated(Holder, {"tracking": {"kind": kind}}, where="test")
        assert isinstance(holder.tracking, cls)


def test_reading_a_config_does_not_load_mlflow(root: Path) -> None:
    code = "import contracts.tracking, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_null_keeps_nothing(tmp_path: Path) -> None:
    tracker = build_tracker(NoTrackingConfig(), output_dir=str(tmp_path), run_name="r")
    _tell(tracker, tmp_path)
    tracker.close()
    assert isinstance(tracker, NullTracker)
    assert (tracker.run_id, tracker.page) == (None, None)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def _tell(tracker: Tracker, folder: Path) -> None:
    (folder / "a.txt").write_text("artifact")
    tracker.log_params({"model.d_model": 64, "name": None})
    tracker.set_tags({"git_commit": "abc"})
    tracker.log_metrics(1, {"train/loss": 2.5})
    tracker.log_artifact(str(folder / "a.txt"), folder="files")
    tracker.log_text("key: value", "config.yaml")
    tracker.log_input(name="web", source_url="/d/manifest.json", digest="e" * 64, run_id="job-1")


def test_jsonl_keeps_each_event_on_a_line(tmp_path: Path) -> None:
    tracker = build_tracker(JsonlConfig(), output_dir=str(tmp_path / "run"), run_name="r")
    _tell(tracker, tmp_path)
    tracker.close(status="KILLED")
    tracker.close()
    path = tmp_path / "run" / "tracking.jsonl"
    assert tracker.page == str(path)
    events = lines(path)
    assert [e["event"] for e in events] == (
        ["start", "params", "tags", "metrics", "artifact", "text", "input", "end"]
    )
    assert events[0]["run_id"] == tracker.run_id
    assert events[3]["values"] == {"train/loss": 2.5}
    assert events[-1]["status"] == "KILLED"
    assert all(e["time_ms"] > 1.7e12 for e in events)


def test_a_resumed_run_goes_on_in_the_same_file_behind_a_torn_line(tmp_path: Path) -> None:
    first = build_tracker(JsonlConfig(), output_dir=str(tmp_path), run_name="r")
    path = tmp_path / "tracking.jsonl"
    with path.open("ab") as stream:
        stream.write(b'{"event": "metr')  # as a killed process leaves it
    second = build_tracker(
        JsonlConfig(), output_dir=str(tmp_path), run_name="r", resume_run_id=first.run_id
    )
    second.close()
    assert second.run_id == first.run_id
    entries = [entry for _, entry in Journal(path).read(0, max_bytes=1 << 20)]
    assert [e["event"] for e in entries] == ["start", "torn", "start", "end"]
    assert entries[2]["is_resumed"] is True


def test_a_journal_reads_whole_lines_from_an_offset(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.create()
    for number in range(5):
        journal.append("metrics", {"step": number, "pad": "x" * 100})
    found = journal.read(0, max_bytes=400)
    assert [e["step"] for _, e in found] == [0, 1]
    rest = journal.read(found[-1][0], max_bytes=1 << 20)
    assert [e["step"] for _, e in rest] == [2, 3, 4]
    assert rest[-1][0] == journal.size_bytes()
    assert [e["step"] for _, e in journal.read(0, max_bytes=10)] == [0]


def test_a_journal_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "folder" / "j")
    with caplog.at_level(logging.WARNING):
        journal.append("metrics", {})
        journal.append("metrics", {})
    assert caplog.text.count("cannot be written, so metrics are lost") == 1


def test_a_remote_output_needs_a_local_journal(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tracking.journal=s3://b/run/tracking.jsonl is not"):
        build_tracker(JsonlConfig(), output_dir="s3://b/run", run_name="r")
    given = JsonlConfig(journal=str(tmp_path / "j.jsonl"))
    build_tracker(given, output_dir="s3://b/run", run_name="r").close()
    assert lines(tmp_path / "j.jsonl")[0]["event"] == "start"


def test_flattened_names_nested_values() -> None:
    tree = {"a": {"b": 1, "c": [True, None]}, "d": "x", "e": {}}
    assert flattened(tree) == {"a.b": 1, "a.c.0": True, "a.c.1": None, "d": "x"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def _client(store: str) -> Any:
    import mlflow

    return mlflow.MlflowClient(store)


def _mlflow(store: str, folder: Path, **fields: Any) -> Tracker:
    config = MlflowConfig(
        tracking_uri=store, system_metrics_seconds=0, close_seconds=60, experiment="unit"
    )
    return build_tracker(config, output_dir=str(folder), run_name="a name", **fields)


def test_mlflow_gets_everything_and_a_resume_goes_on_with_the_run(
    store: str, tmp_path: Path
) -> None:
    tracker = _mlflow(store, tmp_path)
    _tell(tracker, tmp_path)
    tracker.log_params({f"p{number}": "v" * 900 for number in range(120)})
    for step in range(2, 6):
        tracker.log_metrics(step, {"train/loss": 1 / step, "nan": math.nan})
    tracker.close(status="KILLED")
    assert tracker.page == f"mlflow ui --backend-store-uri {store}"
    run_id = tracker.run_id
    assert run_id is not None

    again = _mlflow(store, tmp_path, resume_run_id=run_id)
    again.log_params({"model.d_model": 128, "new": 1})
    for step in (4, 5, 6):  # 4 as before, 5 with another value
        again.log_metrics(step, {"train/loss": 9.0 if step == 5 else 1 / step})
    assert again.run_id == run_id
    again.close()

    client = _client(store)
    run = client.get_run(run_id)
    assert run.info.run_name == "a name"
    assert run.info.status == "FINISHED"
    assert len(run.data.params) == 123
    assert run.data.params["p7"] == "v" * 500
    assert run.data.params["model.d_model"] == "64"
    assert run.data.tags["changed.model.d_model"] == "128"
    assert run.data.tags["git_commit"] == "abc"
    history = [(m.step, m.value) for m in client.get_metric_history(run_id, "train/loss")]
    once = [(1, 2.5), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4), (5, 1 / 5), (6, 1 / 6)]
    assert sorted(history) == sorted([*once, (5, 9.0)])
    assert {f.path for f in client.list_artifacts(run_id)} == {"config.yaml", "files"}
    dataset = run.inputs.dataset_inputs[0]
    assert (dataset.dataset.name, dataset.dataset.digest) == ("web", "e" * 36)
    assert {t.key: t.value for t in dataset.tags}["headwater.data_run_id"] == "job-1"
    assert len(client.search_runs([run.info.experiment_id])) == 1


def test_a_run_that_the_server_does_not_know_starts_anew(store: str, tmp_path: Path) -> None:
    tracker = _mlflow(store, tmp_path, resume_run_id="0" * 32)
    tracker.log_metrics(0, {"a": 1.0})
    tracker.close()
    assert tracker.run_id != "0" * 32
    assert _client(store).get_run(tracker.run_id).data.metrics == {"a": 1.0}


def test_what_the_server_refuses_is_left_out_with_a_warning(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tracker = _mlflow(store, tmp_path)
        tracker.log_metrics(0, {"bad\nname": 1.0})
        tracker.log_artifact(str(tmp_path / "gone"))
        tracker.set_tags({"kept": "yes"})
        tracker.close()
    assert "mlflow refuses event=metrics, left out" in caplog.text
    assert "is gone; keep it until the run has ended" in caplog.text
    assert _client(store).get_run(tracker.run_id).data.tags["kept"] == "yes"


def test_calls_come_back_at_once_while_mlflow_loads(store: str, tmp_path: Path) -> None:
    tracker = _mlflow(store, tmp_path)
    assert any(thread.name == "mlflow" for thread in threading.enumerate())
    for step in range(100):
        tracker.log_metrics(step, {"a": float(step)})
    assert len(lines(tmp_path / "tracking.jsonl")) == 101  # written before the call returns
    tracker.close()
    assert len(_client(store).get_metric_history(tracker.run_id, "a")) == 100


def test_system_metrics_are_sampled_and_counted_on_after_a_resume(
    store: str, tmp_path: Path
) -> None:
    config = MlflowConfig(tracking_uri=store, system_metrics_seconds=0.01, close_seconds=60)
    run_id = None
    for _ in range(2):
        tracker = build_tracker(
            config, output_dir=str(tmp_path), run_name="r", resume_run_id=run_id
        )
        run_id = tracker.run_id
        tracker.close()
    history = _client(store).get_metric_history(run_id, "system/cpu_utilization_percentage")
    steps = sorted(m.step for m in history)
    assert steps == list(range(len(steps)))
    assert len(steps) >= 1
