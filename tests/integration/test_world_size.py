"""2 ranks -> 1 -> 2, with other ZeRO stages: the same samples, and losses within 1e-5 in fp32."""

from pathlib import Path

import pytest

from pretrain.checkpoint import committed_folders, read_meta
from tests.ranks import run_ranks
from tests.training_runs import GLOBAL_BATCH_SIZE, make_tree, series, write_config

TOLERANCE = 1e-5


def test_resharded_run_sees_the_same_samples_and_losses(tmp_path: Path) -> None:
    tree = make_tree(tmp_path) | {
        "schedule": {"kind": "constant", "warmup_steps": 2},
        "save_every_steps": None,
        "total_steps": 9,
    }
    config = write_config(tmp_path, tree)
    train = ["-m", "pretrain", "train", str(config)]
    run_ranks([*train, f"run.output_dir={tmp_path / 'undisturbed'}"], 2)

    changed = tmp_path / "changed"
    arguments = [*train, f"run.output_dir={changed}"]
    run_ranks([*arguments, "total_steps=3"], 2)
    refused = run_ranks([*arguments, "total_steps=6"], 0, expect=1)
    assert "zero_stage=2 dp_world_size=2, this run has engine=deepspeed zero_stage=2" in refused
    assert "set checkpoint.reshard=true" in refused
    one_rank = ["total_steps=6", "engine.zero_stage=3", "checkpoint.reshard=true"]
    output = run_ranks([*arguments, *one_rank], 0)
    assert "zero_stage=2 dp_world_size=2 -> engine=deepspeed zero_stage=3 dp_world_size=1" in output
    run_ranks([*arguments, "engine.zero_stage=1", "checkpoint.reshard=true"], 2)

    expected, found = series(tmp_path / "undisturbed"), series(changed)
    assert sorted(found) == list(range(1, 10))
    for step, loss in expected.items():
        assert found[step] == pytest.approx(loss, abs=TOLERANCE), step
    targets = "train/target_tokens"
    assert series(changed, targets) == series(tmp_path / "undisturbed", targets)
    metas = [read_meta(path) for path in committed_folders(changed / "checkpoints")]
    assert [meta.state.loader.samples_consumed for meta in metas] == [
        step * GLOBAL_BATCH_SIZE for step in (3, 6, 9)
    ]
    assert len({meta.run_id for meta in metas}) == 1
