"""Hosts with addresses of their own, and a Ray cluster on them: network namespaces of this machine.

They are made by a script of the test data's folder; without it, without root, or without ssh and
iproute2 the tests that need them skip and say so. Their file system is shared.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.data_job import ROOT

NETWORK = "10.77.0"
PORT = 6379
START_SECONDS = 120
UP_TRIES = 5
RAY = str(Path(sys.executable).with_name("ray"))
TITLE = b"ray::data:"
"""Ray names a worker's process after the task it runs."""
IMPATIENCE = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
}
"""Ray waits about half a minute before it calls a silent host dead; tests have less."""


@dataclass(frozen=True)
class Hosts:
    """Hosts 1..n."""

    script: Path

    def call(self, *words: str) -> None:
        """A verb of the script."""
        subprocess.run([str(self.script), *words], check=True, capture_output=True)

    def command(self, host: int, *words: str) -> list[str]:
        """`words` as a command that runs on a host."""
        return [str(self.script), "run", str(host), *words]

    def processes(self, host: int) -> list[int]:
        """All processes of a host."""
        name = f"host{host}"
        done = subprocess.run(
            ["ip", "netns", "pids", name], capture_output=True, text=True, check=True
        )
        return [int(word) for word in done.stdout.split()]

    def kill(self, host: int, first: int | None = None) -> None:
        """SIGKILL every process of a host, `first` first: the machine is gone."""
        for pid in ([] if first is None else [first]) + self.processes(host):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def test_hosts(shared_data: Path, folder: Path, count: int) -> Iterator[Hosts]:
    """Hosts 1..count, up while the block lasts; HOSTS_DIR is set."""
    script = shared_data.parent / "tools" / "hosts.sh"
    missing = [name for name in ("pdsh", "ssh", "ip", "ssh-keygen") if shutil.which(name) is None]
    if not Path("/usr/sbin/sshd").exists():
        missing.append("sshd")
    if not script.exists() or missing or os.geteuid() != 0:
        pytest.skip(f"hosts need {script}, root, and {', '.join(missing) or 'nothing more'}")
    os.environ["HOSTS_DIR"] = str(folder / "state")
    try:
        for _ in range(UP_TRIES):  # what hosts of an earlier test leave goes a moment after them
            up = subprocess.run(
                [script, "up", str(count)], capture_output=True, text=True, check=False
            )
            if not up.returncode:
                break
            for host in range(1, count + 1):
                subprocess.run(
                    ["ip", "link", "del", f"hostsv{host}"], check=False, capture_output=True
                )
            time.sleep(1.0)
        else:
            pytest.skip(f"hosts cannot be made here: {up.stderr.strip()}")
        yield Hosts(script)
    finally:
        subprocess.run([script, "down"], check=False, capture_output=True)
        del os.environ["HOSTS_DIR"]


test_hosts.__test__ = False  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Running:
    """A task under way."""

    stage: str
    host: int
    pid: int


