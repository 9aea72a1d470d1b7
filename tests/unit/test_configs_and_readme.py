"""Every config in configs/ loads; every command of the README names a verb and files that exist."""

import re
import shlex
from pathlib import Path

import pytest

from contracts.config import load_config
from data_pipeline.__main__ import VERBS as DATA_VERBS
from data_pipeline.config import DataConfig
from data_pipeline.quality_training import QualityTrainingConfig
from launch.__main__ import VERBS as LAUNCH_VERBS
from pretrain.__main__ import VERBS as PRETRAIN_VERBS
from pretrain.config import PretrainConfig

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/running.md", "docs/debugging.md", "docs/numerics.md")
VERBS: dict[str, set[str]] = {
    "data_pipeline": set(DATA_VERBS),
    "pretrain": set(PRETRAIN_VERBS),
    "launch": set(LAUNCH_VERBS),
}
COMMAND = re.compile(r"^ {4}(?:\$ )?(\S.*(?:data_pipeline|pretrain|launch) .*)$", re.MULTILINE)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "data").glob("*.yaml")), ids=str)
def test_data_configs_load(path: Path) -> None:
    assert load_config(DataConfig, path).sources


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "quality").glob("*.yaml")), ids=str)
def test_quality_configs_load(path: Path) -> None:
    assert load_config(QualityTrainingConfig, path).output


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "pretrain").glob("*.yaml")), ids=str)
def test_training_configs_load(path: Path) -> None:
    config = load_config(PretrainConfig, path)
    assert config.model.num_parameters() > 0


def commands() -> list[tuple[str, str]]:
    """Page and command line of each indented command of the pages."""
    found = []
    for page in PAGES:
        path = ROOT / page
        if path.exists():
            found += [(page, line) for line in COMMAND.findall(path.read_text())]
    return found


def test_the_readme_has_commands() -> None:
    assert len([line for page, line in commands() if page == "README.md"]) >= 8


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_name_verbs_and_configs_that_exist(page: str, line: str) -> None:
    words = shlex.split(line.partition("#")[0].replace("…", ""))
    package = next(word for word in words if word in VERBS)
    verb = words[words.index(package) + 1]
    assert verb in VERBS[package], f"{page}: {line}"
    for word in words:
        if word.startswith("configs/"):
            assert (ROOT / word).exists(), f"{page}: {line}"


def test_the_table_of_configs_is_whole() -> None:
    table = (ROOT / "README.md").read_text()
    named = [
        path
        for pattern in re.findall(r"`(configs/[^`]+\.yaml)`", table)
        for path in ROOT.glob(pattern)
    ]
    assert set(named) >= set((ROOT / "configs").rglob("*.yaml"))
