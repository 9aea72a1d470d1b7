"""Debug mode: what it shows, the NaN it finds, and that it needs neither DeepSpeed nor a folder."""

import os
import subprocess
import sys
from bdb import BdbQuit
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from contracts.errors import TrainingDiverged
from pretrain import debug
from pretrain.__main__ import main
from pretrain.config import PretrainConfig
from pretrain.debug import build_debug_parts, debug_step, single_process_overrides
from pretrain.probe import Probe, Statistics
from tests.training_runs import make_tree, write_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("debug")
    write_config(folder, make_tree(folder))
    return folder


@pytest.fixture(autouse=True)
def _undo_determinism() -> Any:
    yield
    torch.use_deterministic_algorithms(False)


def run(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["debug", str(folder / "run.yaml"), *words])
    return code, capsys.readouterr().out


def test_it_shows_samples_statistics_and_steps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    code, out = run(folder, capsys, "--samples", "1", "--steps", "2")
    assert code == 0
    assert "doc_id=" in out
    assert "source=web" in out
    assert "uri=https://web.example/" in out
    assert "layers.1.mlp.down" in out
    assert "layers.0.attention.query.weight" in out
    assert "step=1 loss=" in out
    assert sorted(folder.rglob("*")) == before  # nothing is written


def test_it_is_deterministic(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, capsys) == run(folder, capsys)


def test_it_overfits_one_batch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(folder, capsys, "--overfit-one-batch", "--steps", "30", "--samples", "0")
    assert code == 0
    assert "one batch, 30 steps: loss" in out
    assert out.rstrip().endswith("learnt")
    code, out = run(folder, capsys, "--overfit-one-batch", "optimizer.lr=1e-9", "--steps", "2")
    assert code == 1
    assert "NOT learnt" in out


def parts_of(folder: Path) -> debug.DebugParts:
    from rich.console import Console

    from contracts.config import load_config

    path = folder / "run.yaml"
    settings = single_process_overrides(load_config(PretrainConfig, path))
    config = load_config(PretrainConfig, path, settings)
    return build_debug_parts(config, Console(quiet=True))


def test_it_names_the_first_module_that_makes_a_nan(folder: Path) -> None:
    parts = parts_of(folder)
    batch = next(parts.loader.batches(parts.loader.fresh_state()))
    down = parts.engine.module.get_submodule("layers.1.mlp.down")
    with torch.no_grad():
        down.weight[0, 0] = float("nan")  # type: ignore[operator] # a Linear's weight
    with pytest.raises(
        TrainingDiverged,
        match=r"loss is nan at step 0, lr=0.1, samples .*tar:\d+.*first NaN or Inf: module "
        r"layers.1.mlp.down \(Linear\), forward pass.*its weight already held such values",
    ):
        debug_step(parts, batch, step=0, lr=0.1)


def test_it_names_a_module_whose_output_overflows(folder: Path) -> None:
    parts = parts_of(folder)
    batch = next(parts.loader.batches(parts.loader.fresh_state()))
    up = parts.engine.module.get_submodule("layers.0.mlp.up")
    with torch.no_grad():
        up.weight.fill_(3e38)  # type: ignore[operator] # a Linear's weight
    with pytest.raises(TrainingDiverged, match=r"layers.0.mlp.up.*what went in was finite, at mos"):
        debug_step(parts, batch, step=1, lr=0.1)


def test_it_begins_where_a_checkpoint_stands(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, make_tree(folder) | {"engine": {"kind": "torch"}})
    where = f"run.output_dir={tmp_path / 'run'}"
    assert main(["train", str(config), where, "total_steps=4"]) == 0
    capsys.readouterr()
    words = ["debug", str(config), "--samples", "1", "--steps", "1"]
    assert main([*words, "--checkpoint", str(tmp_path / "run")]) == 0
    resumed = capsys.readouterr().out
    assert main(words) == 0
    fresh = capsys.readouterr().out
    assert "step=4 loss=" in resumed
    assert "step=0 loss=" in fresh
    assert _sample_lines(resumed) != _sample_lines(fresh)


def _sample_lines(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("sample ")]


class _Between(nn.Module):
    """Divides by zero between its modules, or in the gradient alone."""

    def __init__(self, *, in_forward: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.in_forward = in_forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        hidden = hidden / 0.0 if self.in_forward else (hidden * 0.0).sqrt()
        out: torch.Tensor = self.second(hidden)
        return out


def test_a_nan_between_modules_is_told_apart() -> None:
    model = _Between(in_forward=True)
    with Probe(model) as probe:
        model(torch.ones(1, 2))
    assert "second (Linear), forward pass" in str(probe.not_finite)
    assert "what went in held some already: an operation between modules" in str(probe.not_finite)


def test_a_nan_in_the_gradient_alone_is_found() -> None:
    model = _Between(in_forward=False)
    with Probe(model) as probe:
        model(torch.ones(1, 2)).sum().backward()
    assert "first (Linear), backward pass" in str(probe.not_finite)
    assert "in the gradient of its output" in str(probe.not_finite)
    model(torch.ones(1, 2))
    assert len(probe.records) == 2  # hooks are gone: nothing was added


def test_statistics_leave_out_what_is_not_finite() -> None:
    found = Statistics.of(torch.tensor([1.0, 3.0, float("inf"), float("nan")]))
    assert (found.mean, found.std, found.absmax, found.num_not_finite) == (2.0, 1.0, 3.0, 2)
    nothing = Statistics.of(torch.tensor([float("nan")]))
    assert nothing.num_not_finite == 1
    assert nothing.absmax != nothing.absmax


def test_it_needs_no_deepspeed_mlflow_or_ray(root: Path, folder: Path) -> None:
    code = (
        "import sys; from pretrain.__main__ import main; "
        f"code = main(['debug', {str(folder / 'run.yaml')!r}, '--steps', '1']); "
        "heavy = {'deepspeed', 'mlflow', 'ray'} & set(sys.modules); "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_pdb_opens_where_the_error_arose_and_leaves_cleanly(root: Path, folder: Path) -> None:
    config = str(folder / "run.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "pretrain", "debug", config, "--pdb", "model.vocab_size=77"],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        input="p vocab_size\nq\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "(Pdb) 77" in done.stdout
    assert "vocab_size of its tokenizer is 384, the model's is 77" in done.stderr


def test_leaving_a_breakpoint_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def quits(*_: object) -> None:
        raise BdbQuit

    monkeypatch.setattr("sys.breakpointhook", quits)
    # What a user does who writes `breakpoint()` into a function.
    monkeypatch.setattr(debug, "show_samples", lambda *_: breakpoint())
    assert main(["debug", str(folder / "run.yaml")]) == 1
    assert "left the debugger" in capsys.readouterr().err
