"""One bad file never ends a job: it is named, the rest is made, and the next run tries it again."""

import json
from pathlib import Path

import pytest

from contracts.errors import EXIT_DONE, EXIT_QUARANTINED, DataError
from data_pipeline.quarantine import read_quarantine
from data_pipeline.timeline import read_timeline
from tests.data_job import run_verb, shard_hashes, write_config, write_input

QUICK = "runner.retry={max_attempts: 2, backoff_seconds: 0.0}"


def job(tmp_path: Path) -> Path:
    write_input(tmp_path / "in")
    return write_config(tmp_path / "j.yaml", folder=tmp_path / "in", output_dir=tmp_path / "out")


def break_disk_under(path: Path) -> bytes:
    """Let every read of a file fail with an input/output error; gives what it held."""
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("/proc/self/mem")  # nothing is mapped at its beginning
    with pytest.raises(OSError, match="Input/output error"):
        path.open("rb").read(1)
    return content


@pytest.mark.parametrize("workers", ["runner.num_workers=1", "runner.num_workers=2"])
def test_a_file_that_cannot_be_read_is_left_out_and_read_once_it_can_be(
    tmp_path: Path, workers: str
) -> None:
    config = job(tmp_path)
    undisturbed = tmp_path / "undisturbed"
    assert run_verb("run", config, f"output_dir={undisturbed}").returncode == EXIT_DONE
    assert read_quarantine(str(undisturbed)) == ()

    bad = tmp_path / "in" / "web-01.jsonl"
    content = break_disk_under(bad)
    for _ in range(2):  # the second run tries the file again, and only that
        done = run_verb("run", config, workers, QUICK)
        assert done.returncode == EXIT_QUARANTINED, done.stderr
        assert "done, but 1 files were left out and 0 cut short" in done.stderr
        assert str(bad) in done.stderr
        assert "Traceback" not in done.stderr
    assert "stage=map units=6 done_before=5" in done.stderr
    (unit,) = read_quarantine(str(tmp_path / "out"))
    assert (unit.kind, unit.source, unit.url) == ("left_out", "web", str(bad))
    assert unit.attempts == 2
    assert "Input/output error" in unit.error
    maps = [report for report in read_timeline(str(tmp_path / "out")) if report.stage == "map"]
    assert [(report.num_quarantined, report.num_retries) for report in maps] == [(1, 1), (1, 1)]
    assert (tmp_path / "out" / "train" / "manifest.json").exists()
    assert shard_hashes(tmp_path / "out") != shard_hashes(undisturbed)

    bad.unlink()
    bad.write_bytes(content)
    done = run_verb("run", config, workers, QUICK)
    assert done.returncode == EXIT_DONE, done.stderr
    assert read_quarantine(str(tmp_path / "out")) == ()
    assert shard_hashes(tmp_path / "out") == shard_hashes(undisturbed)
    assert "nothing to do" in run_verb("run", config, workers, QUICK).stdout


def test_a_list_that_is_none_is_named(tmp_path: Path) -> None:
    assert read_quarantine(str(tmp_path)) == ()
    for tree in ({}, {"schema_version": 9, "units": []}, {"schema_version": 1, "units": [{}]}):
        (tmp_path / "quarantine.json").write_text(json.dumps(tree))
        with pytest.raises(DataError, match=r"quarantine\.json is not a quarantine list: .*remove"):
            read_quarantine(str(tmp_path))
