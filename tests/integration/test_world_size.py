"""2 ranks -> 1 -> 2 -> 1 -> 2, by other ZeRO stages and the plain engine: the same samples by name,
and losses within 1e-5 in fp32."""

from itertools import islice
from pathlib import Path

import pytest

from contracts.config import load_config
from pretrain.checkpoint import committed_folders, read_meta
from pretrain.config import PretrainConfig
from pretrain.loader import BatchPlan, Loader
from pretrain.records import LoaderState
from tests.ranks import run_ranks
from tests.training_runs import GLOBAL_BATCH_SIZE, make_tree, series, write_config

TOLERANCE = 1e-5
TOTAL_STEPS = 9
LEGS = (
    (0, 5, ["engine={kind: torch, precision: fp32}"]),
    (2, 7, ["engine.zero_stage=3"]),
    (0, 8, ["engine.zero_stage=0"]),
    (2, TOTAL_STEPS, ["engine.zero_stage=1"]),
)
"""Ranks (0: a plain process), last step, engine; all behind three steps of 2 ranks at stage 2."""


def loader_of(config: PretrainConfig, rank: int, num_ranks: int) -> Loader:
    plan = BatchPlan(rank, num_ranks, config.batch.micro_batch_size, GLOBAL_BATCH_SIZE)
    return config.data.build(plan, seed=config.run.seed, vocab_size=config.model.vocab_size)


def samples_of(
    config: PretrainConfig, num_ranks: int, state: LoaderState | None, num_steps: int
) -> tuple[list[list[str]], list[int]]:
    """Of each step from a saved state on: names of all ranks' samples, sorted, and targets."""
    names: list[list[str]] = [[] for _ in range(num_steps)]
    targets = [0] * num_steps
    for rank in range(num_ranks):
        loader = loader_of(config, rank, num_ranks)
        accumulation = config.batch.grad_accum_steps(num_ranks)
        batches = loader.batches(state or loader.fresh_state())
        for number, batch in enumerate(islice(batches, num_steps * accumulation)):
            names[number // accumulation] += batch.sample_ids
            targets[number // accumulation] += batch.num_targets
    return [sorted(step) for step in names], targets


def test_resharded_run_sees_the_same_samples_and_losses(tmp_path: Path) -> None:
    tree = make_tree(tmp_path) | {
        "schedule": {"kind": "constant", "warmup_steps": 2},
        "save_every_steps": None,
        "total_steps": TOTAL_STEPS,
        "checkpoint": {"keep_last": len(LEGS) + 1},
    }
    path = write_config(tmp_path, tree)
    train = ["-m", "pretrain", "train", str(path)]
    run_ranks([*train, f"run.output_dir={tmp_path / 'undisturbed'}"], 2)

    changed = tmp_path / "changed"
    arguments = [*train, f"run.output_dir={changed}"]
    run_ranks([*arguments, "total_steps=3"], 2)
    refused = run_ranks([*arguments, "total_steps=6"], 0, expect=1)
    assert "zero_stage=2 dp_world_size=2, this run has engine=deepspeed zero_stage=2" in refused
    assert "set checkpoint.reshard=true" in refused
    outputs = [
        run_ranks([*arguments, *engine, f"total_steps={end}", "checkpoint.reshard=true"], ranks)
        for ranks, end, engine in LEGS
    ]
    assert "zero_stage=2 dp_world_size=2 -> engine=torch zero_stage=0 dp_world_size=1" in outputs[0]
    assert "zero_stage=0 dp_world_size=1 -> engine=deepspeed zero_stage=1" in outputs[-1]

    expected, found = series(tmp_path / "undisturbed"), series(changed)
    assert sorted(found) == list(range(1, TOTAL_STEPS + 1))
    assert found == pytest.approx(expected, abs=TOLERANCE)
    metas = [read_meta(path) for path in committed_folders(changed / "checkpoints")]
    assert [meta.state.step for meta in metas] == [3, *(end for _, end, _ in LEGS)]
    assert len({meta.run_id for meta in metas}) == 1

    config = load_config(PretrainConfig, str(path))
    names, targets = samples_of(config, 2, None, 3)
    for (ranks, end, _), meta in zip(LEGS, metas, strict=False):
        more = samples_of(config, max(ranks, 1), meta.state.loader, end - meta.state.step)
        names, targets = names + more[0], targets + more[1]
    assert (names, targets) == samples_of(config, 2, None, TOTAL_STEPS)
    assert len({name for step in names for name in step}) == TOTAL_STEPS * GLOBAL_BATCH_SIZE
    for folder in (tmp_path / "undisturbed", changed):  # what the runs counted in these samples
        assert list(series(folder, "train/target_tokens").values()) == targets
