"""The crawl of known truth on Ray over two hosts, undisturbed and with one killed: the same bytes
as on one machine, so the truth that holds there holds here.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_pipeline.timeline import read_timeline
from tests.data_job import command, run_verb, shard_hashes
from tests.hosts import RayCluster, ray_cluster, test_hosts
from tests.truth import (
    LARGE_MEGABYTES,
    SMALL_MEGABYTES,
    Crawl,
    Truth,
    is_large,
    make_crawl,
    outcomes,
)

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(3600 if is_large() else 600)]
NUM_HOSTS = 3
"""The head and the driver on 1; 2 and 3 work."""


@pytest.fixture(scope="module")
def cluster(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    folder = tmp_path_factory.mktemp("hosts")
    with test_hosts(shared_data, folder, NUM_HOSTS) as hosts, ray_cluster(hosts, NUM_HOSTS) as up:
        yield up


@pytest.fixture(scope="module")
def crawl(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    megabytes = LARGE_MEGABYTES if is_large() else SMALL_MEGABYTES
    return make_crawl(tmp_path_factory.mktemp("truth"), shared_data, megabytes)


@pytest.fixture(scope="module")
def config(crawl: Crawl) -> Path:
    path = crawl.folder.parent / "job.yaml"
    path.write_text(crawl.config(crawl.folder.parent / "alone"))
    return path


@pytest.fixture(scope="module")
def alone(config: Path) -> dict[str, str]:
    """What one machine makes of it."""
    done = run_verb("run", config)
    assert done.returncode == 0, done.stderr
    return shard_hashes(config.parent / "alone")


@pytest.mark.parametrize("is_killed", [False, True], ids=["undisturbed", "killed"])
def test_two_hosts_make_what_one_machine_makes(
    cluster: RayCluster,
    crawl: Crawl,
    config: Path,
    alone: dict[str, str],
    tmp_path: Path,
    *,
    is_killed: bool,
) -> None:
    cluster.have(2, 3)
    output_dir = tmp_path / "out"
    runner = f"runner={{kind: ray, address: '{cluster.address}', retry: {{backoff_seconds: 0.1}}}}"
    words = command("run", config, f"output_dir={output_dir}", runner)
    log = tmp_path / "job.log"
    job = cluster.run(1, *words, log=log)
    task = cluster.wait_for_task("map", job)
    if is_killed:
        cluster.hosts.kill(task.host, first=task.pid)
    seen = set()
    while job.poll() is None:
        seen |= {task.host for task in cluster.running()}
        time.sleep(0.01)
    assert job.returncode == 0, log.read_text(errors="replace")
    retries = sum(report.num_retries for report in read_timeline(str(output_dir)))
    assert (retries > 0) if is_killed else (seen == {2, 3})
    assert shard_hashes(output_dir) == alone
    Truth.check(crawl, outcomes(output_dir)).require()
