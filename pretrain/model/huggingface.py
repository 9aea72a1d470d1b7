"""Our weights in the names and shapes of transformers' GPT-2 and Llama classes, and back.

Each family is one table from our names to theirs and one list of what its class takes for granted;
a model that asks for anything else is refused, naming the fields. Dropout and the document mask do
not change what a trained model computes for one text, so they are not compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contracts.config import Json
from contracts.errors import ConfigError, DataError
from contracts.tokenizer import TokenizerSpec
from pretrain.model.transformer import TransformerConfig
from pretrain.records import StockWeights

_ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}
_NOT_WEIGHTS = (".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq")
"""Ends of names of buffers that old releases saved."""


@dataclass(frozen=True)
class _Place:
    """Where one of our tensors stands in a stock state dict."""

    name: str
    is_transposed: bool = False
    """GPT-2 keeps linear weights as (in, out)."""
    third: int | None = None
    """Which third, by columns, of GPT-2's one matrix for queries, keys and values."""


def to_stock(
    config: TransformerConfig, weights: Mapping[str, Tensor], tokenizer: TokenizerSpec
) -> StockWeights:
    """The model as a stock class stores it: GPT-2 for learned positions, else Llama.

    Args:
        config: of the model.
        weights: by our names; a tied head may be among them.
        tokenizer: for the ids of special tokens.

    Raises:
        ConfigError: neither class can express the model; names every field in the way.
    """
    family = "gpt2" if config.positions == "learned" else "llama"
    misfits = _gpt2_misfits(config) if family == "gpt2" else _llama_misfits(config)
    if misfits:
        raise ConfigError(
            f"the stock {family} class of transformers cannot express model."
            f"{', model.'.join(misfits)}; train with other settings to export, or generate and "
            "evaluate from the checkpoint itself"
        )
    stock_config = _gpt2_config(config) if family == "gpt2" else _llama_config(config)
    stock_config |= {
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied_embeddings,
        "bos_token_id": tokenizer.bos_id if tokenizer.bos_id >= 0 else None,
        "eos_token_id": tokenizer.eot_id,
    }
    tensors: dict[str, Tensor] = {}
    for ours, place in _places(family, config):
        tensor = weights[ours].t() if place.is_transposed else weights[ours]
        if place.third:
            tensor = torch.cat((tensors[place.name], tensor), dim=-1)
        tensors[place.name] = tensor
    return StockWeights(
        format=family,
        config=stock_config,
        tensors={name: tensor.contiguous() for name, tensor in tensors.items()},
    )


def from_stock(config: TransformerConfig, stock: StockWeights, *, where: str) -> dict[str, Tensor]:
    """Weights by our names, for a model of `config`.

    Raises:
        ConfigError: the stock model is not what `config` describes; names the fields that differ.
        DataError: a weight is missing or unknown.
    """
    theirs = config_of_stock(stock, where=where)
    differing = [
        f"{field}: {_resolved(theirs, field)} there, {_resolved(config, field)} here"
        for field in _compared_fields(config)
        if _resolved(theirs, field) != _resolved(config, field)
    ]
    if differing:
        raise ConfigError(
            f"init_from {where} does not fit the model: {'; '.join(differing)}; "
            "set these fields of `model` to the values there"
        )
    tensors = {
        _with_prefix(name, stock.format): tensor
        for name, tensor in stock.tensors.items()
        if not name.endswith(_NOT_WEIGHTS)
    }
    places = list(_places(stock.format, config))
    known = {place.name for _, place in places}
    missing, unknown = sorted(known - tensors.keys()), sorted(tensors.keys() - known)
    if config.tied_embeddings and unknown == ["lm_head.weight"]:
        unknown = []
    if missing or unknown:
        raise DataError(
            f"init_from {where}: {len(missing)} weight(s) missing {missing[:3]}, {len(unknown)} "
            f"unknown {unknown[:3]}; it is not a {stock.format} model with a language-model head"
        )
    weights: dict[str, Tensor] = {}
    for ours, place in places:
        tensor = tensors[place.name]
        if place.third is not None:
            tensor = tensor.chunk(3, dim=-1)[place.third]
        weights[ours] = (tensor.t() if place.is_transposed else tensor).float().contiguous()
    return weights


