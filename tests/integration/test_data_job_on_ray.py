"""The same command on a Ray cluster: `ray job submit -- python -m data_pipeline run ...`."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_pipeline.runner.ray import CLUSTER_VARIABLE
from tests.data_job import ROOT, run_verb, shard_hashes, write_config, write_input

RAY = str(Path(sys.executable).with_name("ray"))
START_SECONDS = 90


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/version", timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401  # it is there, and wants Ray's token
    except (urllib.error.URLError, OSError):
        return False


@dataclass(frozen=True)
class Cluster:
    url: str
    token: str


def environment_of(token: str) -> dict[str, str]:
    """On the loopback alone, and only for who has the token."""
    own = {CLUSTER_VARIABLE: "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    return dict(os.environ) | own


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A Ray head on the loopback, with ports, a token and a folder of its own."""
    token = secrets.token_hex(32)
    port, dashboard, agent, metrics, agent_grpc, environment = free_ports(6)
    folder = Path(tempfile.mkdtemp(prefix="hwray", dir="/tmp"))  # socket paths must be short
    command = [
        *(RAY, "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "2"),
        *("--include-dashboard", "true", "--dashboard-host", "127.0.0.1"),
        *("--dashboard-port", str(dashboard), "--dashboard-agent-listen-port", str(agent)),
        *("--metrics-export-port", str(metrics), "--dashboard-agent-grpc-port", str(agent_grpc)),
        *("--runtime-env-agent-port", str(environment), "--temp-dir", str(folder)),
    ]
    log = folder / "head.log"
    with log.open("w") as out:
        head = subprocess.Popen(
            command, stdout=out, stderr=out, env=environment_of(token), start_new_session=True
        )
    url = f"http://127.0.0.1:{dashboard}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            assert head.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield Cluster(url, token)
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_ray_job_submit_runs_the_same_command(cluster: Cluster, tmp_path: Path) -> None:
    write_input(tmp_path / "in")
    config = write_config(
        tmp_path / "job.yaml", folder=tmp_path / "in", output_dir=tmp_path / "local"
    )
    submitted = subprocess.run(
        [
            *(RAY, "job", "submit", "--address", cluster.url, "--working-dir", str(ROOT), "--"),
            *(sys.executable, "-m", "data_pipeline", "run", str(config)),
            *(f"output_dir={tmp_path / 'ray'}", "runner.kind=ray", "runner.address=auto"),
        ],
        cwd=tmp_path,
        env=environment_of(cluster.token),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "succeeded" in submitted.stdout
    assert run_verb("run", config).returncode == 0
    assert shard_hashes(tmp_path / "ray") == shard_hashes(tmp_path / "local")
