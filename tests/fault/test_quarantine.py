"""One bad file never ends a job: it is named, the rest is made, and the next run tries it again."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contracts.errors import EXIT_DONE, EXIT_FAILED, EXIT_QUARANTINED, DataError
from data_pipeline.quarantine import read_quarantine
from data_pipeline.timeline import read_timeline
from tests.data_job import run_verb, shard_hashes, write_config, write_input

QUICK = "runner.retry={max_attempts: 2, backoff_seconds: 0.0}"


class Server(ThreadingHTTPServer):
    """Serves a folder; every read of a file in `bad` fails, as that of a broken disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.bad: set[str] = set()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(is_head=True)

    def do_GET(self) -> None:
        self._answer(is_head=False)

    def _answer(self, *, is_head: bool) -> None:
        name = self.path.lstrip("/")
        if name in self.server.bad and not is_head:
            self.send_error(500)
            return
        data = (self.server.folder / name).read_bytes()
        given = self.headers.get("Range")
        if given is not None:
            first, _, last = given.removeprefix("bytes=").partition("-")
            part = data[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        else:
            part = data
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data if is_head else part)))
        self.end_headers()
        if not is_head:
            self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    write_input(tmp_path / "in")
    with Server(tmp_path / "in") as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def job(server: Server, tmp_path: Path) -> Path:
    path = write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")
    urls = ", ".join(server.url(f"web-{number:02d}.jsonl") for number in range(4))
    path.write_text(path.read_text().replace(f"{tmp_path}/in/web-*.jsonl", urls))
    return path


@pytest.mark.parametrize("workers", ["runner.num_workers=1", "runner.num_workers=2"])
def test_a_file_that_cannot_be_read_is_left_out_and_read_once_it_can_be(
    server: Server, tmp_path: Path, workers: str
) -> None:
    config = job(server, tmp_path)
    undisturbed = tmp_path / "undisturbed"
    assert run_verb("run", config, f"output_dir={undisturbed}").returncode == EXIT_DONE
    assert read_quarantine(str(undisturbed)) == ()

    server.bad = {"web-01.jsonl"}
    for _ in range(2):  # the second run tries the file again, and only that
        done = run_verb("run", config, workers, QUICK)
        assert done.returncode == EXIT_QUARANTINED, done.stderr
        assert "done, but 1 files were left out and 0 cut short" in done.stderr
        assert server.url("web-01.jsonl") in done.stderr
        assert "Traceback" not in done.stderr
    assert "stage=map units=6 done_before=5" in done.stderr
    (unit,) = read_quarantine(str(tmp_path / "out"))
    assert (unit.kind, unit.source, unit.url) == ("left_out", "web", server.url("web-01.jsonl"))
    assert unit.attempts == 2
    assert "500" in unit.error
    maps = [report for report in read_timeline(str(tmp_path / "out")) if report.stage == "map"]
    assert [report.num_quarantined for report in maps] == [1, 1]
    assert (tmp_path / "out" / "train" / "manifest.json").exists()
    assert shard_hashes(tmp_path / "out") != shard_hashes(undisturbed)

    server.bad = set()
    done = run_verb("run", config, workers, QUICK)
    assert done.returncode == EXIT_DONE, done.stderr
    assert read_quarantine(str(tmp_path / "out")) == ()
    assert shard_hashes(tmp_path / "out") == shard_hashes(undisturbed)
    assert "nothing to do" in run_verb("run", config, workers, QUICK).stdout


def test_when_most_of_a_source_cannot_be_read_the_job_fails(server: Server, tmp_path: Path) -> None:
    server.bad = {f"web-{number:02d}.jsonl" for number in range(3)}
    done = run_verb("run", job(server, tmp_path), QUICK)
    assert done.returncode == EXIT_FAILED
    assert "could not be read, more than max_drop_rate=0.5; the last one:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_list_that_is_none_is_named(tmp_path: Path) -> None:
    assert read_quarantine(str(tmp_path)) == ()
    for tree in ({}, {"schema_version": 9, "units": []}, {"schema_version": 1, "units": [{}]}):
        (tmp_path / "quarantine.json").write_text(json.dumps(tree))
        with pytest.raises(DataError, match=r"quarantine\.json is not a quarantine list: .*remove"):
            read_quarantine(str(tmp_path))
