"""Tiny training runs for tests: a config over a synthetic dataset, and the losses a run left behind."""

import json
from pathlib import Path

import yaml

from contracts.config import Json
from tests.datasets import make_dataset

SEQ_LEN = 32
TOTAL_STEPS = 12
GLOBAL_BATCH_SIZE = 8


def make_tree(folder: Path) -> dict[str, Json]:
    """The config of a run of some 50,000 parameters; its data is made in `folder` on first use."""
    data = folder / "data"
    if not data.exists():
        make_dataset(data, seq_len=SEQ_LEN, num_documents=40)
    return {
        "run": {"name": "test", "output_dir": str(folder / "run"), "seed": 3},
        "data": {"train": [{"manifest": str(data / "train")}], "seq_len": SEQ_LEN},
        "model": {
            "vocab_size": 384,
            "d_model": 32,
            "num_layers": 2,
            "num_heads": 2,
            "d_ff": 64,
            "max_seq_len": SEQ_LEN,
            "tied_embeddings": True,
        },
        "optimizer": {"lr": 0.01},
        "schedule": {"kind": "cosine", "warmup_steps": 2},
        "batch": {"micro_batch_size": 4, "global_batch_size": GLOBAL_BATCH_SIZE},
        "engine": {"kind": "deepspeed", "zero_stage": 2, "precision": "fp32"},
        "tracking": {"kind": "jsonl"},
        "throughput": {"peak": "none"},
        "total_steps": TOTAL_STEPS,
        "log_every_steps": 1,
        "save_every_steps": 4,
    }


def write_config(folder: Path, tree: dict[str, Json] | None = None) -> Path:
    """The config as a file."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(tree or make_tree(folder), sort_keys=False))
    return path


def losses(output_dir: Path) -> dict[int, float]:
    """step -> loss as the tracker has them; of a step logged again, the later one."""
    found = {}
    for line in (output_dir / "tracking.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "metrics" and "train/loss" in entry["values"]:
            found[entry["step"]] = entry["values"]["train/loss"]
    return found
