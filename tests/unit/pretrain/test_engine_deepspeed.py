"""The DeepSpeed config that a typed one gives, and what is refused."""

import fcntl
import logging
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from contracts.config import Json, validated
from contracts.errors import ConfigError
from pretrain.distributed import World
from pretrain.engine import DeepSpeedEngineConfig, build_engine
from pretrain.engine.build_locks import remove_stale_build_locks
from pretrain.engine.deepspeed_config import deepspeed_config


def settings(**fields: Json) -> dict[str, Json]:
    config = validated(DeepSpeedEngineConfig, fields, where="test")
    found = deepspeed_config(config, micro_batch_size=2, grad_accum_steps=3, dp_world_size=4)
    return dict(found)


def section(tree: dict[str, Json], name: str) -> dict[str, Json]:
    found = tree[name]
    assert isinstance(found, dict)
    return found


def test_sizes_and_choices_are_explicit() -> None:
    tree = settings(zero_stage=3, precision="bf16", gradient_clipping=0.5)
    assert tree["train_batch_size"] == 24
    assert tree["gradient_accumulation_steps"] == 3
    assert tree["gradient_clipping"] == 0.5
    assert tree["zero_allow_untested_optimizer"] is True
    assert tree["zero_force_ds_cpu_optimizer"] is False
    assert section(tree, "zero_optimization")["stage"] == 3
    assert section(tree, "bf16")["enabled"] is True
    assert section(tree, "fp16")["enabled"] is False
    assert section(tree, "torch_autocast")["enabled"] is False
    assert "offload_optimizer" not in section(tree, "zero_optimization")


def test_offload_and_loss_scale() -> None:
    loss_scale: Json = {"initial_scale_power": 8, "growth_interval_steps": 50}
    tree = settings(precision="fp16", offload_optimizer=True, loss_scale=loss_scale)
    zero = section(tree, "zero_optimization")
    assert zero["offload_optimizer"] == {"device": "cpu", "pin_memory": True}
    assert section(tree, "fp16")["enabled"] is True
    assert section(tree, "fp16")["initial_scale_power"] == 8
    assert section(tree, "fp16")["loss_scale_window"] == 50


@pytest.mark.parametrize(("precision", "zero_stage"), [("bf16", 2), ("fp32", 1), ("fp16", 0)])
def test_a_loss_scale_without_effect_is_refused(precision: str, zero_stage: int) -> None:
    message = f"loss_scale has no effect with precision={precision} and zero_stage={zero_stage}"
    with pytest.raises(ConfigError, match=message):
        settings(precision=precision, zero_stage=zero_stage, loss_scale={"hysteresis": 3})
    assert settings(precision=precision, zero_stage=zero_stage, loss_scale={})


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_half_precision_at_stage_0_is_autocast(precision: str, dtype: str) -> None:
    tree = settings(zero_stage=0, precision=precision)
    assert section(tree, "torch_autocast") == {"enabled": True, "dtype": dtype}
    assert section(tree, precision)["enabled"] is False


def test_expert_entries_are_merged_with_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    expert: Json = {"zero_optimization": {"round_robin_gradients": True}, "memory_breakdown": True}
    with caplog.at_level(logging.WARNING):
        tree = settings(deepspeed=expert)
    assert section(tree, "zero_optimization")["round_robin_gradients"] is True
    assert section(tree, "zero_optimization")["stage"] == 2
    assert tree["memory_breakdown"] is True
    assert "engine.deepspeed merged over the generated config" in caplog.text


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        ({"train_batch_size": 8}, r"engine.deepspeed.train_batch_size=8 contradicts .* batch"),
        ({"zero_optimization": {"stage": 1}}, "zero_optimization.stage=1 .*engine.zero_stage"),
        ({"fp16": {"enabled": True}}, "set engine.precision and engine.loss_scale instead"),
        ({"optimizer": {"type": "Adam"}}, "set the section optimizer instead"),
        ({"zero_optimization": 2}, "engine.deepspeed.zero_optimization=2 is not a section"),
    ],
)
def test_expert_entry_against_a_typed_field_is_refused(expert: Json, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(deepspeed=expert)


def test_fp16_on_a_cpu_is_refused_with_the_reason() -> None:
    model = nn.Linear(2, 2)
    world = World(0, 0, 1, 0, 1, torch.device("cpu"), "none")
    with pytest.raises(ConfigError, match=r"engine.precision=fp16 does not run on a CPU"):
        build_engine(
            DeepSpeedEngineConfig(precision="fp16"),
            model,
            torch.optim.AdamW(model.parameters()),
            world=world,
            micro_batch_size=1,
            grad_accum_steps=1,
        )


def make_lock(cache: Path, *, age_seconds: float) -> Path:
    lock = cache / "py311_cpu" / "some_op" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    then = lock.stat().st_mtime - age_seconds
    os.utime(lock, (then, then))
    return lock


def test_build_lock_of_a_dead_owner_is_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lock = make_lock(tmp_path, age_seconds=1000)
    with caplog.at_level(logging.WARNING):
        assert remove_stale_build_locks(tmp_path) == [lock]
    assert not lock.exists()
    assert "its owner is dead" in caplog.text


def test_build_lock_of_a_living_owner_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lock = make_lock(tmp_path, age_seconds=1000)
    with lock.open() as held, caplog.at_level(logging.WARNING):
        fcntl.flock(held, fcntl.LOCK_SH)
        assert remove_stale_build_locks(tmp_path) == []
    assert lock.exists()
    assert "held by a living process" in caplog.text


def test_young_build_lock_stays_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lock = make_lock(tmp_path, age_seconds=5)
    with caplog.at_level(logging.WARNING):
        assert remove_stale_build_locks(tmp_path) == []
    assert f"build lock {lock} is held by no process of this machine" in caplog.text
