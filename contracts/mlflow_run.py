"""One run in MLflow, told by journal entries: the only file that imports mlflow, when built.

A step logged again after a resume: a value equal to the server's is not sent again; a different
one is, and is the newer point at that step. A param that changed becomes the tag
`changed.<param>`, because MLflow keeps a param's first value for ever.
"""

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contracts.journal import Entry

RUN_KEY_TAG = "headwater.run_key"
MAX_VALUE_CHARS = 500
"""Of a param: the limit of older servers, which refuse more."""
_MAX_TAG_CHARS = 5000
_MAX_DIGEST_CHARS = 36
_MAX_METRICS = 1000
_MAX_PARAMS = 100
_REFUSALS = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)
"""Answers that stay the same however often one asks."""
_SYSTEM_STEP_METRIC = "system/cpu_utilization_percentage"


class Refused(Exception):  # noqa: N818 - an answer of the server, not a fault here
    """The server will never take this entry."""


class MlflowRun:
    """Sends entries to the run that the last `start` entry named."""

    def __init__(self, tracking_uri: str, experiment: str, *, run_id: str | None = None) -> None:
        self._mlflow = importlib.import_module("mlflow")
        self._entities = importlib.import_module("mlflow.entities")
        self._client = self._mlflow.MlflowClient(tracking_uri=tracking_uri)
        self._tracking_uri = tracking_uri
        self.experiment_id: str = self._experiment(experiment)
        self.run_id = run_id
        self.run_key = ""
        self._is_resumed = run_id is not None
        self._known: dict[str, dict[int, float]] = {}
        self._monitors: list[Any] | None = None
        self._system_step = 0
        self._handlers: dict[str, Callable[[Entry], None]] = {
            "start": self._start,
            "params": self._params,
            "tags": self._tags,
            "artifact": self._artifact,
            "text": self._text,
            "input": self._input,
            "end": self._end,
        }

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if self._tracking_uri.startswith("sqlite:///"):
            folder = Path(self._tracking_uri.removeprefix("sqlite:///")).absolute().parent
            location = (folder / "mlartifacts").as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))

    def send(self, entries: Sequence[Entry]) -> None:
        """One entry, or several of metrics.

        Raises:
            Refused: the server will never take them. Any other error of mlflow: try again later.
        """
        try:
            if entries[0]["event"] == "metrics":
                self._metrics(entries)
            elif handler := self._handlers.get(entries[0]["event"]):
                handler(entries[0])
        except self._mlflow.MlflowException as error:
            if error.error_code in _REFUSALS:
                raise Refused(str(error).partition("\n")[0][:300]) from error
            raise

    def _start(self, entry: Entry) -> None:
        self.run_key = str(entry["run_id"])
        self._known = {}
        self.run_id = self._found(self.run_key)
        self._is_resumed = self.run_id is not None
        if self.run_id is None:
            run = self._client.create_run(
                self.experiment_id,
                start_time=entry["time_ms"],
                run_name=entry["run_name"],
                tags={RUN_KEY_TAG: self.run_key},
            )
            self.run_id = str(run.info.run_id)
            return
        self._client.update_run(self.run_id, status="RUNNING")
        history = self._client.get_metric_history(self.run_id, _SYSTEM_STEP_METRIC)
        self._system_step = max((metric.step for metric in history), default=-1) + 1

    def _found(self, key: str) -> str | None:
        """The run with this id of ours or of the server's; None where there is none (any more)."""
        if not key.startswith("local-"):
            try:
                return str(self._client.get_run(key).info.run_id)
            except self._mlflow.MlflowException as error:
                if error.error_code not in _REFUSALS:
                    raise
                return None
        runs = self._client.search_runs(
            [self.experiment_id], filter_string=f"tags.`{RUN_KEY_TAG}` = '{key}'", max_results=1
        )
        return str(runs[0].info.run_id) if runs else None

    def _metrics(self, entries: Sequence[Entry]) -> None:
        metrics = [
            self._entities.Metric(name, value, entry["time_ms"], entry["step"])
            for entry in entries
            for name, value in entry["values"].items()
            if not self._is_known(name, entry["step"], value)
        ]
        for part in _cut(metrics, _MAX_METRICS):
            self._client.log_batch(self.run_id, metrics=part)

    def _is_known(self, name: str, step: int, value: float) -> bool:
        if not self._is_resumed:
            return False
        if name not in self._known:
            history = self._client.get_metric_history(self.run_id, name)
            self._known[name] = {m.step: m.value for m in history if m.step >= step}
        return self._known[name].get(step) == value

    def _params(self, entry: Entry) -> None:
        given = {name: str(value)[:MAX_VALUE_CHARS] for name, value in entry["values"].items()}
        there: Mapping[str, str] = {}
        if self._is_resumed:
            there = self._client.get_run(self.run_id).data.params
        new = [self._entities.Param(n, value) for n, value in given.items() if n not in there]
        for part in _cut(new, _MAX_PARAMS):
            self._client.log_batch(self.run_id, params=part)
        changed = {f"changed.{n}": v for n, v in given.items() if there.get(n, v) != v}
        self._tags({"values": changed})

    def _tags(self, entry: Entry) -> None:
        tags = [
            self._entities.RunTag(name, str(value)[:_MAX_TAG_CHARS])
            for name, value in entry["values"].items()
        ]
        for part in _cut(tags, _MAX_PARAMS):
            self._client.log_batch(self.run_id, tags=part)

    def _artifact(self, entry: Entry) -> None:
        if not Path(entry["path"]).exists():
            raise Refused(f"artifact {entry['path']} is gone; keep it until the run has ended")
        self._client.log_artifact(self.run_id, entry["path"], entry["folder"] or None)

    def _text(self, entry: Entry) -> None:
        self._client.log_text(self.run_id, entry["text"], entry["name"])

    def _input(self, entry: Entry) -> None:
        url = str(entry["source_url"])
        dataset = self._entities.Dataset(
            name=entry["name"],
            digest=entry["digest"][:_MAX_DIGEST_CHARS],
            source_type=url.partition("://")[0] if "://" in url else "local",
            source=json.dumps({"uri": url}),
        )
        tags = [self._entities.InputTag("mlflow.data.context", "training")]
        if entry["run_id"]:
            tags.append(self._entities.InputTag("headwater.data_run_id", entry["run_id"]))
            self._tags({"values": {f"data_run_id.{entry['name']}": entry["run_id"]}})
        self._client.log_inputs(self.run_id, [self._entities.DatasetInput(dataset, tags)])

    def _end(self, entry: Entry) -> None:
        self._client.set_terminated(self.run_id, status=entry["status"], end_time=entry["time_ms"])

    def system_metrics(self) -> tuple[int, dict[str, float]]:
        """A reading of this machine, under MLflow's names, and its number."""
        if self._monitors is None:
            self._monitors = list(_monitors())
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            for name, value in monitor.aggregate_metrics().items():
                values[f"system/{name}"] = float(value)
            monitor.clear_metrics()
        self._system_step += 1
        return self._system_step - 1, values


def _monitors() -> Iterator[Any]:
    package = "mlflow.system_metrics.metrics"
    yield importlib.import_module(f"{package}.cpu_monitor").CPUMonitor()
    yield importlib.import_module(f"{package}.disk_monitor").DiskMonitor()
    yield importlib.import_module(f"{package}.network_monitor").NetworkMonitor()
    try:
        yield importlib.import_module(f"{package}.gpu_monitor").GPUMonitor()
    except (ImportError, RuntimeError):
        return  # no NVIDIA GPU, or nvidia-ml-py is not installed


def _cut(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
