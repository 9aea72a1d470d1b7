"""The verbs as a user types them: exit codes, messages, and what they print."""

import json
import re
from pathlib import Path

import pytest

from contracts.shards import read_manifest
from tests.data_job import run_verb, shard_hashes, write_config, write_input


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    write_input(folder / "in", num_files=2)
    config = write_config(folder / "job.yaml", folder=folder / "in", output_dir=folder / "out")
    done = run_verb("run", config)
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout
    assert "report.html" in done.stdout
    return config


def test_run_again_says_that_nothing_is_to_do(path: Path) -> None:
    done = run_verb("run", path)
    assert (done.returncode, done.stdout) == (
        0,
        f"{path.parent / 'out'} is finished: nothing to do\n",
    )


def test_the_folder_holds_what_the_documentation_says(path: Path) -> None:
    found = {item.name for item in (path.parent / "out").iterdir()}
    assert {
        *("config.yaml", "ledger", "work", "documents", "signatures", "tokenizer"),
        *("train", "validation", "report.json", "report.html"),
    } <= found
    report = json.loads((path.parent / "out" / "report.json").read_text())
    assert report["num_in"] == report["num_kept"] + report["num_dropped"] == 120


def test_check_prints_json(path: Path) -> None:
    done = run_verb("check", path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"]["web"]["units"] == 2


def test_inspect_prints_a_row(path: Path) -> None:
    done = run_verb("inspect", path, "row=train/web-00000:1")
    assert done.returncode == 0, done.stderr
    assert "--- tokens 0 to" in done.stdout


def test_repack_gives_what_the_job_gives_at_that_row_length(path: Path, tmp_path: Path) -> None:
    done = run_verb("repack", path, "seq_len=128", f"output={tmp_path / 'repacked'}")
    assert done.returncode == 0, done.stderr
    assert "rows of 128" in done.stdout
    made = run_verb("run", path, "shards.seq_len=128", f"output_dir={tmp_path / 'made'}")
    assert made.returncode == 0, made.stderr
    assert shard_hashes(tmp_path / "repacked") == shard_hashes(tmp_path / "made")
    assert read_manifest(str(tmp_path / "repacked" / "train")).seq_len == 128


@pytest.mark.parametrize(
    ("verb", "overrides", "code", "message"),
    [
        ("run", ["shards.seqlen=1"], 2, "ConfigError: .*seqlen: Extra inputs are not permitted"),
        ("run", ["sources.web.files=[/nowhere/*]"], 1, "no file matches '/nowhere/"),
        ("inspect", [], 2, "0 selections given, expected one of doc_id="),
        ("inspect", ["row=train/web-00000:1", "uri=a"], 2, "2 selections given"),
        ("repack", ["seq_len=0"], 2, "repack: 1 wrong value.*seq_len"),
    ],
)
def test_what_cannot_be_done_is_one_message(
    path: Path, verb: str, overrides: list[str], code: int, message: str
) -> None:
    done = run_verb(verb, path, *overrides)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr, flags=re.DOTALL), done.stderr


def test_a_job_runs_from_a_folder_of_relative_paths(tmp_path: Path) -> None:
    write_input(tmp_path / "in", num_files=1)
    config = write_config(tmp_path / "job.yaml", folder=Path("in"), output_dir=Path("out"))
    done = run_verb("run", config, "runner.num_workers=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "train" / "manifest.json").exists()
    assert (tmp_path / "out" / "validation" / "manifest.json").exists()
