"""Exports at their door: files, manifest, refusals, and the tokenizer as transformers reads it."""

import json
import logging
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from contracts import storage
from contracts.config import Json, as_tree
from contracts.errors import ConfigError
from contracts.tokenizer import Tokenizer
from pretrain.export import write_export
from pretrain.model import TransformerConfig, to_stock
from pretrain.records import ExportManifest
from tests.unit.pretrain.model_configs import tiny
from tests.unit.pretrain.tokenizers import TEXTS, small_tokenizer


def export(
    folder: Path, tokenizer: Tokenizer, *, family: str = "llama", dtype: str = "float32"
) -> tuple[TransformerConfig, ExportManifest]:
    config = tiny(family, vocab_size=tokenizer.spec.vocab_size)
    stock = to_stock(config, config.build().state_dict(), tokenizer.spec)
    manifest = write_export(
        folder,
        stock,
        tokenizer=tokenizer,
        model=as_tree(config),
        from_step=7,
        dtype=dtype,  # type: ignore[arg-type] # one of the names
    )
    return config, manifest


def test_manifest_tells_the_files_the_model_and_the_step(tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    config, manifest = export(tmp_path / "out", tokenizer)
    written = json.loads((tmp_path / "out/export.json").read_text())
    assert written["files"] == {
        path.name: storage.sha256_of(str(path))
        for path in (tmp_path / "out").iterdir()
        if path.name != "export.json"
    }
    assert manifest.files == written["files"]
    assert TransformerConfig.model_validate(written["model"]) == config
    assert written["tokenizer"] == tokenizer.spec.as_json()
    assert (written["format"], written["dtype"], written["from_step"]) == ("llama", "float32", 7)


def test_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "old.txt").touch()
    with pytest.raises(ConfigError, match=r"export folder .* is not empty; name a new one"):
        export(tmp_path, small_tokenizer())


def test_refuses_a_tokenizer_larger_than_the_model(tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    config = tiny("llama")
    stock = to_stock(config, config.build().state_dict(), tokenizer.spec)
    with pytest.raises(ConfigError, match=r"tokenizer has \d+ pieces, model.vocab_size is 61"):
        write_export(tmp_path / "x", stock, tokenizer=tokenizer, model={}, from_step=0)


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        ("llama", {"qk_norm": True}, r"llama class .* model\.qk_norm=True \(needs False\)"),
        ("llama", {"mlp": "gelu"}, r"model\.mlp=gelu \(needs swiglu\)"),
        ("llama", {"norm": "layernorm"}, r"model\.norm=layernorm \(needs rmsnorm\)"),
        ("llama", {"norm_position": "post"}, r"model\.norm_position=post \(needs pre\)"),
        ("llama", {"scale_embeddings": True}, r"model\.scale_embeddings=True"),
        ("llama", {"d_model": 34, "head_dim": 8}, r"model\.d_model=34 \(needs a multiple of 4"),
        ("gpt2", {"num_kv_heads": 2}, r"gpt2 class .* model\.num_kv_heads=2 \(needs num_heads=4"),
        ("gpt2", {"head_dim": 16}, r"model\.head_dim=16 \(needs d_model / num_heads\)"),
        ("gpt2", {"mlp": "swiglu"}, r"model\.mlp=swiglu \(needs gelu_tanh or gelu or relu\)"),
        ("gpt2", {"bias": False, "qk_norm": True}, r"model\.bias=False .*, model\.qk_norm=True"),
        ("transformer_lm", {}, r"model\.positions=sinusoidal \(needs rope\)"),
    ],
)
def test_refuses_by_name_what_the_class_cannot_express(
    family: str, fields: dict[str, Json], message: str
) -> None:
    config = tiny(family, **fields)
    with pytest.raises(ConfigError, match=message):
        to_stock(config, config.build().state_dict(), small_tokenizer().spec)


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_stock_tokenizer_gives_our_ids(tmp_path: Path, family: str, prefix: bool) -> None:
    tokenizer = small_tokenizer(prefix=prefix)
    export(tmp_path / "out", tokenizer, family=family)
    stock = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert stock.eos_token_id == tokenizer.spec.eot_id
    odd = [
        "a\n\n\nb",
        "   three\t\ttabs ",
        "<s> and </s><unk> <0x41>",
        "007 1.5e3",
        "a▁b",
        "é\u0301",
    ]
    for text in (*TEXTS, *odd, " ", "\n", "x", "🚰 \x00\x7f\u2028"):
        ids = tokenizer.encode(text).tolist()
        assert stock.encode(text) == ids, repr(text)
        assert stock.decode(ids, clean_up_tokenization_spaces=False) == tokenizer.decode(ids)


@pytest.fixture(scope="module")
def stock_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("export") / "out"
    export(folder, small_tokenizer())
    return AutoTokenizer.from_pretrained(folder)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text(alphabet=st.one_of(st.sampled_from("abn \n.</s>1é東"), st.characters())))
def test_stock_tokenizer_gives_our_ids_on_any_text(stock_tokenizer: object, text: str) -> None:
    assume_surrogates_absent = text.encode("utf-8", "ignore").decode()
    ours = small_tokenizer().encode(assume_surrogates_absent).tolist()
    assert stock_tokenizer.encode(assume_surrogates_absent) == ours  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tokenizer", "reason"),
    [
        (lambda: small_tokenizer(model_type="unigram"), "not a BPE model"),
        (lambda: small_tokenizer(normaliser="nmt_nfkc"), "it normalises text (nmt_nfkc)"),
    ],
    ids=["unigram", "normalised"],
)
def test_ships_only_the_model_where_ids_would_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tokenizer: object, reason: str
) -> None:
    with caplog.at_level(logging.WARNING):
        _, manifest = export(tmp_path / "out", tokenizer())  # type: ignore[operator] # a lambda
    assert "tokenizer.json" not in manifest.files
    assert "tokenizer.model" in manifest.files
    assert reason in caplog.text


def test_stores_weights_in_the_dtype_asked_for(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    export(tmp_path / "out", small_tokenizer(), dtype="bfloat16")
    tensors = load_file(tmp_path / "out/model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
