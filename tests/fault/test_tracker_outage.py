"""MLflow dies before, during and after a run: the run goes on, and the server gets all of it
later."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contracts.tracking import MlflowConfig, Tracker, build_tracker
from tests.ranks import free_port

START_SECONDS = 180


class Server:
    """A local `mlflow server` over one sqlite file, reached through a port that can be shut.

    Starting the real server takes many seconds; a shut port refuses connections as a dead one does.
    """

    def __init__(self, folder: Path) -> None:
        self._target = free_port()
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._log = folder / "server.log"
        self._loop = asyncio.new_event_loop()
        self._gate: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self._target), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
        command += ["--artifacts-destination", str(folder / "artifacts")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        wait_for(self._is_up, START_SECONDS)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            url = f"http://127.0.0.1:{self._target}/health"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def start(self) -> None:
        """Let connections through."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def kill(self) -> None:
        """Refuse connections, and break those that stand."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()

    def end(self) -> None:
        """Stop for good."""
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    async def _open(self) -> None:
        if self._gate is None:
            self._gate = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def _shut(self) -> None:
        if self._gate is not None:
            self._gate.close()
            self._gate = None
        for writer in self._connections:
            writer.transport.abort()
        self._connections.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._connections |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.end()


def tracker_of(server: Server, folder: Path, **fields: Any) -> Tracker:
    config = MlflowConfig(
        tracking_uri=server.uri,
        system_metrics_seconds=0,
        request_timeout_seconds=5,
        max_backoff_seconds=0.5,
        close_seconds=fields.pop("close_seconds", 30.0),
    )
    return build_tracker(config, output_dir=str(folder), run_name="outage", **fields)


def log_steps(tracker: Tracker, start: int, stop: int) -> float:
    """Log as a training loop does; the longest a call took, in seconds."""
    longest = 0.0
    for step in range(start, stop):
        before = time.perf_counter()
        tracker.log_metrics(step, {"train/loss": 1.0 / (step + 1), "train/lr": 0.1})
        longest = max(longest, time.perf_counter() - before)
    return longest


def steps_on(server: Server, run_id: str | None) -> list[int]:
    import mlflow

    assert run_id is not None
    history = mlflow.MlflowClient(server.uri).get_metric_history(run_id, "train/loss")
    return sorted(metric.step for metric in history)


def test_a_server_killed_in_the_middle_gets_everything_when_it_is_back(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.start()
    with caplog.at_level(logging.INFO):
        tracker = tracker_of(server, tmp_path)
        longest = log_steps(tracker, 0, 50)
        run_id = tracker.run_id
        wait_for(lambda: steps_on(server, run_id) == list(range(50)), 30)
        server.kill()
        longest = max(longest, log_steps(tracker, 50, 150))
        wait_for(lambda: "takes nothing at the moment" in caplog.text, 30)
        longest = max(longest, log_steps(tracker, 150, 200))
        server.start()
        wait_for(lambda: "mlflow answers again" in caplog.text, 30)
        tracker.close()
    assert steps_on(server, run_id) == list(range(200))
    assert longest < 1.0  # a call is one line in a local file
    assert caplog.text.count("takes nothing at the moment") == 1  # one warning for one outage
    assert run_id is not None
    assert tracker.page is not None
    assert run_id in tracker.page


def test_a_server_that_is_dead_all_along_delays_only_the_end_and_the_next_start_delivers(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    with caplog.at_level(logging.WARNING):
        tracker = tracker_of(server, tmp_path, close_seconds=2.0)
        log_steps(tracker, 0, 30)
        run_id = tracker.run_id
        before = time.monotonic()
        tracker.close(status="KILLED")
        assert time.monotonic() - before < 5
    assert run_id is not None
    assert run_id.startswith("local-")
    assert "has not taken the last" in caplog.text
    assert str(tmp_path / "tracking.jsonl") in caplog.text

    server.start()
    again = tracker_of(server, tmp_path, resume_run_id=run_id)
    log_steps(again, 25, 40)  # five steps are trained again after the resume
    again.close()
    server_id = again.run_id
    assert server_id is not None
    assert not server_id.startswith("local-")
    assert steps_on(server, server_id) == list(range(40))

    third = tracker_of(server, tmp_path, resume_run_id=run_id)  # as an old checkpoint names it
    log_steps(third, 40, 41)
    third.close()
    assert third.run_id == server_id


def test_a_killed_process_leaves_its_entries_to_the_next_one(
    server: Server, tmp_path: Path, root: Path
) -> None:
    server.kill()
    code = (
        "import os, signal\n"
        "from contracts.tracking import MlflowConfig, build_tracker\n"
        f"config = MlflowConfig(tracking_uri={server.uri!r}, system_metrics_seconds=0)\n"
        f"tracker = build_tracker(config, output_dir={str(tmp_path)!r}, run_name='killed')\n"
        "for step in range(20):\n"
        "    tracker.log_metrics(step, {'train/loss': 1.0})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    server.start()
    import mlflow

    tracker = tracker_of(server, tmp_path)  # the process never saved an id, so this is a new run
    log_steps(tracker, 0, 3)
    tracker.close()
    client = mlflow.MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("headwater")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "attributes.run_name = 'killed'")
    assert len(runs) == 1
    assert steps_on(server, runs[0].info.run_id) == list(range(20))
    assert steps_on(server, tracker.run_id) == [0, 1, 2]
