"""A whole data job over HTTP and S3, on real sockets that misbehave: the bytes of a local job."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from contracts.errors import DataError
from contracts.remote_requests import RemoteConfig
from data_pipeline.records import Drop, RawRecord
from data_pipeline.sources import CommonCrawlConfig, CrawlConfig
from tests.data_job import run_verb, shard_hashes, write_crawl
from tests.web_server import PAGE, Mood, WebServer, web_server

CRAWL = "crawl-data/CC-TEST"
QUICK = RemoteConfig(
    backoff_seconds=0.001, max_backoff_seconds=0.01, max_attempts=6, requests_per_second=None
)
CONFIG = """
output_dir: {output_dir}
sources:
  - kind: common_crawl
    name: web
    crawl: {{id: CC-TEST, root: "{root}"}}
    unit_bytes: 60000
    remote: {{backoff_seconds: 0.01, max_backoff_seconds: 0.1}}
extractor: {{kind: resiliparse, is_main_content: false}}
filters: []
tokenizer: {{kind: train, vocab_size: 400}}
shards: {{seq_len: 64, chunk_tokens: 2048, shard_tokens: 4096}}
split: {{validation_fraction: 0.2, section_bytes: 2000}}
runner: {{kind: local}}
tracking: {{kind: none}}
"""


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small crawl with its listing."""
    root = tmp_path_factory.mktemp("crawl")
    write_crawl(root / CRAWL / "warc", num_files=3)
    names = sorted(str(path.relative_to(root)) for path in (root / CRAWL / "warc").iterdir())
    listing = gzip.compress("\n".join(names).encode(), mtime=0)
    (root / CRAWL / "warc.paths.gz").write_bytes(listing)
    return root


@pytest.fixture
def server(crawl: Path) -> Iterator[WebServer]:
    files = {
        f"/{path.relative_to(crawl)}": path.read_bytes()
        for path in crawl.rglob("*")
        if path.is_file()
    }
    with web_server(files) as found:
        yield found


@pytest.fixture(scope="module")
def local_hashes(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("local")
    run_job(folder, str(crawl), str(folder / "out"))
    return shard_hashes(folder / "out")


def run_job(folder: Path, root: str, output_dir: str, *overrides: str) -> None:
    config = folder / "job.yaml"
    config.write_text(CONFIG.format(output_dir=output_dir, root=root))
    done = run_verb("run", config, *overrides)
    assert done.returncode == 0, done.stderr


def records_of(root: str) -> list[RawRecord | Drop]:
    config = CommonCrawlConfig(
        crawl=CrawlConfig(id="CC-TEST", root=root), unit_bytes=3000, remote=QUICK
    )
    source = config.build()
    return [record for unit in source.plan() for record in source.records(unit)]


def test_a_job_over_a_server_that_misbehaves_gives_the_same_shards(
    server: WebServer, local_hashes: dict[str, str], tmp_path: Path
) -> None:
    troubles = [
        Mood(status=503, headers={"Retry-After": "0"}),
        Mood(cut_after=900),
        Mood(status=429),
        Mood(cut_after=0, resets=True),
        Mood(knows_ranges=False, cut_after=1500),
    ]
    server.moods = [mood for trouble in troubles for mood in (trouble, Mood())]
    run_job(tmp_path, server.url, str(tmp_path / "out"))
    assert len(server.moods) == 1
    assert shard_hashes(tmp_path / "out") == local_hashes


@pytest.mark.parametrize(
    "mood", [Mood(cut_after=1000), Mood(knows_ranges=False), Mood(cut_after=700, resets=True)]
)
def test_streams_that_break_lose_no_record_and_give_none_twice(
    server: WebServer, crawl: Path, mood: Mood
) -> None:
    expected = records_of(str(crawl))
    server.moods = [mood, Mood()] * 40
    assert records_of(server.url) == expected


def test_an_error_page_that_is_not_an_archive_is_named(server: WebServer) -> None:
    names = sorted(name for name in server.files if name.endswith(".warc.gz"))
    server.files[names[0]] = PAGE
    with pytest.raises(
        DataError, match=rf"{names[0]} is answered with status 200, but by a page .*<!DOCTYPE html>"
    ):
        records_of(server.url)


def test_a_listing_that_is_an_error_page_is_named(server: WebServer) -> None:
    server.files[f"/{CRAWL}/warc.paths.gz"] = PAGE
    with pytest.raises(
        DataError, match=r"listing http.*warc\.paths\.gz \(\d+ bytes, beginning b'<!DOCTYPE html>"
    ):
        records_of(server.url)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 endpoint of its own, and a bucket in it."""
    endpoint = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    endpoint.start()
    host, port = endpoint.get_host_and_port()
    settings = {
        **{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"},
        **{"AWS_DEFAULT_REGION": "us-east-1", "FSSPEC_S3_ENDPOINT_URL": f"http://{host}:{port}"},
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield "headwater-test"
    endpoint.stop()


def test_a_job_from_s3_to_s3_gives_the_same_shards(
    bucket: str, crawl: Path, local_hashes: dict[str, str], tmp_path: Path
) -> None:
    import s3fs

    store = s3fs.S3FileSystem(endpoint_url=os.environ["FSSPEC_S3_ENDPOINT_URL"])
    store.mkdir(bucket)
    store.put(str(crawl / "crawl-data"), f"{bucket}/in/crawl-data", recursive=True)
    output_dir = f"s3://{bucket}/out"
    run_job(tmp_path, f"s3://{bucket}/in", output_dir)

    def hashes() -> dict[str, str]:
        store.invalidate_cache()
        local = tmp_path / "copy"
        store.get(f"{bucket}/out/", str(local), recursive=True)
        return shard_hashes(local)

    assert hashes() == local_hashes
    before = set(store.find(f"{bucket}/out/documents"))
    run_job(tmp_path, f"s3://{bucket}/in", output_dir, "sources.web.crawl.first=2")
    store.invalidate_cache()
    after = set(store.find(f"{bucket}/out/documents"))
    assert after
    assert before - after  # what the smaller job has no use for is swept away
    local = tmp_path / "smaller"
    store.get(f"{bucket}/out/", str(local), recursive=True)
    assert shard_hashes(local) != local_hashes
