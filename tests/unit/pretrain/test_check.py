"""The verb check: derived facts, refusals, and that it touches nothing."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from contracts.config import Json, load_config
from pretrain.__main__ import main
from pretrain.check import RunFacts, run_facts
from pretrain.config import PretrainConfig
from pretrain.memory import activation_bytes, state_bytes
from pretrain.model import ModelConfig
from pretrain.objectives import CausalLmConfig
from tests.training_runs import GLOBAL_BATCH_SIZE, SEQ_LEN, TOTAL_STEPS, make_tree, write_config
from tests.unit.pretrain.test_export import export
from tests.unit.pretrain.tokenizers import small_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    tree = make_tree(folder)
    held_out: Json = {"kind": "manifest", "manifest": str(folder / "data" / "validation")}
    tree["eval"] = {"datasets": [held_out]}
    write_config(folder, tree)
    return folder


def facts_of(folder: Path, *overrides: str, ranks: int = 1) -> RunFacts:
    return run_facts(load_config(PretrainConfig, folder / "run.yaml", overrides), ranks=ranks)


def test_it_counts_parameters_tokens_and_rows(folder: Path) -> None:
    facts = facts_of(folder, ranks=2)
    assert facts.parameters == 32928
    assert facts.embedding_parameters == 384 * 32
    assert facts.tokens_per_step == GLOBAL_BATCH_SIZE * SEQ_LEN
    assert facts.total_tokens == facts.tokens_per_step * TOTAL_STEPS
    assert facts.grad_accum_steps == 1
    assert facts.epochs == pytest.approx(TOTAL_STEPS * GLOBAL_BATCH_SIZE / facts.train[0].rows)
    assert facts.train[0].sources == {"web": facts.train[0].rows}
    assert facts.eval[0].manifest.endswith("validation/manifest.json")
    assert (facts.zero_stage, facts.ranks) == (2, 2)


def test_states_follow_the_formula_of_each_stage(folder: Path) -> None:
    psi = facts_of(folder).parameters
    small = "batch.micro_batch_size=2"
    half = facts_of(folder, "engine.precision=bf16", small, ranks=4).state_bytes_per_rank
    assert half == {0: 18 * psi, 1: 4 * psi + 3 * psi, 2: 2 * psi + 14 * psi // 4, 3: 4 * psi}
    full = facts_of(folder, ranks=2).state_bytes_per_rank
    assert full == {0: 16 * psi, 1: 12 * psi, 2: 10 * psi, 3: 8 * psi}
    assert state_bytes("bf16", 2).per_rank(7_500_000_000, zero_stage=0, dp_world_size=64) == 120e9


def test_activations_shrink_with_checkpointing_and_grow_with_rows(folder: Path) -> None:
    plain = facts_of(folder).activations
    full = facts_of(folder, "activation_checkpointing.kind=full").activations
    by_deepspeed = facts_of(folder, "activation_checkpointing.kind=deepspeed").activations
    twice = facts_of(folder, "batch.micro_batch_size=8").activations
    assert full.kept == by_deepspeed.kept < plain.kept == plain.without_checkpointing
    assert full.without_checkpointing == by_deepspeed.without_checkpointing == plain.kept
    assert twice.kept == pytest.approx(2 * plain.kept, rel=0.05)


def test_layer_inputs_may_stand_in_host_memory(folder: Path) -> None:
    section = "activation_checkpointing"
    words = [f"{section}.kind=deepspeed", f"{section}.partition_activations=true"]
    kept = facts_of(folder, *words)
    moved = facts_of(folder, *words, f"{section}.cpu_checkpointing=true")
    inputs = 2 * 4 * SEQ_LEN * 32 * 4  # layers, rows, tokens, width, fp32
    assert moved.activations.kept == kept.activations.kept - inputs > 0
    assert moved.activations.kept_on_host == inputs
    assert moved.host_bytes_per_rank[2] == kept.host_bytes_per_rank[2] + inputs


def test_an_offloaded_optimizer_leaves_the_device(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("engine.precision=bf16", "batch.micro_batch_size=2")
    on_device = facts_of(folder, *words, ranks=4)
    psi = on_device.parameters
    assert set(on_device.host_bytes_per_rank.values()) == {4 * psi}
    moved = facts_of(folder, *words, "engine.offload_optimizer=true", ranks=4)
    assert moved.state_bytes_per_rank == {
        0: 18 * psi,
        1: 4 * psi,
        2: 2 * psi + 2 * psi // 4,
        3: 4 * psi // 4,
    }
    assert moved.host_bytes_per_rank == {0: 4 * psi, 1: 8 * psi, 2: 8 * psi, 3: 8 * psi}
    config = str(folder / "run.yaml")
    assert main(["check", config, "engine.offload_optimizer=true"]) == 0
    out = capsys.readouterr().out
    assert "before the engine takes it + offloaded optimizer states (ZeRO 1 to 3)" in out


def test_activations_of_a_large_model_are_counted_without_its_memory() -> None:
    config = ModelConfig(
        vocab_size=32000, d_model=4096, num_layers=32, num_heads=32, d_ff=11008, max_seq_len=2048
    )
    found = activation_bytes(
        config.build,
        lambda model, batch: CausalLmConfig().build()(model, batch),
        micro_batch_size=1,
        seq_len=2048,
        half_precision=True,
    )
    # Korthikanti et al. 2022, section 4.1, counted anew: 34 bytes for each of layers x tokens x
    # d_model less dropout's 3, and 4 x 11008 / 4096 x 2 = 21.5 for the gated MLP in place of 16.
    assert found == pytest.approx(32 * 2048 * 4096 * 50, rel=0.1)
    assert torch.get_default_dtype() == torch.float32


def test_it_touches_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    assert main(["check", str(folder / "run.yaml"), "--ranks", "2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before
    out = capsys.readouterr().out
    assert "parameters         32,928 (12,288 in embeddings)" in out
    assert "<- this config" in out
    assert "B, host 128.62 KiB" in out
    assert "activation checkpointing (none) keeps" in out
    assert "2 rank(s) x micro-batch 4 x accumulation 1" in out


def test_json_says_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder / "run.yaml"), "--json", "total_steps=7"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["total_steps"] == 7
    assert set(tree["state_bytes_per_rank"]) == {"0", "1", "2", "3"}
    activations = tree["activations"]
    assert activations["kept"] == activations["without_checkpointing"] > 0
    assert activations["checkpointing"] == "none"


def test_what_would_stop_the_run_stops_the_check(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(folder / "run.yaml")
    assert main(["check", config, "--ranks", "3"]) == 2
    assert "8 is not a multiple of micro_batch_size x dp_world_size = 4 x 3" in _err(capsys)
    assert main(["check", config, "model.vocab_size=100"]) == 1
    assert "vocab_size of its tokenizer is 384, the model's is 100" in _err(capsys)
    assert main(["check", config, "data.train.0.manifest=/nowhere"]) == 1
    assert "/nowhere/manifest.json" in _err(capsys)
    shutil.copytree(folder / "data", tmp_path / "data")
    shard = next((tmp_path / "data" / "train").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-512])
    assert main(["check", config, f"data.train.0.manifest={tmp_path / 'data' / 'train'}"]) == 1
    assert "the shard is torn" in _err(capsys)


def test_a_conflicting_entry_of_deepspeed_stops_the_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", str(folder / "run.yaml"), "engine.deepspeed.zero_optimization.stage=1"]
    assert main(words) == 2
    assert "engine.deepspeed.zero_optimization.stage=1 contradicts" in _err(capsys)


def test_weights_to_start_from_are_fitted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path / "stock", small_tokenizer())
    words = ["check", str(folder / "run.yaml"), f"init_from={tmp_path / 'stock'}"]
    assert main(words) == 1
    assert "tokenizer" in _err(capsys)
    (tmp_path / "stock" / "export.json").unlink()
    assert main(words) == 2
    assert "does not fit the model" in _err(capsys)


def _err(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err
