"""Tiny training runs for tests: a config over synthetic data, and what a run left behind."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
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


def series(output_dir: Path, name: str = "train/loss") -> dict[int, float]:
    """step -> metric as the tracker has it; of a step logged again, the later value."""
    found = {}
    path = output_dir / "tracking.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut by a kill
        if entry["event"] == "metrics" and name in entry["values"]:
            found[entry["step"]] = entry["values"][name]
    return found


def wait_for_steps(
    processes: Sequence[subprocess.Popen[str]], output_dir: Path, steps: int
) -> None:
    """Return once the run has logged that many steps; an error if a process ends before."""
    deadline = time.monotonic() + 120
    while len(series(output_dir)) < steps:
        require_running(processes)
        assert time.monotonic() < deadline, f"only {len(series(output_dir))} of {steps} steps"
        time.sleep(0.002)


def require_running(processes: Sequence[subprocess.Popen[str]]) -> None:
    """An error with its output if a process has ended."""
    for process in processes:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.communicate()[0]}")


def kill_all(processes: Sequence[subprocess.Popen[str]]) -> None:
    """SIGKILL to every process and what it has started."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for process in processes:
        process.communicate()
