"""Where parameters, metrics and artifacts go: MLflow, a JSON-lines file, or nowhere.

A call writes one line of a local journal and returns. With MLflow a thread ships the journal to the
server, so a server that is down costs a warning, never a step, and gets all of it when it is back.
mlflow itself is imported by contracts/mlflow_run.py alone, in that thread.
"""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field, NonNegativeFloat, PositiveFloat

from contracts import storage
from contracts.config import Config
from contracts.errors import ConfigError
from contracts.journal import Journal
from contracts.mlflow_shipper import MlflowSettings, MlflowShipper

Param = str | int | float | bool | None
DEFAULT_STORE = "mlflow.db"


class Tracker(Protocol):
    """One run. Calls return at once and never raise for a tracker that is down."""

    @property
    def run_id(self) -> str | None:
        """What `resume_run_id` takes to go on with this run; None where nothing is kept."""
        ...

    @property
    def page(self) -> str | None:
        """The line or address that opens this run for a person; None where there is none."""
        ...

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Values at a step; logged again for the same step (a resume), the later one counts."""
        ...

    def log_params(self, params: Mapping[str, Param]) -> None:
        """Settings of the run; nested configs come flattened with dots."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Facts about the run: git commit, fingerprints, state."""
        ...

    def log_artifact(self, path: str, *, folder: str = "") -> None:
        """A local file, copied to the run."""
        ...

    def log_text(self, text: str, name: str) -> None:
        """A text as an artifact of that name."""
        ...

    def log_input(self, *, name: str, source_url: str, digest: str, run_id: str | None) -> None:
        """A dataset this run reads: its manifest, identity, and the run that made it."""
        ...

    def close(self, *, status: str = "FINISHED") -> None:
        """Flush what is buffered, within a bounded time; status FINISHED, FAILED or KILLED."""
        ...


class NoTrackingConfig(Config):
    """Keep nothing."""

    kind: Literal["none"] = "none"


class JsonlConfig(Config):
    """Keep the journal alone."""

    kind: Literal["jsonl"] = "jsonl"
    journal: str | None = None
    """Local file; null: `tracking.jsonl` in the run's output folder."""


class MlflowConfig(Config):
    """Keep the journal, and ship it to MLflow."""

    kind: Literal["mlflow"] = "mlflow"
    tracking_uri: str | None = None
    """Server or database of MLflow; null: the file `mlflow.db` in the current folder."""
    experiment: str = "headwater"
    """Name of the experiment; made where it is missing."""
    run_name: str | None = None
    """Name of the run; null: the name the job gives."""
    system_metrics_seconds: NonNegativeFloat = 15.0
    """Interval of CPU, memory, disk, network and GPU readings of rank 0's machine; 0: none."""
    journal: str | None = None
    """Local file the run is buffered in; null: `tracking.jsonl` in the run's output folder."""
    request_timeout_seconds: PositiveFloat = 10.0
    """Time for one answer; where MLFLOW_HTTP_REQUEST_TIMEOUT is set in the environment, that
    counts."""
    max_backoff_seconds: PositiveFloat = 60.0
    """A server that is down is tried again after 1, 2, 4 ... seconds, at most this many."""
    close_seconds: PositiveFloat = 10.0
    """How long the end of the run waits for the last entries to arrive."""


TrackingConfig = Annotated[
    MlflowConfig | JsonlConfig | NoTrackingConfig, Field(discriminator="kind")
]


class NullTracker:
    """Keeps nothing; what every rank but 0 has."""

    run_id: str | None = None
    page: str | None = None

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def log_params(self, params: Mapping[str, Param]) -> None:
        """Nothing."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Nothing."""

    def log_artifact(self, path: str, *, folder: str = "") -> None:
        """Nothing."""

    def log_text(self, text: str, name: str) -> None:
        """Nothing."""

    def log_input(self, *, name: str, source_url: str, digest: str, run_id: str | None) -> None:
        """Nothing."""

    def close(self, *, status: str = "FINISHED") -> None:
        """Nothing."""


