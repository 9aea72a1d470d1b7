"""SIGTERM ends the step, saves, and every rank exits 75, whether a rank or the launcher has it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from contracts.config import Json
from contracts.errors import EXIT_STOPPED
from pretrain.checkpoint import committed_folders
from tests.ranks import ROOT, rank_environment, run_ranks, start_ranks
from tests.training_runs import kill_all, make_tree, series, wait_for_steps, write_config

ENDLESS = 1_000_000
STOP_SECONDS = 30
"""After a signal; DeepSpeed's launcher then kills the ranks."""


def endless_tree(folder: Path) -> dict[str, Json]:
    """A run that only a signal ends; its schedule does not depend on its length."""
    return make_tree(folder) | {
        "total_steps": ENDLESS,
        "schedule": {"kind": "constant"},
        "save_every_steps": None,
    }


def wait_for_note(output_dir: Path, *, signalled: float) -> None:
    """An error if the note of a stop does not stand in time."""
    while not (output_dir / "STOPPED.json").exists():
        assert time.monotonic() - signalled < STOP_SECONDS, f"no STOPPED.json in {STOP_SECONDS} s"
        time.sleep(0.05)


def stopped_step(output_dir: Path) -> int:
    stopped = json.loads((output_dir / "STOPPED.json").read_text())
    assert stopped["exit_code"] == EXIT_STOPPED
    assert stopped["signal"] in (signal.SIGTERM, 0)  # 0: another rank had it
    [checkpoint] = committed_folders(output_dir / "checkpoints")
    assert checkpoint.name == f"step-{stopped['step']:08d}"
    assert max(series(output_dir)) == stopped["step"]
    return int(stopped["step"])


def test_signal_to_one_rank_stops_all_and_the_run_goes_on(tmp_path: Path) -> None:
    config = write_config(tmp_path, endless_tree(tmp_path))
    arguments = ["-m", "pretrain", "train", str(config)]
    output_dir = tmp_path / "run"
    processes = start_ranks(arguments, 2)
    try:
        wait_for_steps(processes, output_dir, 2)
        for _ in range(3):
            os.kill(processes[1].pid, signal.SIGTERM)
        wait_for_note(output_dir, signalled=time.monotonic())
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        kill_all(processes)
    assert [process.returncode for process in processes] == [EXIT_STOPPED] * 2, outputs
    assert "Traceback" not in "".join(outputs), outputs
    step = stopped_step(output_dir)

    output = run_ranks([*arguments, f"total_steps={step + 2}"], 2)
    assert f"resume changes total_steps: {ENDLESS} -> {step + 2}" in output
    assert max(series(output_dir)) == step + 2
    assert not (output_dir / "STOPPED.json").exists()


@pytest.mark.parametrize(
    ("depth", "code"),
    [
        pytest.param(0, -signal.SIGTERM, id="command"),  # has no handler; its launcher goes on
        pytest.param(1, 1, id="launcher of the machine"),  # DeepSpeed's code for a signal
    ],
)
def test_signal_above_the_ranks_leaves_a_checkpoint_and_the_note(
    tmp_path: Path, depth: int, code: int
) -> None:
    config = write_config(tmp_path, endless_tree(tmp_path))
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("deepspeed")),
            *("--num_gpus", "2", "--module", "pretrain", "train", str(config)),
        ],
        cwd=ROOT,
        env=rank_environment(0, 0, 0),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for_steps([process], tmp_path / "run", 2)
        signalled = psutil.Process(process.pid)
        for _ in range(depth):
            signalled = signalled.children()[-1]
        signalled.send_signal(signal.SIGTERM)
        signalled.send_signal(signal.SIGTERM)
        wait_for_note(tmp_path / "run", signalled=time.monotonic())
        output = process.communicate(timeout=120)[0]  # ends when the last rank has
    finally:
        kill_all([process])
    assert process.returncode == code, output
    assert "Traceback" not in output, output
    reports = f"exits with return code = {EXIT_STOPPED}" in output  # the launcher, of a rank
    assert reports == (depth != 1), output
    stopped_step(tmp_path / "run")
