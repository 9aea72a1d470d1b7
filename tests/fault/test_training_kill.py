"""Training killed at any moment goes on as if nothing had happened, bit for bit in fp32."""

import random
import time
from pathlib import Path

from pretrain.checkpoint import COMMITTED, committed_folders
from tests.ranks import run_ranks, start_ranks
from tests.training_runs import (
    TOTAL_STEPS,
    kill_all,
    make_tree,
    require_running,
    series,
    wait_for_steps,
    write_config,
)


def kill_within_a_save(arguments: list[str], checkpoints: Path) -> Path:
    """Start two ranks and kill them while a checkpoint has a folder but no marker."""
    before = set(checkpoints.glob("step-*"))
    processes = start_ranks(arguments, 2)
    deadline = time.monotonic() + 120
    while not (new := set(checkpoints.glob("step-*")) - before):
        require_running(processes)
        assert time.monotonic() < deadline
    kill_all(processes)
    return new.pop()


def test_killed_training_resumes_with_the_same_losses(tmp_path: Path) -> None:
    config = write_config(tmp_path, make_tree(tmp_path) | {"save_every_steps": 3})
    train = ["-m", "pretrain", "train", str(config)]
    undisturbed = tmp_path / "undisturbed"
    run_ranks([*train, f"run.output_dir={undisturbed}"], 2)
    expected = series(undisturbed)
    assert sorted(expected) == list(range(1, TOTAL_STEPS + 1))

    killed = tmp_path / "killed"
    arguments = [*train, f"run.output_dir={killed}"]
    processes = start_ranks(arguments, 2)
    wait_for_steps(processes, killed, random.randrange(4, 6))
    kill_all(processes)
    torn = kill_within_a_save(arguments, killed / "checkpoints")
    whole = committed_folders(killed / "checkpoints")
    assert whole
    if not (torn / COMMITTED).exists():
        assert torn not in whole
    output = run_ranks(arguments, 2)

    assert f"resumed checkpoint={whole[-1]}" in output
    assert series(killed) == expected
