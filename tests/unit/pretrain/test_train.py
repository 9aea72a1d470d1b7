"""The loop in one process with the plain engine, and the command line in front of it."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from contracts.config import Json, as_tree, validated
from contracts.errors import (
    EXIT_BAD_CONFIG,
    EXIT_DONE,
    EXIT_FAILED,
    ConfigError,
    DataError,
    TrainingDiverged,
)
from contracts.shards import read_manifest
from contracts.tokenizer import TokenizerSpec
from pretrain.__main__ import main
from pretrain.checkpoint import committed_folders, load_for_inference
from pretrain.config import PretrainConfig
from pretrain.distributed import World
from pretrain.export import write_export
from pretrain.model import to_stock
from pretrain.parts import build_parts, start_from
from pretrain.progress import Progress, duration
from pretrain.records import StepResult
from pretrain.rows import tokenizer_of
from pretrain.train import due, require_finite, run, take
from tests.datasets import make_tokenizer
from tests.ranks import LAUNCHER_VARIABLES
from tests.training_runs import TOTAL_STEPS, make_tree, series, write_config

TORCH: Json = {"kind": "torch", "precision": "fp32"}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


def make_config(folder: Path, name: str, **changes: Json) -> PretrainConfig:
    tree: dict[str, Any] = make_tree(folder) | {"engine": TORCH} | changes
    tree["run"] = tree["run"] | {"output_dir": str(folder / name)}
    return validated(PretrainConfig, tree, where="test")


def make_result(**changes: Any) -> StepResult:
    fields = {
        "step": 4,
        "loss": 2.0,
        "grad_norm": 1.0,
        "lr": 0.1,
        "target_tokens": 10,
        "input_tokens": 16,
        "skipped": False,
    }
    return StepResult(**(fields | changes))


def test_run_learns_saves_and_evaluates(folder: Path) -> None:
    evaluation: Json = {"datasets": [{"kind": "manifest", "manifest": f"{folder}/data/validation"}]}
    config = make_config(folder, "learns", eval=evaluation, eval_every_steps=6)
    assert run(config) == EXIT_DONE
    losses = series(folder / "learns")
    assert sorted(losses) == list(range(1, TOTAL_STEPS + 1))
    assert losses[TOTAL_STEPS] < losses[1] - 0.5
    assert sorted(series(folder / "learns", "eval/validation/loss")) == [6, 12]
    assert series(folder / "learns", "perf/tokens_per_second")[3] > 0
    assert series(folder / "learns", "perf/data_wait_seconds")[3] >= 0
    names = [path.name for path in committed_folders(folder / "learns" / "checkpoints")]
    assert names == ["step-00000004", "step-00000008", "step-00000012"]
    assert (folder / "learns" / "config.yaml").is_file()
    spec = TokenizerSpec.from_json(json.loads((folder / "learns" / "tokenizer.json").read_text()))
    assert spec == read_manifest(str(folder / "data" / "train")).tokenizer
    weights, meta = load_for_inference(folder / "learns")
    model = config.model.build()
    absent = model.load_state_dict(weights, strict=False).missing_keys
    assert absent == ["head.weight"]  # tied: it stands once
    assert meta.state.tokens_seen == TOTAL_STEPS * 8 * 32
    assert (folder / "learns/checkpoints/step-00000012/tokenizer.model").is_file()


def test_finished_run_started_again_does_nothing(folder: Path) -> None:
    config = make_config(folder, "finished", total_steps=4)
    assert run(config) == EXIT_DONE
    before = series(folder / "finished")
    assert run(config) == EXIT_DONE
    assert series(folder / "finished") == before


def test_any_split_of_the_batch_gives_the_same_losses(folder: Path) -> None:
    for size in (8, 2):
        batch: Json = {"micro_batch_size": size, "global_batch_size": 8}
        run(make_config(folder, f"split{size}", batch=batch))
    expected, found = series(folder / "split8"), series(folder / "split2")
    assert found == pytest.approx(expected, abs=1e-5)


def test_same_seed_gives_the_same_run_and_another_does_not(folder: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        section: Json = {"name": "test", "output_dir": "", "seed": seed, "deterministic": True}
        run(make_config(folder, name, run=section, total_steps=4))
    torch.use_deterministic_algorithms(False)
    assert series(folder / "one") == series(folder / "same")
    assert series(folder / "one") != series(folder / "other")


def test_parts_are_built_from_the_config(folder: Path) -> None:
    config = make_config(folder, "parts")
    parts = build_parts(config, World.single())
    assert parts.schedule(1) == pytest.approx(config.optimizer.lr * 2 / 3)
    assert parts.engine.zero_stage == 0
    assert parts.loader.tokenizer_spec.vocab_size <= config.model.vocab_size


def test_loader_that_ends_is_an_error() -> None:
    with pytest.raises(DataError, match="ended with 0 of the 2 micro-batches"):
        take(iter(()), 2)


def test_due() -> None:
    assert [due(step, 3) for step in range(1, 7)] == [False, False, True, False, False, True]
    assert not due(3, None)


def test_divergence_is_an_error_that_names_step_and_rate() -> None:
    require_finite(make_result(), scales_loss=False)
    require_finite(make_result(grad_norm=float("inf"), skipped=True), scales_loss=True)
    with pytest.raises(TrainingDiverged, match=r"loss is nan and grad_norm 1.0 at step 4, lr=0.1"):
        require_finite(make_result(loss=float("nan")), scales_loss=True)
    with pytest.raises(TrainingDiverged, match="grad_norm inf at step 4"):
        require_finite(make_result(grad_norm=float("inf")), scales_loss=False)


def test_progress_tells_first_and_last_step(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        progress = Progress(total_steps=7, first_step=4)
        for step in range(4, 7):
            progress.report(make_result(step=step, skipped=step == 4))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("step=5/7 loss=2.0000 lr=0.1 grad_norm=1 tokens_per_second=")
    assert lines[0].endswith("(skipped: fp16 overflow)")
    assert lines[1].startswith("step=7/7")
    assert lines[1].endswith("eta=0s")


@pytest.mark.parametrize(
    ("seconds", "text"), [(9, "9s"), (245, "4m05s"), (11220, "3h07m"), (93600, "1d02h")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_command_line_trains_with_overrides(folder: Path) -> None:
    config = write_config(folder, make_tree(folder) | {"engine": TORCH})
    output_dir = folder / "command"
    words = ["train", str(config), f"run.output_dir={output_dir}", "total_steps=3"]
    assert main([*words, "save_every_steps=null"]) == EXIT_DONE
    assert sorted(series(output_dir)) == [1, 2, 3]


def test_local_rank_in_front_of_the_verb_must_agree(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    config = write_config(folder, make_tree(folder))
    assert main(["--local_rank=1", "train", str(config)]) == EXIT_BAD_CONFIG
    with pytest.raises(ConfigError, match="--local_rank=1 disagrees with LOCAL_RANK=0"):
        World.from_environment(local_rank=1)


def test_wrong_config_and_missing_data_have_their_exit_codes(folder: Path) -> None:
    config = write_config(folder, make_tree(folder))
    assert main(["train", str(config), "total_steps=0"]) == EXIT_BAD_CONFIG
    assert main(["train", str(folder / "none.yaml")]) == EXIT_BAD_CONFIG
    missing = json.dumps([{"manifest": str(folder / "none")}])
    arguments = ["train", str(config), f"data.train={missing}", f"run.output_dir={folder}/x"]
    assert main([*arguments, "engine={kind: torch}"]) == EXIT_FAILED


def test_unknown_verb_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fly"])
    assert ended.value.code == EXIT_BAD_CONFIG
    assert "train" in capsys.readouterr().err


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == EXIT_DONE
    assert "go on from" not in capsys.readouterr().err


def test_run_starts_from_an_export_of_the_same_tokenizer(folder: Path) -> None:
    source = build_parts(make_config(folder, "source"), World.single())
    weights = source.engine.full_state_dict()
    config = make_config(folder, "started", init_from=str(folder / "export"))
    tokenizer = tokenizer_of(source.loader.manifests)
    write_export(
        folder / "export",
        to_stock(config.model, weights, tokenizer.spec),
        tokenizer=tokenizer,
        model=as_tree(config.model),
        from_step=0,
        dtype="float32",
    )
    section: Json = {"name": "test", "output_dir": "", "seed": 9}
    started = build_parts(
        make_config(folder, "started", init_from=str(folder / "export"), run=section),
        World.single(),
    )
    found = started.engine.full_state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights)

    model = config.model.build()
    other = dataclasses.replace(tokenizer.spec, sha256="0" * 64)
    with pytest.raises(DataError, match=f"{'0' * 64}.*{tokenizer.spec.sha256}"):
        start_from(str(folder / "export"), model, config.model, tokenizer=other)


def test_stock_folder_without_our_tokenizer_is_taken_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(folder, "stock")
    tokenizer = make_tokenizer()
    stock = to_stock(config.model, dict(config.model.build().named_parameters()), tokenizer.spec)
    write_export(
        folder / "stock",
        stock,
        tokenizer=tokenizer,
        model=as_tree(config.model),
        from_step=0,
        dtype="float32",
    )
    (folder / "stock" / "export.json").unlink()
    with caplog.at_level(logging.WARNING):
        start_from(
            str(folder / "stock"), config.model.build(), config.model, tokenizer=tokenizer.spec
        )
    assert "names no tokenizer of ours" in caplog.text
