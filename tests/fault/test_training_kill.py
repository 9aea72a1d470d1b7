"""Training killed at any moment goes on as if nothing had happened, bit for bit in fp32.

With dropout and two micro-batches a step, so that random generators and accumulation count too.
"""

import random
import time
from pathlib import Path

from pretrain.checkpoint import COMMITTED, committed_folders
from tests.ranks import run_ranks, start_ranks
from tests.training_runs import (
    GLOBAL_BATCH_SIZE,
    TOTAL_STEPS,
    kill_all,
    make_tree,
    require_running,
    series,
    wait_for_steps,
    write_config,
)

NUM_RANKS = 2
MICRO_BATCH_SIZE = 2


def is_being_written(checkpoint: Path, *, since_ns: int) -> bool:
    """Whether a checkpoint has a folder of this start, but no marker."""
    return checkpoint.stat().st_mtime_ns > since_ns and not (checkpoint / COMMITTED).exists()


def kill_within_a_save(arguments: list[str], checkpoints: Path) -> Path:
    """Kill the ranks while the newest checkpoint has no marker; again, should it yet get one."""
    while True:
        since_ns = time.time_ns()
        processes = start_ranks(arguments, NUM_RANKS)
        deadline = time.monotonic() + 120
        # Of the newest alone: an old one loses its marker when it is removed.
        while not is_being_written(newest := max(checkpoints.glob("step-*")), since_ns=since_ns):
            require_running(processes)  # at the run's last step there is nothing left to try
            assert time.monotonic() < deadline
        kill_all(processes)
        if not (newest / COMMITTED).exists():
            return newest


def test_killed_training_resumes_with_the_same_losses(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    model = tree["model"]
    assert isinstance(model, dict)
    model["dropout"] = 0.1
    tree["batch"] = {"micro_batch_size": MICRO_BATCH_SIZE, "global_batch_size": GLOBAL_BATCH_SIZE}
    assert MICRO_BATCH_SIZE * NUM_RANKS * 2 == GLOBAL_BATCH_SIZE
    config = write_config(tmp_path, tree | {"save_every_steps": 3})
    train = ["-m", "pretrain", "train", str(config)]
    undisturbed = tmp_path / "undisturbed"
    run_ranks([*train, f"run.output_dir={undisturbed}"], NUM_RANKS)
    expected = series(undisturbed)
    assert sorted(expected) == list(range(1, TOTAL_STEPS + 1))

    killed = tmp_path / "killed"
    arguments = [*train, f"run.output_dir={killed}"]
    processes = start_ranks(arguments, NUM_RANKS)
    wait_for_steps(processes, killed, random.randrange(4, 6))
    kill_all(processes)
    torn = kill_within_a_save([*arguments, "save_every_steps=1"], killed / "checkpoints")
    whole = committed_folders(killed / "checkpoints")
    assert torn.is_dir()
    assert not (torn / COMMITTED).exists()
    assert whole
    assert max(whole) < torn
    output = run_ranks(arguments, NUM_RANKS)

    assert f"resumed checkpoint={whole[-1]}" in output
    assert series(killed) == expected
    assert series(killed, "train/grad_norm") == series(undisturbed, "train/grad_norm")
