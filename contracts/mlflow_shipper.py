"""Ships the journal of a run to MLflow, from a thread that reads behind the writer.

It sends what it finds in batches and notes in `<journal>.sent` how far it came. A server that does
not answer is tried again with growing pauses, while the journal grows. Entries carry their own
time, so sending one twice changes nothing.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from contracts.journal import Entry, Journal
from contracts.mlflow_run import MlflowRun, Refused

logger = logging.getLogger(__name__)

_BATCH_BYTES = 1 << 19
_POLL_SECONDS = 0.5
_FIRST_TRY_SECONDS = 15.0
"""A save waits so long for the run's id, once; without it the journal's own id does as well."""
_MAX_WARNINGS = 3


@dataclass(frozen=True)
class MlflowSettings:
    """What the shipper needs of the config."""

    tracking_uri: str
    experiment: str
    system_metrics_seconds: float
    request_timeout_seconds: float
    max_backoff_seconds: float
    close_seconds: float


class MlflowShipper:
    """The thread between a journal and MLflow."""

    def __init__(self, settings: MlflowSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._sent_path = journal.path.with_name(journal.path.name + ".sent")
        self._tried = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._ship, name="mlflow", daemon=True)
        self._run_key = ""
        self._server_run_id: str | None = None
        self._experiment_id: str | None = None
        self._offset = 0
        self._num_refused = 0
        self._next_sample = time.monotonic()

    def start(self, run_key: str) -> None:
        """Begin to ship; `run_key` is the id in the journal's last `start`."""
        self._run_key = run_key
        os.environ.setdefault(
            "MLFLOW_HTTP_REQUEST_TIMEOUT",
            str(max(1, round(self._settings.request_timeout_seconds))),
        )
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # the loop below tries again
        os.environ.setdefault(
            "MLFLOW_DISABLE_TELEMETRY", "true"
        )  # nothing is told to third parties
        self._thread.start()

    @property
    def run_id(self) -> str | None:
        """The server's id of the run, None while it has not answered; waits for the first try."""
        self._tried.wait(_FIRST_TRY_SECONDS)
        self._tried.set()
        return self._server_run_id

    @property
    def page(self) -> str:
        """The command or address that shows the run."""
        uri = self._settings.tracking_uri
        if not uri.startswith("http"):
            return f"mlflow ui --backend-store-uri {uri}"
        if self._server_run_id is None:
            return uri
        return f"{uri.rstrip('/')}/#/experiments/{self._experiment_id}/runs/{self._server_run_id}"

    def close(self) -> None:
        """Let the thread finish what the journal holds, for `close_seconds` at most."""
        self._closing.set()
        self._thread.join(self._settings.close_seconds)
        unsent = self._journal.size_bytes() - self._offset
        if unsent > 0:
            logger.warning(
                "mlflow at %s has not taken the last %d bytes of %s; they are sent when the run "
                "resumes",
                self._settings.tracking_uri,
                unsent,
                self._journal.path,
            )

    def _ship(self) -> None:
        """The thread: send; after a failure wait and try again; end when closed and all is sent."""
        failures = 0
        run: MlflowRun | None = None
        while True:
            try:
                run = run or self._connected()
                is_all_sent = self._send_some(run)
            except Exception as error:  # noqa: BLE001 - whatever mlflow raises must not end the run
                failures += 1
                self._after_failure(failures, error)
                continue
            if failures:
                logger.info("mlflow answers again uri=%s", self._settings.tracking_uri)
                failures = 0
            if is_all_sent:
                if self._closing.is_set():
                    return
                self._closing.wait(_POLL_SECONDS)

    def _after_failure(self, failures: int, error: Exception) -> None:
        self._tried.set()
        if failures == 1:
            logger.warning(
                "mlflow at %s takes nothing at the moment (%s); the run goes on, its metrics "
                "wait in %s",
                self._settings.tracking_uri,
                str(error).partition("\n")[0][:300],
                self._journal.path,
            )
        pause = min(2.0 ** min(failures - 1, 16), self._settings.max_backoff_seconds)
        if self._closing.is_set():
            time.sleep(min(pause, 1.0))
        else:
            self._closing.wait(pause)

    def _connected(self) -> MlflowRun:
        sent = self._read_sent()
        self._offset = int(sent.get("offset", 0))
        return MlflowRun(
            self._settings.tracking_uri, self._settings.experiment, run_id=sent.get("run_id")
        )

    def _read_sent(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._sent_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def _note_sent(self, offset: int, run_id: str | None) -> None:
        self._offset = offset
        partial = self._sent_path.with_name(self._sent_path.name + ".partial")
        partial.write_text(json.dumps({"offset": offset, "run_id": run_id}), encoding="utf-8")
        partial.replace(self._sent_path)

    def _send_some(self, run: MlflowRun) -> bool:
        """Send one batch of entries; whether nothing is left."""
        for group in _grouped(self._journal.read(self._offset, max_bytes=_BATCH_BYTES)):
            entries = [entry for _, entry in group]
            try:
                run.send(entries)
            except Refused as error:
                self._warn_refused(entries[0], error)
            self._note_sent(group[-1][0], run.run_id)
            if run.run_key == self._run_key:
                self._experiment_id, self._server_run_id = run.experiment_id, run.run_id
                self._tried.set()
        self._sample_system(run)
        return self._offset >= self._journal.size_bytes()

    def _sample_system(self, run: MlflowRun) -> None:
        interval = self._settings.system_metrics_seconds
        if not interval or self._closing.is_set() or time.monotonic() < self._next_sample:
            return
        self._next_sample = time.monotonic() + interval
        step, values = run.system_metrics()
        self._journal.append("metrics", {"step": step, "values": values})

    def _warn_refused(self, entry: Entry, error: Refused) -> None:
        self._num_refused += 1
        if self._num_refused <= _MAX_WARNINGS:
            logger.warning("mlflow refuses event=%s, left out: %s", entry["event"], error)


def _grouped(entries: Sequence[tuple[int, Entry]]) -> Iterator[list[tuple[int, Entry]]]:
    """Neighbours that go in one request: metrics with metrics; everything else alone."""
    numbered = enumerate(entries)
    for _, group in groupby(
        numbered, key=lambda item: -1 if item[1][1]["event"] == "metrics" else item[0]
    ):
        yield [item for _, item in group]
