"""A data job on Ray over several hosts that die, hang, and come: the bytes of a quiet machine."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_pipeline.timeline import read_timeline
from tests.data_job import command, run_verb, shard_hashes, write_config, write_crawl, write_input
from tests.hosts import RayCluster, ray_cluster, test_hosts
from tests.truth import is_large

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(900)]
NUM_HOSTS = 4
"""The head and the driver on 1; 2, 3 and 4 work."""
JOB_SECONDS = 400
LOST = "attempt=1 failed"
"""In the log once a task's host is given up."""
CUT_SECONDS = 60.0 if is_large() else 1.0
"""How long a cable is out at least; further on until Ray gives its tasks up, or a minute."""
MAX_CUT_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    folder = tmp_path_factory.mktemp("hosts")
    with test_hosts(shared_data, folder, NUM_HOSTS) as hosts, ray_cluster(hosts, NUM_HOSTS) as up:
        yield up


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("input")
    write_input(folder / "in", num_files=0)
    write_crawl(folder / "in", num_files=6, num_documents=120)
    path = write_config(folder / "job.yaml", folder=folder / "in", output_dir=folder / "unused")
    text = path.read_text().replace("web-*.jsonl", "crawl-*.warc.gz")
    text = text.replace("kind: trafilatura", "kind: resiliparse")
    path.write_text(text.replace("kind: jsonl, name: web", "kind: common_crawl, name: web"))
    return path


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> dict[str, str]:
    """What one machine makes of it, with nothing in its way."""
    output_dir = config.parent / "undisturbed"
    done = run_verb("run", config, f"output_dir={output_dir}")
    assert done.returncode == 0, done.stderr
    return shard_hashes(output_dir)


@dataclass(frozen=True)
class Job:
    """A data job whose driver runs on host 1."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def ended(self) -> str:
        """The log, once the job has ended well."""
        code = self.process.wait(timeout=JOB_SECONDS)
        text = self.log.read_text(errors="replace")
        assert code == 0, text
        return text


def start(cluster: RayCluster, config: Path, output_dir: Path) -> Job:
    runner = f"runner={{kind: ray, address: '{cluster.address}', retry: {{backoff_seconds: 0.1}}}}"
    words = command("run", config, f"output_dir={output_dir}", runner)
    log = output_dir.with_suffix(".log")
    return Job(cluster.run(1, *words, log=log), log)


def test_a_host_that_dies_in_every_stage_changes_no_byte(
    cluster: RayCluster, config: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    cluster.have(2, 3, 4)
    job = start(cluster, config, tmp_path / "out")
    killed: set[str] = set()
    while job.process.poll() is None:
        for task in cluster.running():
            if task.stage not in killed:
                cluster.hosts.kill(task.host, first=task.pid)
                killed.add(task.stage)
                cluster.join(task.host)  # the machine is repaired, and comes back
                break
        cluster.tend()
        time.sleep(0.002)
    log = job.ended()
    assert shard_hashes(tmp_path / "out") == undisturbed
    assert {"map", "publish", "tokenizer", "write"} <= killed
    retries = {report.stage: report.num_retries for report in read_timeline(str(tmp_path / "out"))}
    assert all(retries[stage] > 0 for stage in killed), f"{retries}\n{log}"


def test_a_host_whose_cable_is_out_for_a_while_corrupts_nothing_when_it_is_back(
    cluster: RayCluster, config: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    cluster.have(2, 3)
    job = start(cluster, config, tmp_path / "out")
    host = cluster.wait_for_task("map", job.process).host
    cluster.hosts.call("cut", str(host))
    cut_at = time.monotonic()
    while (out_for := time.monotonic() - cut_at) < CUT_SECONDS or (
        out_for < MAX_CUT_SECONDS and LOST not in job.log.read_text(errors="replace")
    ):
        assert job.process.poll() is None, job.log.read_text(errors="replace")
        time.sleep(0.1)
    cluster.hosts.call("heal", str(host))
    job.ended()
    assert shard_hashes(tmp_path / "out") == undisturbed


def test_a_host_that_joins_takes_its_part(
    cluster: RayCluster, config: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    cluster.have(2)
    job = start(cluster, config, tmp_path / "out")
    cluster.wait_for_task("map", job.process)
    cluster.join(3)
    hosts_at_work = set()
    while job.process.poll() is None:
        cluster.tend()
        hosts_at_work |= {task.host for task in cluster.running()}
        time.sleep(0.002)
    job.ended()
    assert hosts_at_work == {2, 3}
    assert shard_hashes(tmp_path / "out") == undisturbed


@pytest.mark.skipif(not is_large(), reason="another cluster to start: `make test-data` runs it")
def test_when_the_head_dies_the_same_command_goes_on(
    cluster: RayCluster, config: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    cluster.have(2, 3)
    job = start(cluster, config, tmp_path / "out")
    records = tmp_path / "out" / "ledger" / "map"
    while not records.is_dir() or not list(records.glob("*.json")):
        assert job.process.poll() is None
        time.sleep(0.01)
    cluster.hosts.kill(1)  # the driver runs there as well
    assert job.process.wait(timeout=30) != 0
    cluster.have()
    cluster.have(2, 3)
    again = start(cluster, config, tmp_path / "out")
    assert "done_before=0" not in again.ended().splitlines()[0]
    assert shard_hashes(tmp_path / "out") == undisturbed
