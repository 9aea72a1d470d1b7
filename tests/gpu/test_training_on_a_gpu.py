"""Training on one CUDA device: every ZeRO stage and precision learns, and a resume goes on from
there."""

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


def test_optimizer_offload_gives_the_same_losses(tmp_path: Path) -> None:
    folders = tmp_path / "gpu", tmp_path / "cpu"
    for folder in folders:
        folder.mkdir()
    on_gpu = trained(folders[0])
    on_cpu = trained(folders[1], "engine.offload_optimizer=true")
    assert list(on_cpu.values()) == pytest.approx(list(on_gpu.values()), abs=2e-3)


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    half = trained(tmp_path, "total_steps=6", "engine.precision=bf16")
    whole = trained(tmp_path, "total_steps=12", "engine.precision=bf16")
    assert {step: whole[step] for step in half} == half
    assert len(whole) == 12
