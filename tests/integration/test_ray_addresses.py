"""A Ray that we start listens on the loopback alone: dashboard, agents, workers, all of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.data_job import ROOT

HOLD = """
import sys
from data_pipeline.runner import RayRunnerConfig, StageWork
runner = RayRunnerConfig(num_workers=2, include_dashboard=True).build()
list(runner.run(StageWork("s", abs, [1, 2, 3])))
print("up", flush=True)
sys.stdin.read()
runner.close()
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[psutil.Process]:
    """A driver with a Ray of its own, after its first tasks."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert any(line.strip() == "up" for line in process.stdout)
    yield psutil.Process(process.pid)
    process.stdin.close()
    process.wait(timeout=60)


def test_all_of_it_listens_on_the_loopback_alone(driver: psutil.Process) -> None:
    family = [driver, *driver.children(recursive=True)]
    listening = {
        (_program(process), connection.laddr.ip, connection.laddr.port)
        for process in family
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    programs = " ".join(program for program, _, _ in listening)
    for part in ("gcs", "raylet", "DashboardAgent", "RuntimeEnvAgent", "ray::"):
        assert part in programs
    assert len(listening) >= 8  # the dashboard, its agents, metrics and workers among them
    outside = {place for place in listening if place[1].removeprefix("::ffff:") != "127.0.0.1"}
    assert outside == set()


def _program(process: psutil.Process) -> str:
    """What it runs, without the folders: `gcs_server`, `python dashboard.py`, `ray::IDLE`."""
    return " ".join(Path(word).name for word in process.cmdline()[:3])
