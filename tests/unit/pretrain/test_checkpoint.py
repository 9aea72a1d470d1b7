"""Checkpoints: what is committed, what is refused, what stays."""

import json
import logging
import re
import resource
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from contracts.config import Json, validated
from contracts.errors import CheckpointError, ConfigError
from contracts.tokenizer import TokenizerSpec
from pretrain import state_files
from pretrain.checkpoint import (
    COMMITTED,
    CheckpointConfig,
    Checkpoints,
    RunFacts,
    committed_folders,
    find_checkpoint,
    load_for_inference,
    read_meta,
)
from pretrain.distributed import World
from pretrain.engine.torch_engine import TorchEngine, TorchEngineConfig
from pretrain.records import Fragment, LoaderState, RunState

TOKENIZER = TokenizerSpec("sentencepiece", "ab" * 32, 16, 2, 1, 0)
CONFIG: dict[str, Json] = {"total_steps": 10, "optimizer": {"lr": 0.1}}


def make_engine(width: int = 4) -> TorchEngine:
    model = nn.Sequential(nn.Linear(width, 3), nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    return TorchEngine(
        TorchEngineConfig(precision="fp32"),
        model,
        optimizer,
        world=World.single(),
        grad_accum_steps=1,
    )


def train(engine: TorchEngine, steps: int) -> list[float]:
    losses = []
    for number in range(steps):
        loss = engine(torch.full((1, 4), 1.0 + number)).square().sum()
        engine.backward(loss)
        engine.step()
        losses.append(loss.item())
    return losses


def make_facts(
    config: dict[str, Json] = CONFIG, tokenizer: TokenizerSpec = TOKENIZER, engine: str = "torch"
) -> RunFacts:
    return RunFacts(
        config=config,
        may_change=("total_steps",),
        engine=engine,
        tokenizer=tokenizer,
        attachments={"config.yaml": b"total_steps: 10\n"},
        seed=0,
    )


def make_checkpoints(
    folder: Path,
    engine: TorchEngine,
    facts: RunFacts | None = None,
    *,
    config: CheckpointConfig | None = None,
) -> Checkpoints:
    return Checkpoints(
        config or CheckpointConfig(),
        folder,
        facts=facts or make_facts(),
        engine=engine,
        world=World.single(),
    )


def state_at(step: int) -> RunState:
    return RunState(step, step * 64, LoaderState("cd" * 32, 7, 0, step * 4), "run-1")


def test_state_comes_back_bit_for_bit_and_the_run_goes_on_the_same(tmp_path: Path) -> None:
    engine = make_engine()
    train(engine, 3)
    make_checkpoints(tmp_path, engine).save(state_at(3))
    torch.manual_seed(5)
    make_checkpoints(tmp_path, engine).save(state_at(4))
    random_after = torch.rand(2)
    losses = train(engine, 3)

    other = make_engine()
    assert make_checkpoints(tmp_path, other).restore_latest() == state_at(4)
    assert torch.equal(torch.rand(2), random_after)
    assert train(other, 3) == losses


def test_fresh_run_has_nothing_to_restore(tmp_path: Path) -> None:
    assert make_checkpoints(tmp_path / "none", make_engine()).restore_latest() is None


def test_meta_says_what_was_saved(tmp_path: Path) -> None:
    engine = make_engine()
    train(engine, 2)
    make_checkpoints(tmp_path, engine).save(state_at(2))
    meta = read_meta(tmp_path / "step-00000002")
    assert meta.state == state_at(2)
    assert (meta.engine, meta.zero_stage, meta.dp_world_size) == ("torch", 0, 1)
    assert meta.config == CONFIG
    assert meta.tokenizer == TOKENIZER
    assert meta.norms["optimizer_step"] == 2
    assert meta.norms["weight"] == pytest.approx(
        torch.cat([p.flatten() for p in engine.module.parameters()]).norm().item()
    )
    assert set(meta.files) == {
        "config.yaml",
        "engine.json",
        "exp_avg-rank0000.safetensors",
        "exp_avg_sq-rank0000.safetensors",
        "rng-rank0000.safetensors",
        "weight-rank0000.safetensors",
    }


def test_saving_a_committed_step_again_does_nothing(tmp_path: Path) -> None:
    engine = make_engine()
    checkpoints = make_checkpoints(tmp_path, engine)
    checkpoints.save(state_at(1))
    before = (tmp_path / "step-00000001" / COMMITTED).stat().st_mtime_ns
    checkpoints.save(state_at(1))
    assert (tmp_path / "step-00000001" / COMMITTED).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flip", "has sha256"),
        ("cut", r"has \d+ bytes, \d+ were committed"),
        ("delete", "is missing"),
        ("marker", "cannot be read"),
    ],
)
def test_torn_newest_falls_back_with_a_warning(
    tmp_path: Path, damage: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine()
    checkpoints = make_checkpoints(tmp_path, engine)
    checkpoints.save(state_at(1))
    checkpoints.save(state_at(2))
    path = tmp_path / "step-00000002" / "weight-rank0000.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-8])
    elif damage == "delete":
        path.unlink()
    else:
        (path.parent / COMMITTED).write_text("{")
    with caplog.at_level(logging.WARNING):
        restored = make_checkpoints(tmp_path, make_engine())
        assert restored.restore_latest() == state_at(1)
    assert "is torn, going back to the one before" in caplog.text
    assert caplog.records

    assert re.search(message, caplog.text)
    restored.save(state_at(2))  # the torn one is written anew
    assert make_checkpoints(tmp_path, make_engine()).restore_latest() == state_at(2)


def test_no_whole_checkpoint_is_no_silent_start_from_nothing(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path, make_engine())
    checkpoints.save(state_at(1))
    checkpoints.save(state_at(2))
    for step in (1, 2):
        (tmp_path / f"step-{step:08d}" / "exp_avg-rank0000.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"none of 2 committed checkpoints is whole, the newest: .*exp_avg"
    ):
        make_checkpoints(tmp_path, make_engine()).restore_latest()
    assert len(committed_folders(tmp_path)) == 2


def test_a_torn_checkpoint_does_not_count_as_one_that_is_kept(tmp_path: Path) -> None:
    engine = make_engine()
    for step in (1, 2, 5):
        make_checkpoints(tmp_path, engine).save(state_at(step))
    (tmp_path / "step-00000005" / "weight-rank0000.safetensors").unlink()
    resumed = make_checkpoints(tmp_path, make_engine())
    assert resumed.restore_latest() == state_at(2)
    for step in (3, 4):
        resumed.save(state_at(step))
    assert make_checkpoints(tmp_path, make_engine()).restore_latest() == state_at(4)


def test_folder_without_a_marker_is_not_a_checkpoint(tmp_path: Path) -> None:
    engine = make_engine()
    make_checkpoints(tmp_path, engine).save(state_at(1))
    make_checkpoints(tmp_path, engine).save(state_at(2))
    (tmp_path / "step-00000002" / COMMITTED).unlink()
    assert make_checkpoints(tmp_path, engine).restore_latest() == state_at(1)
    with pytest.raises(CheckpointError, match=f"has no {COMMITTED}: it was never finished"):
        read_meta(tmp_path / "step-00000002")


def test_other_schema_version_is_refused(tmp_path: Path) -> None:
    make_checkpoints(tmp_path, make_engine()).save(state_at(1))
    marker = tmp_path / "step-00000001" / COMMITTED
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"schema_version": 9}))
    with pytest.raises(CheckpointError, match="schema_version is 9, this program reads 1"):
        read_meta(marker.parent)