def config_of_stock(stock: StockWeights, *, where: str) -> TransformerConfig:
    """The `model` section that describes a stock model.

    Raises:
        ConfigError: it uses what our Transformer has not; names it.
        DataError: its config.json lacks a size.
    """
    given = stock.config
    expected = _GPT2_EXPECTED if stock.format == "gpt2" else _LLAMA_EXPECTED
    odd = [
        f"{key}={given[key]!r} (supported: {value!r})"
        for key, value in expected.items()
        if key in given and given[key] != value
    ]
    if stock.format == "llama":
        odd += _odd_llama(given)
    elif given.get("activation_function", "gelu_new") not in _ACTIVATIONS.values():
        odd.append(f"activation_function={given['activation_function']!r}")
    if odd:
        raise ConfigError(
            f"init_from {where}: its config.json asks for what this model has not: {', '.join(odd)}"
        )
    try:
        return _config_of_gpt2(given) if stock.format == "gpt2" else _config_of_llama(given)
    except KeyError as error:
        raise DataError(f"init_from {where}: config.json has no field {error}") from error


_GPT2_NEEDS: dict[str, tuple[Json, ...]] = {
    "positions": ("learned",),
    "norm": ("layernorm",),
    "norm_position": ("pre",),
    "mlp": tuple(_ACTIVATIONS),
    "bias": (True,),
    "qk_norm": (False,),
    "scale_embeddings": (False,),
}
_LLAMA_NEEDS: dict[str, tuple[Json, ...]] = {
    "positions": ("rope",),
    "norm": ("rmsnorm",),
    "norm_position": ("pre",),
    "mlp": ("swiglu",),
    "qk_norm": (False,),
    "scale_embeddings": (False,),
}
_GPT2_EXPECTED: dict[str, Json] = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
_LLAMA_EXPECTED: dict[str, Json] = {"hidden_act": "silu", "rope_scaling": None}


def _gpt2_misfits(config: TransformerConfig) -> list[str]:
    misfits = _misfits(config, _GPT2_NEEDS)
    if config.kv_heads != config.num_heads:
        misfits.append(f"num_kv_heads={config.kv_heads} (needs num_heads={config.num_heads})")
    if config.attention_width != config.d_model:
        misfits.append(f"head_dim={config.head_width} (needs d_model / num_heads)")
    return misfits


def _llama_misfits(config: TransformerConfig) -> list[str]:
    misfits = _misfits(config, _LLAMA_NEEDS)
    if config.d_model % config.num_heads:
        misfits.append(f"d_model={config.d_model} (needs a multiple of {config.num_heads} heads)")
    return misfits


def _misfits(config: TransformerConfig, needs: dict[str, tuple[Json, ...]]) -> list[str]:
    return [
        f"{field}={getattr(config, field)} (needs {' or '.join(str(v) for v in allowed)})"
        for field, allowed in needs.items()
        if getattr(config, field) not in allowed
    ]


def _gpt2_config(config: TransformerConfig) -> dict[str, Json]:
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_positions": config.max_seq_len,
        "n_embd": config.d_model,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": config.d_ff,
        "activation_function": _ACTIVATIONS[config.mlp],
        "layer_norm_epsilon": config.norm_eps,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
    }


def _llama_config(config: TransformerConfig) -> dict[str, Json]:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "max_position_embeddings": config.max_seq_len,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.d_ff,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,  # releases before 5 read it here
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "attention_dropout": config.dropout,
    }


def _config_of_gpt2(given: Mapping[str, Any]) -> TransformerConfig:
    names = {stock: ours for ours, stock in _ACTIVATIONS.items()}
    return TransformerConfig(
        vocab_size=given["vocab_size"],
        d_model=given["n_embd"],
        num_layers=given["n_layer"],
        num_heads=given["n_head"],
        d_ff=given.get("n_inner") or 4 * given["n_embd"],
        max_seq_len=given["n_positions"],
        positions="learned",
        norm="layernorm",
        norm_eps=given.get("layer_norm_epsilon", 1e-5),
        mlp=names[given.get("activation_function", "gelu_new")],  # type: ignore[arg-type] # checked
        bias=True,
        tied_embeddings=given.get("tie_word_embeddings", True),
    )


def _config_of_llama(given: Mapping[str, Any]) -> TransformerConfig:
    rope: Mapping[str, Any] = given.get("rope_parameters") or {}
    return TransformerConfig(
        vocab_size=given["vocab_size"],
        d_model=given["hidden_size"],
        num_layers=given["num_hidden_layers"],
        num_heads=given["num_attention_heads"],
        num_kv_heads=given.get("num_key_value_heads"),
        head_dim=given.get("head_dim"),
        d_ff=given["intermediate_size"],
        max_seq_len=given.get("max_position_embeddings", 2048),
        rope_theta=rope.get("rope_theta", given.get("rope_theta", 10_000.0)),
        norm_eps=given.get("rms_norm_eps", 1e-6),
        bias=given.get("attention_bias", False),
        tied_embeddings=given.get("tie_word_embeddings", False),
    )


