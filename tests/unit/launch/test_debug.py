"""`python -m launch debug` is `python -m pretrain debug` in the environment of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.debug import debug_environment
from tests.training_runs import write_config


def test_the_environment_is_of_one_process() -> None:
    given = {"RANK": "3", "WORLD_SIZE": "8", "CUDA_VISIBLE_DEVICES": "2,3", "HOME": "/h"}
    found = debug_environment(given)
    assert "RANK" not in found
    assert "WORLD_SIZE" not in found
    assert (found["CUDA_VISIBLE_DEVICES"], found["HOME"]) == ("2", "/h")
    assert found["CUDA_LAUNCH_BLOCKING"] == "1"


def test_debug_keeps_the_process_and_passes_the_words_on(root: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    environment = os.environ | {"RANK": "1", "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "launch", "debug", str(config), "--steps", "1", "run.seed=9"]
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "seed=9 deterministic one process" in out
    assert "step=0 loss=" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "VERB"),
        (["unknown"], 2, "invalid choice"),
        (["debug", "missing.yaml"], 2, "config missing.yaml cannot be read"),
        (["--help"], 0, "one process, no launcher"),
    ],
)
def test_usage(root: Path, words: list[str], code: int, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "launch", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert message in done.stdout + done.stderr
