"""Our models equal transformers' classes: logits, round trips, greedy text."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from contracts.config import as_tree
from pretrain.export import write_export
from pretrain.generate import GenerateConfig, generate
from pretrain.init_from import read_stock
from pretrain.model import (
    Transformer,
    TransformerConfig,
    config_of_stock,
    from_stock,
    load_weights,
    to_stock,
)
from tests.unit.pretrain.model_configs import tiny
from tests.unit.pretrain.tokenizers import small_tokenizer

TOLERANCE = 1e-5
EXPORTABLE = [
    tiny("llama", vocab_size=400),
    tiny("llama", vocab_size=400, rope_theta=500_000.0, norm_eps=1e-6, head_dim=16),
    tiny("llama_tied_bias", vocab_size=400),
    tiny("gpt2", vocab_size=400),
    tiny("gpt2", vocab_size=400, tied_embeddings=False, mlp="relu"),
]


def random_model(config: TransformerConfig) -> Transformer:
    """With no weight at a value that hides a mistake (unit norms, zero biases)."""
    torch.manual_seed(1)
    model = config.build().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.2)
    return model


def export(model: Transformer, folder: Path) -> Path:
    tokenizer = small_tokenizer()
    stock = to_stock(model.config, model.state_dict(), tokenizer.spec)
    tree = as_tree(model.config)
    write_export(folder, stock, tokenizer=tokenizer, model=tree, from_step=0)
    return folder


@pytest.mark.parametrize("config", EXPORTABLE)
@torch.no_grad()
def test_stock_class_gives_our_logits(tmp_path: Path, config: TransformerConfig) -> None:
    model = random_model(config)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        export(model, tmp_path / "out"), output_loading_info=True
    )
    stock, report = loaded
    assert not any(report.values()), report
    assert type(stock) in (GPT2LMHeadModel, LlamaForCausalLM)
    assert stock.dtype == torch.float32
    ids = torch.randint(config.vocab_size, (2, 32))
    torch.testing.assert_close(model(ids), stock(ids).logits, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("config", EXPORTABLE)
@torch.no_grad()
def test_export_comes_back_unchanged(tmp_path: Path, config: TransformerConfig) -> None:
    model = random_model(config)
    stock = read_stock(export(model, tmp_path / "out"))
    assert stock.tokenizer == small_tokenizer().spec
    weights = from_stock(config, stock, where="out")
    for name, parameter in model.named_parameters():
        assert torch.equal(weights.pop(name), parameter), name
    assert not weights


@pytest.mark.parametrize(
    "stock_config",
    [
        GPT2Config(vocab_size=400, n_positions=32, n_embd=32, n_layer=2, n_head=4),
        GPT2Config(vocab_size=400, n_positions=32, n_embd=32, n_layer=2, n_head=4, n_inner=48),
        LlamaConfig(
            vocab_size=400,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=1,
            rope_parameters={"rope_type": "default", "rope_theta": 77_000.0},
        ),
        LlamaConfig(
            vocab_size=400,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
        ),
    ],
    ids=["gpt2", "gpt2_n_inner", "llama_gqa", "llama_tied_bias"],
)
@torch.no_grad()
def test_round_trip_from_transformers_and_back(
    tmp_path: Path, stock_config: GPT2Config | LlamaConfig
) -> None:
    theirs = _random_stock(stock_config)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")

    stock = read_stock(tmp_path / "theirs")
    assert stock.tokenizer is None
    config = config_of_stock(stock, where="theirs")
    ours = config.build().eval()
    load_weights(ours, from_stock(config, stock, where="theirs"), where="theirs")
    ids = torch.randint(400, (2, 32))
    expected = theirs(ids).logits
    torch.testing.assert_close(ours(ids), expected, atol=TOLERANCE, rtol=TOLERANCE)

    again = AutoModelForCausalLM.from_pretrained(export(ours, tmp_path / "again"))
    assert torch.equal(again(ids).logits, expected)


def _random_stock(config: GPT2Config | LlamaConfig) -> Any:
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call] # theirs
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.2)
    return model.eval()


@pytest.mark.parametrize("config", [EXPORTABLE[0], EXPORTABLE[3]], ids=["llama", "gpt2"])
def test_greedy_text_is_that_of_transformers(tmp_path: Path, config: TransformerConfig) -> None:
    model = random_model(config)
    tokenizer = small_tokenizer()
    folder = export(model, tmp_path / "out")
    stock: Any = AutoModelForCausalLM.from_pretrained(folder)
    stock_tokenizer = AutoTokenizer.from_pretrained(folder)
    for prompt in ("The aqueduct", "A rose  is", "\n"):
        ours = generate(model, tokenizer, prompt, GenerateConfig(max_new_tokens=12, temperature=0))
        given = stock_tokenizer(prompt, return_tensors="pt")
        theirs = stock.generate(
            given.input_ids,
            attention_mask=torch.ones_like(given.input_ids),
            max_new_tokens=12,
            do_sample=False,
        )[0].tolist()
        assert [*ours.prompt_ids, *ours.new_ids] == theirs
