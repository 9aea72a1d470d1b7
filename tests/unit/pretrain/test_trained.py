"""The verbs eval, generate and export, from a checkpoint, a run's folder and an exported folder."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from contracts.config import Json
from contracts.errors import CheckpointError, ConfigError, DataError
from pretrain.__main__ import main
from pretrain.trained import load_trained
from tests.ranks import start_ranks
from tests.training_runs import SEQ_LEN, TOTAL_STEPS, make_tree, write_config

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the plain engine, with held-out data."""
    folder = tmp_path_factory.mktemp("trained")
    tree = make_tree(folder)
    tree["engine"] = {"kind": "torch", "precision": "fp32"}
    held_out: Json = {"kind": "manifest", "manifest": str(folder / "data" / "validation")}
    tree["eval"] = {"datasets": [held_out]}
    config = write_config(folder, tree)
    assert main(["train", str(config)]) == 0
    assert main(["export", str(folder / "run"), str(folder / "exported")]) == 0
    return folder


def reports(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Json]]:
    assert main(["eval", str(folder / "run.yaml"), "--json", *words]) == 0
    found: list[dict[str, Json]] = json.loads(capsys.readouterr().out)
    return found


def test_eval_gives_what_the_run_logged_at_its_end(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = reports(folder, capsys)[0]
    logged = {}
    for line in (folder / "run" / "tracking.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "metrics" and "eval/validation/loss" in entry["values"]:
            logged = entry["values"]
    assert report["step"] == TOTAL_STEPS
    assert report["loss"] == pytest.approx(logged["eval/validation/loss"], rel=1e-6)
    assert report["bits_per_byte"] == pytest.approx(
        logged["eval/validation/bits_per_byte"], rel=1e-6
    )


def test_eval_of_a_step_of_the_run_and_of_the_export_agree(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = folder / "run" / "checkpoints" / f"step-{TOTAL_STEPS:08d}"
    places = (step, folder / "run", folder / "exported")
    found = [reports(folder, capsys, "--checkpoint", str(place)) for place in places]
    assert found[0] == found[1] == found[2]
    first = folder / "run" / "checkpoints" / "step-00000004"
    assert reports(folder, capsys, "--checkpoint", str(first))[0]["step"] == 4


def test_eval_on_two_ranks_gives_the_same_figures(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = reports(folder, capsys)[0]
    command = ["-m", "pretrain", "eval", str(folder / "run.yaml"), "--json"]
    ranks = start_ranks(command, 2)
    outputs = [rank.communicate(timeout=180)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    text = outputs[0]
    together = json.loads(text[text.index("[\n") : text.rindex("]") + 1])[0]
    assert together["num_targets"] == alone["num_targets"]
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-12)
    assert "bits_per_byte" not in outputs[1]


def test_eval_for_a_person(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(folder / "run.yaml"), "eval.datasets.0.max_rows=2"]) == 0
    out = capsys.readouterr().out
    assert f"step {TOTAL_STEPS}, 32,928 parameters" in out
    assert "validation  loss " in out


def test_generate_is_seeded_and_the_same_from_the_export(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--prompt", "river water", "--max-new-tokens", "8", "--top-k", "20", "--seed", "4"]
    texts = []
    for place, more in (("run", []), ("run", []), ("exported", []), ("run", ["--no-cache"])):
        assert main(["generate", str(folder / place), *words, *more]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0].startswith("river water")
    assert len(set(texts)) == 1
    assert main(["generate", str(folder / "run"), *words[:-1], "5"]) == 0
    assert capsys.readouterr().out != texts[0]


def test_generate_refuses_settings_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(folder / "run"), "--prompt", "river"]
    assert main([*words, "--top-p", "1.5"]) == 2
    assert "top_p: Input should be less than or equal to 1" in capsys.readouterr().err
    assert main([*words, "--max-new-tokens", str(SEQ_LEN)]) == 2
    assert "shorten either" in capsys.readouterr().err


def test_export_names_its_dtype_and_wants_an_empty_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "half"
    assert main(["export", str(folder / "exported"), str(out), "--dtype", "bfloat16"]) == 0
    assert capsys.readouterr().out == f"{out}: llama, bfloat16, step {TOTAL_STEPS}\n"
    assert main(["export", str(folder / "run"), str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_model_is_loaded_with_its_own_tokenizer_alone(folder: Path, tmp_path: Path) -> None:
    step = folder / "run" / "checkpoints" / f"step-{TOTAL_STEPS:08d}"
    copy = tmp_path / step.name
    shutil.copytree(step, copy)
    trained = load_trained(copy, CPU)
    assert (trained.step, trained.where) == (TOTAL_STEPS, str(copy))
    assert not trained.model.training
    meta = json.loads((copy / "COMMITTED.json").read_text())
    meta["tokenizer"]["sha256"] = "f" * 64
    (copy / "COMMITTED.json").write_text(json.dumps(meta))
    with pytest.raises((DataError, CheckpointError), match="ffff"):
        load_trained(copy, CPU)


def test_folders_without_a_model_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere is no folder; name a checkpoint, the output"):
        load_trained(tmp_path / "nowhere", CPU)
    with pytest.raises(CheckpointError, match="holds no finished checkpoint"):
        load_trained(tmp_path, CPU)
    exported = tmp_path / "exported"
    shutil.copytree(folder / "exported", exported)
    (exported / "tokenizer.model").write_bytes(b"other")
    with pytest.raises(DataError, match=r"tokenizer.model has sha256 .* export again"):
        load_trained(exported, CPU)


def test_nothing_to_evaluate_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(folder / "run.yaml"), "eval.datasets=[]"]) == 2
    assert "eval.datasets is empty, so there is nothing to evaluate" in capsys.readouterr().err