class JsonlTracker:
    """Writes the journal; shipped to MLflow by a thread where there is a shipper."""

    def __init__(
        self,
        journal: Journal,
        *,
        run_name: str,
        resume_run_id: str | None = None,
        shipper: MlflowShipper | None = None,
    ) -> None:
        self._journal = journal
        self._shipper = shipper
        self._is_closed = False
        self._run_id = resume_run_id or f"local-{uuid.uuid4().hex}"
        journal.create()
        journal.append(
            "start",
            {
                "run_name": run_name,
                "run_id": self._run_id,
                "is_resumed": resume_run_id is not None,
            },
        )
        if shipper is not None:
            shipper.start(self._run_id)

    @property
    def run_id(self) -> str | None:
        """The server's id of the run, awaited for one try; the journal's while it is down."""
        found = None if self._shipper is None else self._shipper.run_id
        return found or self._run_id

    @property
    def page(self) -> str | None:
        """The journal's path, or how to open MLflow."""
        return str(self._journal.path) if self._shipper is None else self._shipper.page

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """See Tracker."""
        values = {name: float(value) for name, value in metrics.items()}
        self._journal.append("metrics", {"step": step, "values": values})

    def log_params(self, params: Mapping[str, Param]) -> None:
        """See Tracker."""
        self._journal.append("params", {"values": dict(params)})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See Tracker."""
        self._journal.append("tags", {"values": dict(tags)})

    def log_artifact(self, path: str, *, folder: str = "") -> None:
        """See Tracker; the file is copied when it is shipped, so it must stay where it is."""
        self._journal.append("artifact", {"path": str(Path(path).absolute()), "folder": folder})

    def log_text(self, text: str, name: str) -> None:
        """See Tracker."""
        self._journal.append("text", {"text": text, "name": name})

    def log_input(self, *, name: str, source_url: str, digest: str, run_id: str | None) -> None:
        """See Tracker."""
        self._journal.append(
            "input",
            {"name": name, "source_url": source_url, "digest": digest, "run_id": run_id},
        )

    def close(self, *, status: str = "FINISHED") -> None:
        """See Tracker; what has not arrived by then stays in the journal, for the next start."""
        if self._is_closed:
            return
        self._is_closed = True
        self._journal.append("end", {"status": status})
        if self._shipper is not None:
            self._shipper.close()


def build_tracker(
    config: MlflowConfig | JsonlConfig | NoTrackingConfig,
    *,
    output_dir: str,
    run_name: str,
    resume_run_id: str | None = None,
) -> Tracker:
    """The tracker of rank 0; other ranks have a NullTracker.

    Args:
        config: what to keep.
        output_dir: of the run: where the journal is, if the config names no other place.
        run_name: for people; the config's own comes first.
        resume_run_id: `run_id` of an earlier part of the same run.

    Raises:
        ConfigError: the output is remote and the config names no local file for the journal.
    """
    if isinstance(config, NoTrackingConfig):
        return NullTracker()
    journal = Journal(_journal_path(config.journal, output_dir))
    if isinstance(config, JsonlConfig):
        return JsonlTracker(journal, run_name=run_name, resume_run_id=resume_run_id)
    store = f"sqlite:///{Path(DEFAULT_STORE).absolute()}"
    settings = MlflowSettings(
        tracking_uri=config.tracking_uri or store,
        experiment=config.experiment,
        system_metrics_seconds=config.system_metrics_seconds,
        request_timeout_seconds=config.request_timeout_seconds,
        max_backoff_seconds=config.max_backoff_seconds,
        close_seconds=config.close_seconds,
    )
    return JsonlTracker(
        journal,
        run_name=config.run_name or run_name,
        resume_run_id=resume_run_id,
        shipper=MlflowShipper(settings, journal),
    )


def _journal_path(given: str | None, output_dir: str) -> Path:
    url = given or storage.join(output_dir, "tracking.jsonl")
    if not storage.is_local(url):
        raise ConfigError(
            f"tracking.journal={url} is not a local file, and the run is buffered in one; "
            "set tracking.journal to a path on this machine"
        )
    return storage.local_path(url)


def flattened(tree: object, *, prefix: str = "") -> dict[str, Param]:
    """A nested config as `section.field` -> value; elements of lists by position."""
    if isinstance(tree, dict):
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple):
        items = [(str(number), value) for number, value in enumerate(tree)]
    else:
        assert tree is None or isinstance(tree, str | int | float | bool), type(tree)
        return {prefix: tree}
    found: dict[str, Param] = {}
    for key, value in items:
        found |= flattened(value, prefix=f"{prefix}.{key}" if prefix else key)
    return found