def test_newest_and_every_nth_stay(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(
        tmp_path, make_engine(), config=CheckpointConfig(keep_last=2, keep_every_steps=4)
    )
    for step in range(1, 8):
        checkpoints.save(state_at(step))
    assert [path.name[-1] for path in committed_folders(tmp_path)] == ["4", "6", "7"]
    assert len(list(tmp_path.iterdir())) == 3


def test_what_may_change_is_logged_and_the_rest_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_checkpoints(tmp_path, make_engine()).save(state_at(1))
    longer = make_facts(CONFIG | {"total_steps": 20})
    with caplog.at_level(logging.WARNING):
        assert make_checkpoints(tmp_path, make_engine(), longer).restore_latest() == state_at(1)
    assert "resume changes total_steps: 10 -> 20" in caplog.text
    other = make_facts({"total_steps": 20, "optimizer": {"lr": 0.2}})
    with pytest.raises(
        CheckpointError, match=r"another config \(optimizer.lr: saved 0.1, now 0.2\)"
    ):
        make_checkpoints(tmp_path, make_engine(), other).restore_latest()


def test_other_tokenizer_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    make_checkpoints(tmp_path, make_engine()).save(state_at(1))
    other = make_facts(tokenizer=TokenizerSpec("sentencepiece", "ef" * 32, 16, 2, 1, 0))
    with pytest.raises(CheckpointError, match=f"{'ab' * 32}.*{'ef' * 32}"):
        make_checkpoints(tmp_path, make_engine(), other).restore_latest()


def test_other_layout_is_refused_until_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = make_engine()
    train(saved, 1)
    make_checkpoints(tmp_path, saved, make_facts(engine="deepspeed")).save(state_at(1))
    with pytest.raises(
        CheckpointError,
        match=r"saved with engine=deepspeed zero_stage=0 dp_world_size=1, this run has "
        "engine=torch zero_stage=0 dp_world_size=1; set checkpoint.reshard=true",
    ):
        make_checkpoints(tmp_path, make_engine()).restore_latest()
    engine = make_engine()
    with caplog.at_level(logging.WARNING):
        resharding = make_checkpoints(tmp_path, engine, config=CheckpointConfig(reshard=True))
        assert resharding.restore_latest() == state_at(1)
    assert "resharding checkpoint" in caplog.text
    assert train(engine, 2) == train(saved, 2)


def test_other_model_is_refused(tmp_path: Path) -> None:
    make_checkpoints(tmp_path, make_engine()).save(state_at(1))
    with pytest.raises(
        CheckpointError, match=r"1 parameter\(s\) differ, first 0.weight: saved \[3, 4\], here"
    ):
        make_checkpoints(tmp_path, make_engine(width=5)).restore_latest()


def test_state_that_did_not_arrive_is_an_error(tmp_path: Path) -> None:
    make_checkpoints(tmp_path, make_engine()).save(state_at(1))
    marker = tmp_path / "step-00000001" / COMMITTED
    tree = json.loads(marker.read_text())
    tree["norms"]["weight"] *= 1.001
    marker.write_text(json.dumps(tree))
    with pytest.raises(CheckpointError, match="the state did not arrive: do not go on"):
        make_checkpoints(tmp_path, make_engine()).restore_latest()


def test_unwritable_folder_is_an_error_that_says_where(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(
        tmp_path, make_engine(), RunFacts(CONFIG, (), "torch", TOKENIZER, {"x" * 300: b""}, 0)
    )
    with pytest.raises(
        CheckpointError, match=r"could not be written: rank 0: .*File name too long"
    ):
        checkpoints.save(state_at(1))
    assert committed_folders(tmp_path) == []


def test_full_disk_commits_nothing_and_the_one_before_stays(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path, make_engine())
    checkpoints.save(state_at(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"step-00000002 could not be written: rank 0:"):
            checkpoints.save(state_at(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert make_checkpoints(tmp_path, make_engine()).restore_latest() == state_at(1)


def test_inference_reads_weights_alone(tmp_path: Path) -> None:
    engine = make_engine()
    make_checkpoints(tmp_path / "checkpoints", engine).save(state_at(1))
    (tmp_path / "checkpoints" / "step-00000001" / "exp_avg-rank0000.safetensors").unlink()
    weights, meta = load_for_inference(tmp_path)
    assert meta.state.step == 1
    expected = engine.full_state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def test_inference_refuses_torn_weights_and_empty_folders(tmp_path: Path) -> None:
    make_checkpoints(tmp_path, make_engine()).save(state_at(1))
    (tmp_path / "step-00000001" / "weight-rank0000.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is torn: weight-rank0000.safetensors has 0 bytes"):
        load_for_inference(tmp_path / "step-00000001")
    with pytest.raises(CheckpointError, match="holds no finished checkpoint"):
        find_checkpoint(tmp_path / "elsewhere")


def test_range_that_no_file_holds_is_an_error(tmp_path: Path) -> None:
    state_files.write_fragments(
        tmp_path / state_files.state_file("weight", 0),
        [Fragment("a", "weight", 0, torch.arange(4.0)), Fragment("a", "weight", 6, torch.ones(2))],
    )
    reader = state_files.StateFiles(tmp_path, ["weight-rank0000.safetensors"])
    assert reader.read("a", "weight", 1, 3).tolist() == [1, 2, 3]
    with pytest.raises(CheckpointError, match="weight of a has 6 of the 8 elements from 0"):
        reader.read("a", "weight", 0, 8)


def test_keep_last_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="keep_last"):
        validated(CheckpointConfig, {"keep_last": 0}, where="test")
