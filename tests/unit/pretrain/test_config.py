"""The training config: every file loads, and what does not fit together is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.config import Json, load_config, to_yaml, validated
from contracts.errors import ConfigError
from pretrain.config import RESUME_MAY_CHANGE, BatchConfig, PretrainConfig
from tests.conftest import ROOT

CONFIGS = sorted((ROOT / "configs" / "pretrain").glob("*.yaml"))


def make_tree() -> dict[str, Json]:
    return {
        "run": {"name": "test", "output_dir": "runs/test"},
        "data": {"train": [{"manifest": "data/train"}], "seq_len": 16},
        "model": {
            "vocab_size": 32,
            "d_model": 8,
            "num_layers": 1,
            "num_heads": 2,
            "d_ff": 16,
            "max_seq_len": 16,
        },
        "optimizer": {"lr": 0.01},
        "schedule": {"kind": "cosine", "warmup_steps": 2},
        "total_steps": 10,
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_config_loads_and_survives_its_own_yaml(path: Path, tmp_path: Path) -> None:
    config = load_config(PretrainConfig, path)
    (tmp_path / "again.yaml").write_text(to_yaml(config))
    assert load_config(PretrainConfig, tmp_path / "again.yaml") == config


def test_reading_a_config_loads_no_heavy_library() -> None:
    code = (
        "import sys, pretrain.config; "
        "print([n for n in ('deepspeed', 'mlflow', 'ray') if n in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def refused(message: str, **changes: Json) -> None:
    with pytest.raises(ConfigError, match=message):
        validated(PretrainConfig, make_tree() | changes, where="test")


def test_rows_longer_than_the_model_are_refused() -> None:
    data: Json = {"train": [{"manifest": "data/train"}], "seq_len": 17}
    refused("data.seq_len=17 exceeds model.max_seq_len=16", data=data)


def test_schedule_that_does_not_fit_is_refused() -> None:
    refused("schedule.warmup_steps=2 exceed total_steps=1", total_steps=1)


def test_evaluation_without_data_is_refused() -> None:
    refused("eval_every_steps=5 has no effect without eval.datasets", eval_every_steps=5)


def test_batch_that_does_not_divide_is_refused() -> None:
    batch = BatchConfig(micro_batch_size=4, global_batch_size=24)
    assert batch.grad_accum_steps(3) == 2
    with pytest.raises(
        ConfigError,
        match=r"batch.global_batch_size=24 is not a multiple of micro_batch_size x dp_world_size "
        r"= 4 x 4 = 16",
    ):
        batch.grad_accum_steps(4)
    refused("is not a multiple", batch={"micro_batch_size": 3, "global_batch_size": 4})


def test_offload_at_stage_0_is_refused() -> None:
    engine: Json = {"kind": "deepspeed", "zero_stage": 0, "offload_optimizer": True}
    refused("offload_optimizer=true needs zero_stage 1, 2 or 3", engine=engine)


def test_fields_a_resume_may_change_exist() -> None:
    for name in RESUME_MAY_CHANGE:
        fields = PretrainConfig.model_fields
        section, _, field = name.partition(".")
        assert section in fields, name
        if field and section != "engine":
            annotation = fields[section].annotation
            assert field in getattr(annotation, "model_fields", {field: None}), name


def test_only_deepspeed_needs_a_process_group_of_one() -> None:
    tree = make_tree()
    assert validated(PretrainConfig, tree, where="test").needs_process_group
    torch_engine = validated(PretrainConfig, tree | {"engine": {"kind": "torch"}}, where="test")
    assert not torch_engine.needs_process_group
