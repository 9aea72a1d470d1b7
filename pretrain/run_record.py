"""What a run tells its tracker at the start: settings, environment, code version, data."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch

from contracts.config import as_tree, fingerprint, to_yaml
from contracts.shards import ShardManifest
from contracts.tracking import Tracker, flattened
from pretrain.config import PretrainConfig


def record_run(
    tracker: Tracker,
    config: PretrainConfig,
    manifests: Sequence[ShardManifest],
    *,
    world_size: int,
) -> None:
    """Parameters, tags, the config as a file, and each dataset with the run that made it."""
    tracker.log_params(flattened(as_tree(config)))
    tracker.log_text(to_yaml(config), "config.yaml")
    tracker.set_tags(
        {
            "config_sha256": fingerprint(config),
            "tokenizer_sha256": manifests[0].tokenizer.sha256,
            "git_commit": git_commit(),
            "world_size": str(world_size),
            **manifest_tags(manifests),
            **environment(),
        }
    )
    for manifest in manifests:
        tracker.log_input(
            name=f"{manifest.dataset_id}/{manifest.split}",
            source_url=manifest.where,
            digest=manifest.sha256,
            run_id=manifest.tracker_run_id,
        )


def manifest_tags(manifests: Sequence[ShardManifest]) -> dict[str, str]:
    """The whole identity of each split; datasets of one name share a tag, in the config's order."""
    tags: dict[str, str] = {}
    for manifest in manifests:
        name = f"manifest_sha256.{manifest.dataset_id}.{manifest.split}"
        tags[name] = f"{tags[name]} {manifest.sha256}" if name in tags else manifest.sha256
    return tags


def environment() -> dict[str, str]:
    """Versions and machine, as far as a result may depend on them."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "deepspeed": _version("deepspeed"),
        "mlflow": _version("mlflow"),
        "cuda": torch.version.cuda or "none",
        "gpu": gpu,
        "host": platform.node(),
        "torch_threads": str(torch.get_num_threads()),
    }


def _version(package: str) -> str:
    """As installed, without loading it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def git_commit() -> str:
    """The checkout's commit, `+` behind it where files differ from it; `unknown` without git."""
    folder = Path(__file__).resolve().parent.parent
    try:
        answers = [
            subprocess.run(  # noqa: S603 - fixed words
                ["git", "-C", str(folder), *words],  # noqa: S607 - whichever git the user has
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answers[0] + ("+" if answers[1] else "")
