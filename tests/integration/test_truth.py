"""Dedup and damage on a crawl whose truth is known: the bars, and the same bytes when killed."""

from pathlib import Path

import pytest

from tests.data_job import command, kill_when, run_verb, shard_hashes
from tests.truth import (
    LARGE_MEGABYTES,
    SMALL_MEGABYTES,
    Crawl,
    Truth,
    is_large,
    make_crawl,
    outcomes,
)

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(3600 if is_large() else 300)]


@pytest.fixture(scope="module")
def crawl(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    megabytes = LARGE_MEGABYTES if is_large() else SMALL_MEGABYTES
    return make_crawl(tmp_path_factory.mktemp("truth"), shared_data, megabytes)


@pytest.fixture(scope="module")
def config(crawl: Crawl) -> Path:
    path = crawl.folder.parent / "job.yaml"
    path.write_text(crawl.config(crawl.folder.parent / "out"))
    return path


@pytest.fixture(scope="module")
def output_dir(config: Path) -> Path:
    done = run_verb("run", config)
    assert done.returncode == 0, done.stderr
    return config.parent / "out"


def test_copies_are_found_and_no_page_is_lost(crawl: Crawl, output_dir: Path) -> None:
    truth = Truth.check(crawl, outcomes(output_dir))
    assert truth.exact.total() > len(crawl.rows) // 30
    assert truth.near.total() > 20
    truth.require()


def test_killed_in_the_middle_it_ends_with_the_same_bytes(
    config: Path, output_dir: Path, tmp_path: Path
) -> None:
    overrides = (f"output_dir={tmp_path / 'out'}", "runner.num_workers=2")
    for stage in ("map", "publish"):
        records = tmp_path / "out" / "ledger" / stage
        kill_when(
            lambda records=records: len(list(records.glob("*.json"))) >= 2,  # type: ignore[misc]
            command("run", config, *overrides),
        )
    done = run_verb("run", config, *overrides)
    assert done.returncode == 0, done.stderr
    assert shard_hashes(tmp_path / "out") == shard_hashes(output_dir)
