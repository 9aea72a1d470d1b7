"""What starts a run, and what is refused, by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from contracts.errors import ConfigError, DataError
from pretrain.init_from import read_stock
from pretrain.model import config_of_stock, from_stock
from tests.unit.pretrain.model_configs import tiny
from tests.unit.pretrain.test_export import export
from tests.unit.pretrain.tokenizers import small_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export(tmp_path / "llama", small_tokenizer())
    (tmp_path / "llama/export.json").unlink()
    return tmp_path / "llama"


def change_config(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def test_refuses_another_size_naming_the_fields(folder: Path) -> None:
    size = small_tokenizer().spec.vocab_size
    config = tiny("llama", vocab_size=size, d_ff=64, num_kv_heads=4, rope_theta=5e5)
    with pytest.raises(ConfigError, match=r"rope_theta: 10000.0 there, 500000.0 here") as error:
        from_stock(config, read_stock(folder), where="folder")
    assert "d_ff: 48 there, 64 here" in str(error.value)
    assert "kv_heads: 2 there, 4 here" in str(error.value)
    assert "d_model" not in str(error.value)


def test_longer_rows_are_no_hindrance_with_rope(folder: Path) -> None:
    config = tiny("llama", vocab_size=small_tokenizer().spec.vocab_size, max_seq_len=64)
    assert from_stock(config, read_stock(folder), where="folder")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_act": "gelu"}, r"hidden_act='gelu' \(supported: 'silu'\)"),
        ({"rope_parameters": {"rope_type": "yarn"}}, r"rope_type='yarn'"),
        ({"rope_scaling": {"type": "linear"}}, r"rope_scaling="),
        ({"mlp_bias": True}, "attention_bias different from mlp_bias"),
    ],
)
def test_refuses_features_the_model_has_not(
    folder: Path, fields: dict[str, Any], message: str
) -> None:
    change_config(folder, **fields)
    with pytest.raises(ConfigError, match=message):
        config_of_stock(read_stock(folder), where="folder")


def test_refuses_odd_gpt2(tmp_path: Path) -> None:
    export(tmp_path / "x", small_tokenizer(), family="gpt2")
    (tmp_path / "x/export.json").unlink()
    change_config(tmp_path / "x", scale_attn_by_inverse_layer_idx=True, activation_function="silu")
    with pytest.raises(ConfigError, match=r"scale_attn.*activation_function='silu'"):
        config_of_stock(read_stock(tmp_path / "x"), where="x")


def test_refuses_other_kinds_and_missing_fields(folder: Path) -> None:
    change_config(folder, model_type="mamba")
    with pytest.raises(ConfigError, match=r"model_type is 'mamba', supported: gpt2, llama"):
        read_stock(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(DataError, match=r"config.json has no field 'vocab_size'"):
        config_of_stock(read_stock(folder), where="folder")
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config.json is not JSON"):
        read_stock(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(DataError, match=r"config.json holds a list"):
        read_stock(folder)
    with pytest.raises(ConfigError, match=r"has no config.json"):
        read_stock(folder.parent)


def test_refuses_missing_unknown_and_torn_weights(folder: Path) -> None:
    config = tiny("llama", vocab_size=small_tokenizer().spec.vocab_size)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["extra.weight"] = tensors.pop("model.norm.weight")
    save_file(tensors, path)
    with pytest.raises(
        DataError, match=r"1 weight\(s\) missing \['model.norm.weight'\], 1 unknown"
    ):
        from_stock(config, read_stock(folder), where="folder")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"model.safetensors is torn"):
        read_stock(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"is missing; weights are read from safetensors alone"):
        read_stock(folder)


def test_accepts_gpt2_as_first_published(tmp_path: Path) -> None:
    config, _ = export(tmp_path / "x", small_tokenizer(), family="gpt2")
    (tmp_path / "x/export.json").unlink()
    expected = from_stock(config, read_stock(tmp_path / "x"), where="x")
    path = tmp_path / "x/model.safetensors"
    old = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    old["h.0.attn.bias"] = torch.ones(1, 1, 32, 32)
    save_file(old, path)
    found = from_stock(config, read_stock(tmp_path / "x"), where="x")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_verifies_exports(tmp_path: Path) -> None:
    export(tmp_path / "x", small_tokenizer())
    change_config(tmp_path / "x", rms_norm_eps=1.0)
    with pytest.raises(DataError, match=r"config.json has sha256 .*, export.json says"):
        read_stock(tmp_path / "x")
    (tmp_path / "x/tokenizer.model").unlink()
    change_config(tmp_path / "x", rms_norm_eps=1e-5)
    with pytest.raises(DataError):
        read_stock(tmp_path / "x")
