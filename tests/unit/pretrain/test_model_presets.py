"""The presets are the models they are called."""

from pathlib import Path

import pytest

from contracts.config import load_config
from pretrain.config import PretrainConfig
from pretrain.model import to_stock
from tests.conftest import ROOT
from tests.unit.pretrain.tokenizers import small_tokenizer

PRESETS = {
    "llama-1m": 1_002_720,
    "llama-15m": 15_191_712,
    "llama-125m": 123_688_704,
    "llama-350m": 341_099_520,
    "llama-1b": 1_100_048_384,  # TinyLlama
    "llama-3b": 3_426_473_600,  # OpenLLaMA 3B
    "llama-7b": 6_738_415_616,  # LLaMA 7B
    "gpt2-124m": 124_439_808,  # GPT-2
    "transformer-lm": 35_298_304,
}
"""Name -> parameters; those with a comment are the published counts."""


@pytest.mark.parametrize("name", PRESETS)
def test_has_the_size_of_its_name(name: str) -> None:
    config = load_config(PretrainConfig, ROOT / f"configs/pretrain/{name}.yaml")
    assert config.run.name == name
    assert config.model.num_parameters() == PRESETS[name]


def test_every_preset_stands_here() -> None:
    found = {path.stem for path in Path(ROOT / "configs/pretrain").glob("*-*.yaml")}
    assert found == set(PRESETS)


@pytest.mark.parametrize("name", ["llama-1m", "llama-15m"])
def test_small_presets_can_be_exported(name: str) -> None:
    config = load_config(PretrainConfig, ROOT / f"configs/pretrain/{name}.yaml").model
    stock = to_stock(config, config.build().state_dict(), small_tokenizer().spec)
    assert stock.format == "llama"
