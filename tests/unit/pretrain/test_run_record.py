"""What a run tells its tracker at the start."""

import dataclasses
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import torch

from contracts.shards import read_manifest
from pretrain.run_record import environment, manifest_tags
from tests.datasets import make_dataset


def test_the_whole_identity_of_each_manifest_is_a_tag(tmp_path: Path) -> None:
    make_dataset(tmp_path, seq_len=32, num_documents=20)
    train = read_manifest(str(tmp_path / "train"))
    other = dataclasses.replace(train, dataset_id="other")
    same_name = dataclasses.replace(train, shards=train.shards[:0])
    assert len(train.sha256) == 64
    assert manifest_tags([train, other, same_name]) == {
        f"manifest_sha256.{train.dataset_id}.train": f"{train.sha256} {same_name.sha256}",
        "manifest_sha256.other.train": other.sha256,
    }


def test_versions_are_told_without_loading_the_libraries() -> None:
    found = environment()
    assert found["deepspeed"] == importlib.metadata.version("deepspeed")
    assert found["mlflow"] == importlib.metadata.version("mlflow")
    assert found["cuda"] == (torch.version.cuda or "none")
    code = (
        "import sys; from pretrain.run_record import environment; environment(); "
        "sys.exit(bool({'deepspeed', 'mlflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