def _odd_llama(given: Mapping[str, Any]) -> list[str]:
    odd = []
    rope: Mapping[str, Any] = given.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default":
        odd.append(f"rope_parameters.rope_type={rope['rope_type']!r} (supported: 'default')")
    if given.get("attention_bias", False) != given.get("mlp_bias", False):
        odd.append("attention_bias different from mlp_bias")
    return odd


def _compared_fields(config: TransformerConfig) -> Iterator[str]:
    ignored = {"kind", "dropout", "document_mask", "init", "num_kv_heads", "head_dim"}
    ignored.add("rope_theta" if config.positions != "rope" else "max_seq_len")
    yield from (field for field in TransformerConfig.model_fields if field not in ignored)
    yield from ("kv_heads", "head_width")


def _resolved(config: TransformerConfig, field: str) -> Json:
    value: Json = getattr(config, field)
    return value


def _with_prefix(name: str, stock_format: str) -> str:
    """GPT-2 as first published has its names without the prefix of the head's class."""
    if stock_format == "gpt2" and name.startswith(("wte.", "wpe.", "h.", "ln_f.")):
        return f"transformer.{name}"
    return name


def _places(stock_format: str, config: TransformerConfig) -> Iterator[tuple[str, _Place]]:
    """Each of our parameter names with its place; the thirds of one matrix stand in order."""
    places = _gpt2_places if stock_format == "gpt2" else _llama_places
    yield from places(config)
    if not config.tied_embeddings:
        yield "head.weight", _Place("lm_head.weight")


def _gpt2_places(config: TransformerConfig) -> Iterator[tuple[str, _Place]]:
    yield "embedding.weight", _Place("transformer.wte.weight")
    yield "position_embedding.weight", _Place("transformer.wpe.weight")
    for layer in range(config.num_layers):
        ours, theirs = f"layers.{layer}", f"transformer.h.{layer}"
        for third, name in enumerate(("query", "key", "value")):
            place = _Place(f"{theirs}.attn.c_attn.weight", is_transposed=True, third=third)
            yield f"{ours}.attention.{name}.weight", place
            place = _Place(f"{theirs}.attn.c_attn.bias", third=third)
            yield f"{ours}.attention.{name}.bias", place
        for name, stock in _GPT2_LINEARS:
            yield f"{ours}.{name}.weight", _Place(f"{theirs}.{stock}.weight", is_transposed=True)
            yield f"{ours}.{name}.bias", _Place(f"{theirs}.{stock}.bias")
        for name, stock in (("attention_norm", "ln_1"), ("mlp_norm", "ln_2")):
            yield f"{ours}.{name}.weight", _Place(f"{theirs}.{stock}.weight")
            yield f"{ours}.{name}.bias", _Place(f"{theirs}.{stock}.bias")
    yield "final_norm.weight", _Place("transformer.ln_f.weight")
    yield "final_norm.bias", _Place("transformer.ln_f.bias")


_GPT2_LINEARS = (
    ("attention.out", "attn.c_proj"),
    ("mlp.up", "mlp.c_fc"),
    ("mlp.down", "mlp.c_proj"),
)
_LLAMA_LINEARS = (
    ("attention.query", "self_attn.q_proj"),
    ("attention.key", "self_attn.k_proj"),
    ("attention.value", "self_attn.v_proj"),
    ("attention.out", "self_attn.o_proj"),
    ("mlp.gate", "mlp.gate_proj"),
    ("mlp.up", "mlp.up_proj"),
    ("mlp.down", "mlp.down_proj"),
)


def _llama_places(config: TransformerConfig) -> Iterator[tuple[str, _Place]]:
    yield "embedding.weight", _Place("model.embed_tokens.weight")
    for layer in range(config.num_layers):
        ours, theirs = f"layers.{layer}", f"model.layers.{layer}"
        for name, stock in _LLAMA_LINEARS:
            yield f"{ours}.{name}.weight", _Place(f"{theirs}.{stock}.weight")
            if config.bias:
                yield f"{ours}.{name}.bias", _Place(f"{theirs}.{stock}.bias")
        yield f"{ours}.attention_norm.weight", _Place(f"{theirs}.input_layernorm.weight")
        yield f"{ours}.mlp_norm.weight", _Place(f"{theirs}.post_attention_layernorm.weight")
    yield "final_norm.weight", _Place("model.norm.weight")
