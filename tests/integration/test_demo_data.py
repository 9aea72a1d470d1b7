"""The demo's data: at least half of the pages stay, and every stage drops something."""

import json
import subprocess
import sys
from pathlib import Path

from contracts.shards import read_manifest


def test_the_demo_keeps_half_and_every_stage_drops_something(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    overrides = [
        f"output_dir={out}",
        "runner={kind: local}",
        "tracking={kind: none}",
        f"sources.pages.cache_dir={tmp_path}",
        f"sources.reference.cache_dir={tmp_path}",
    ]
    command = [sys.executable, "-m", "data_pipeline", "run", "configs/data/demo.yaml", *overrides]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((out / "report.json").read_text())
    assert 2 * report["num_kept"] >= report["num_in"]
    chain = {"extract", "language", "length", "gopher_quality", "dedup"}
    assert {stage for stage, reasons in report["dropped"].items() if sum(reasons.values())} >= chain
    for split in ("train", "validation"):
        assert set(read_manifest(str(out / split)).sources) == {"pages", "reference"}