@dataclass
class RayCluster:
    """A head without CPUs on host 1, and workers on others; Ray's token is its own."""

    hosts: Hosts
    folder: Path
    num_hosts: int
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    _joining: dict[int, tuple["subprocess.Popen[bytes]", float]] = field(default_factory=dict)
    _wanted: set[int] = field(default_factory=set)
    _look_at: float = 0.0

    @property
    def address(self) -> str:
        """Where the head listens."""
        return f"{NETWORK}.1:{PORT}"

    @property
    def environment(self) -> dict[str, str]:
        """For all that joins the cluster."""
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "OMP_NUM_THREADS": "1"}
        return dict(os.environ) | own | IMPATIENCE | {"PYTHONPATH": str(ROOT)}

    def start_head(self, *, num_cpus: int = 0) -> None:
        """The head on host 1, without the dashboard."""
        words = ("--head", f"--port={PORT}", "--include-dashboard=false")
        started = self._start(1, *words, f"--num-cpus={num_cpus}", f"--temp-dir={self.folder}")
        assert started.wait(timeout=START_SECONDS) == 0, self.log(1)

    def have(self, *workers: int) -> None:
        """See to it that the head and these workers are up, and no others."""
        if not self._is_up(1):
            self.start_head()
        for host in range(2, self.num_hosts + 1):
            if host not in workers:
                self._wanted.discard(host)
                self.hosts.kill(host)
        for host in workers:
            self.join(host)
        while not all(self.is_joined(host) for host in workers):
            self.tend()
            time.sleep(0.1)

    def join(self, host: int) -> None:
        """Start a worker's host; not waited for. `tend` tries again what fails."""
        self._wanted.add(host)
        if not self._is_up(host) and host not in self._joining:
            words = (f"--address={self.address}", "--num-cpus=1")
            self._joining[host] = (self._start(host, *words), time.monotonic() + START_SECONDS)

    def tend(self) -> None:
        """Look after the hosts that are joining: on a busy machine Ray's start may time out.

        A raylet may also die right after a start that went well: it is started again.
        """
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + 1.0
            for host in self._wanted:
                self.join(host)
        for host, (process, deadline) in list(self._joining.items()):
            assert time.monotonic() < deadline, self.log(host)
            if process.poll() == 0:
                del self._joining[host]
            elif process.poll() is not None:
                self.hosts.kill(host)
                words = (f"--address={self.address}", "--num-cpus=1")
                self._joining[host] = (self._start(host, *words), deadline)

    def is_joined(self, host: int) -> bool:
        """Whether a host's Ray is up."""
        return host not in self._joining and self._is_up(host)

    def _is_up(self, host: int) -> bool:
        names = [_title(f"/proc/{pid}") for pid in self.hosts.processes(host)]
        return any(b"/raylet/raylet" in name for name in names)

    def _start(self, host: int, *words: str) -> subprocess.Popen[bytes]:
        command = self.hosts.command(
            host,
            *(RAY, "start", f"--node-ip-address={NETWORK}.{host}", "--disable-usage-stats"),
            *("--object-store-memory=100000000", *words),
        )
        with self._log_path(host).open("ab") as log:
            return subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def _log_path(self, host: int) -> Path:
        return self.folder / f"host{host}.log"

    def log(self, host: int) -> str:
        """What `ray start` said on a host."""
        return self._log_path(host).read_text(errors="replace")[-3000:]

    def run(self, host: int, *words: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command on a host, in the cluster's environment; its stderr goes to a file."""
        with log.open("wb") as stream:
            return subprocess.Popen(
                self.hosts.command(host, *words),
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )

    def running(self) -> list[Running]:
        """The tasks under way on all hosts."""
        found = []
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                title = _title(entry.path)
                if title.startswith(TITLE):
                    stage = title.removeprefix(TITLE).rstrip(b"\0").decode().partition("(")[0]
                    host = self._host_of(entry.path)
                    if host is not None:
                        found.append(Running(stage, host, int(entry.name)))
        return found

    def _host_of(self, process: str) -> int | None:
        inode = Path(process, "ns", "net").stat().st_ino
        for name in os.listdir("/run/netns"):  # noqa: PTH208 - names alone, many times a second
            if Path("/run/netns", name).stat().st_ino == inode:
                return int(name.removeprefix("host"))
        return None

    def wait_for_task(self, stage: str, job: subprocess.Popen[bytes]) -> Running:
        """The first task of a stage, as soon as it runs."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            for task in self.running():
                if task.stage == stage:
                    return task
            assert job.poll() is None, f"the job ended before {stage}"
            assert time.monotonic() < deadline
            time.sleep(0.002)


def _title(process: str) -> bytes:
    try:
        return Path(process, "cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def ray_cluster(hosts: Hosts, num_hosts: int) -> Iterator[RayCluster]:
    """A cluster on hosts 1..num_hosts, whose members come by `have` and `join`."""
    folder = Path(tempfile.mkdtemp(prefix="hwray", dir="/tmp"))  # socket paths must be short
    try:
        yield RayCluster(hosts, folder, num_hosts)
    finally:
        for host in range(1, num_hosts + 1):
            hosts.kill(host)
        shutil.rmtree(folder, ignore_errors=True)
