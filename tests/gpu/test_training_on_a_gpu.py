"""Training on one CUDA device: every ZeRO stage and precision learns, and neither offload,
activation checkpointing nor a resume changes the losses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training_runs import make_tree, series, write_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def trained(folder: Path, *overrides: str) -> dict[int, float]:
    """Losses of a run under the launcher on one GPU."""
    config = write_config(folder, make_tree(folder))
    deepspeed = str(Path(sys.executable).with_name("deepspeed"))
    command = [deepspeed, "--num_gpus", "1", "--module", "pretrain", "train", str(config)]
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run([*command, *overrides], check=True, timeout=300, env=environment)
    return series(folder / "run")


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_stage_and_precision_learns(tmp_path: Path, zero_stage: int, precision: str) -> None:
    losses = trained(tmp_path, f"engine.zero_stage={zero_stage}", f"engine.precision={precision}")
    assert min(list(losses.values())[-3:]) < losses[1]


def in_two_folders(tmp_path: Path) -> tuple[Path, Path]:
    folders = tmp_path / "expected", tmp_path / "found"
    for folder in folders:
        folder.mkdir()
    return folders


def test_optimizer_offload_gives_the_same_losses(tmp_path: Path) -> None:
    gpu, cpu = in_two_folders(tmp_path)
    on_gpu = trained(gpu)
    on_cpu = trained(cpu, "engine.offload_optimizer=true")
    assert on_cpu == pytest.approx(on_gpu, abs=2e-3)


@pytest.mark.parametrize(
    "checkpointing",
    [
        "{kind: full}",
        "{kind: deepspeed, partition_activations: true, cpu_checkpointing: true}",
    ],
)
def test_activation_checkpointing_gives_the_losses_of_none(
    tmp_path: Path, checkpointing: str
) -> None:
    plain, recomputed = in_two_folders(tmp_path)
    expected = trained(plain, "activation_checkpointing={kind: none}")
    found = trained(recomputed, f"activation_checkpointing={checkpointing}")
    assert found == pytest.approx(expected, abs=1e-3)


def test_a_resumed_run_has_the_losses_of_an_undisturbed_one(tmp_path: Path) -> None:
    plain, resumed = in_two_folders(tmp_path)
    settings = ["engine.precision=bf16", "schedule={kind: constant, warmup_steps: 2}"]
    expected = trained(plain, "total_steps=12", *settings)
    half = trained(resumed, "total_steps=6", *settings)
    assert sorted(half) == list(range(1, 7))
    whole = trained(resumed, "total_steps=12", *settings)
    assert {step: whole[step] for step in half} == half  # not trained again
    assert sorted(whole) == list(range(1, 13))
    assert whole == pytest.approx(expected, abs=1e-3)  # atomics add in any order
