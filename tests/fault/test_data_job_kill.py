"""A data job that is killed goes on where it was, and ends with the same bytes."""

import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.data_job import (
    ROOT,
    command,
    kill_when,
    run_verb,
    shard_hashes,
    write_config,
    write_crawl,
    write_input,
)

NUM_FILES = 10
NUM_TRIES = 5
"""Kills until one falls between the first byte of a shard and its last."""
RAY = "runner={kind: ray, num_workers: 2}"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("input")
    write_input(folder / "in", num_files=0)
    write_crawl(folder / "in", num_files=NUM_FILES)
    path = write_config(folder / "job.yaml", folder=folder / "in", output_dir=folder / "unused")
    text = path.read_text().replace("web-*.jsonl", "crawl-*.warc.gz")
    path.write_text(text.replace("kind: jsonl, name: web", "kind: common_crawl, name: web"))
    return path


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> dict[str, str]:
    output_dir = config.parent / "undisturbed"
    done = run_verb("run", config, f"output_dir={output_dir}")
    assert done.returncode == 0, done.stderr
    hashes = shard_hashes(output_dir)
    assert len(hashes) > 8
    return hashes


def num_records(output_dir: Path, stage: str) -> int:
    return len(list((output_dir / "ledger" / stage).glob("*.json")))


MOMENTS = [("map", 1), ("publish", 2), ("write", 1)]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_killed_three_times_it_ends_with_the_same_shards(
    config: Path, undisturbed: dict[str, str], tmp_path: Path, num_workers: int
) -> None:
    output_dir = tmp_path / "out"
    overrides = (f"output_dir={output_dir}", f"runner.num_workers={num_workers}")
    for stage, count in MOMENTS:
        kill_when(
            lambda stage=stage, count=count: num_records(output_dir, stage) >= count,  # type: ignore[misc]
            command("run", config, *overrides),
        )
        assert not (output_dir / "train" / "manifest.json").exists()
    num_mapped = num_records(output_dir, "map")
    assert num_mapped == NUM_FILES + 2
    done = run_verb("run", config, *overrides)
    assert done.returncode == 0, done.stderr
    assert f"stage=map units={num_mapped} done_before={num_mapped}" in done.stderr
    assert shard_hashes(output_dir) == undisturbed
    assert list(output_dir.rglob("*.partial")) == []


def test_killed_in_the_middle_of_a_shard_it_ends_with_the_same_shards(
    config: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    output_dir = tmp_path / "out"
    overrides = (f"output_dir={output_dir}",)

    def is_half_written() -> bool:
        for path in (output_dir / "work" / "write").glob(".*.tar.*.partial"):
            with contextlib.suppress(FileNotFoundError):  # just renamed: whole now
                if path.stat().st_size > 0:
                    return True
        return False

    for _ in range(NUM_TRIES):
        kill_when(is_half_written, command("run", config, *overrides))
        if is_half_written():
            break
        shutil.rmtree(output_dir / "ledger" / "write", ignore_errors=True)  # ended in between
    assert is_half_written()
    done = run_verb("run", config, *overrides)
    assert done.returncode == 0, done.stderr
    assert "removed" in done.stderr
    assert shard_hashes(output_dir) == undisturbed
    assert list(output_dir.rglob("*.partial")) == []


def test_killed_on_ray_it_ends_with_the_same_shards(
    config: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    output_dir = tmp_path / "out"
    overrides = (f"output_dir={output_dir}", RAY)
    kill_when(lambda: num_records(output_dir, "map") >= 2, command("run", config, *overrides))
    done = run_verb("run", config, *overrides)
    assert done.returncode == 0, done.stderr
    assert shard_hashes(output_dir) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_75_and_says_how_to_go_on(
    config: Path, undisturbed: dict[str, str], tmp_path: Path, number: int
) -> None:
    output_dir = tmp_path / "out"
    overrides = (f"output_dir={output_dir}", "runner.num_workers=2")
    job = subprocess.Popen(
        command("run", config, *overrides), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while num_records(output_dir, "map") < 1:
        assert job.poll() is None
        time.sleep(0.001)
    job.send_signal(number)
    _, log = job.communicate(timeout=60)
    assert job.returncode == 75, log
    assert "run the same command again" in log
    assert "Traceback" not in log
    assert run_verb("run", config, *overrides).returncode == 0
    assert shard_hashes(output_dir) == undisturbed


def test_a_full_disk_is_named_without_a_traceback(config: Path, tmp_path: Path) -> None:
    # A limit on the size of files acts as a full disk does: EFBIG in place of ENOSPC.
    limited = "ulimit -f 8; exec " + " ".join(
        f"'{part}'" for part in command("run", config, f"output_dir={tmp_path / 'out'}")
    )
    done = subprocess.run(
        ["bash", "-c", limited], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "make room" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.rglob("*.partial")) == []


def test_a_folder_that_cannot_be_written_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_verb("run", config, f"output_dir={tmp_path / 'file' / 'out'}")
    assert done.returncode == 1
    assert "cannot be written: Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_file_that_is_no_data_does_not_stop_the_job(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=3)
    (tmp_path / "in" / "web-99.jsonl").write_bytes(b"\x00\xff\xfe no json\n" * 3)
    config = write_config(
        tmp_path / "job.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out"
    )
    done = run_verb("run", config)
    assert done.returncode == 0, done.stderr
    assert "read:" in done.stdout
