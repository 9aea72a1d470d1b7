"""Where parameters, metrics and artifacts go: MLflow, a JSON-lines file, or nowhere.

The only file that imports mlflow, and that only when an MlflowTracker is built. Logging is buffered
and
leaves the caller's path: a tracker that is down costs a warning, never a step.
"""

from collections.abc import Mapping
from typing import Protocol

Param = str | int | float | bool | None


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
