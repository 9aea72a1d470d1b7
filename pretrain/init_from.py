"""Reads a folder of transformers' GPT-2 or Llama, or one of our exports, to start a run from."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from contracts import storage
from contracts.errors import ConfigError, DataError
from contracts.tokenizer import TokenizerSpec
from pretrain.records import StockWeights

FORMATS = ("gpt2", "llama")


def read_stock(folder: str | Path) -> StockWeights:
    """Config and weights of a folder; an export's files are verified against its manifest.

    Raises:
        ConfigError: there is no such folder, or it holds another kind of model.
        DataError: a file is missing, torn or not what the manifest says.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise ConfigError(
            f"init_from {path} has no config.json; name a folder as transformers saves it"
        )
    config = _read_json(path / "config.json")
    model_type = config.get("model_type")
    if model_type not in FORMATS:
        raise ConfigError(
            f"init_from {path}: model_type is {model_type!r}, supported: {', '.join(FORMATS)}"
        )
    tokenizer = None
    if (path / "export.json").is_file():
        tokenizer = _verified_export(path)
    return StockWeights(
        format=str(model_type), config=config, tensors=_read_tensors(path), tokenizer=tokenizer
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}; fetch it again") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path} holds a {type(tree).__name__}, expected fields; fetch it again")
    return tree


def _verified_export(path: Path) -> TokenizerSpec:
    manifest = _read_json(path / "export.json")
    for name, expected in manifest["files"].items():
        if not (path / name).is_file():
            raise DataError(f"{path / name} is missing, export.json lists it; export again")
        found = storage.sha256_of(str(path / name))
        if found != expected:
            raise DataError(
                f"{path / name} has sha256 {found}, export.json says {expected}; export again"
            )
    return TokenizerSpec.from_json(manifest["tokenizer"])


def _read_tensors(path: Path) -> dict[str, Tensor]:
    index = path / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        names = sorted(set(_read_json(index)["weight_map"].values()))
    tensors: dict[str, Tensor] = {}
    for name in names:
        if not (path / name).is_file():
            raise DataError(
                f"{path / name} is missing; weights are read from safetensors alone (pickled "
                "pytorch_model.bin is not read): save the model with safe_serialization=True"
            )
        try:
            tensors |= load_file(path / name)
        except SafetensorError as error:
            raise DataError(f"{path / name} is torn: {error}; fetch it again") from error
    return tensors
