"""Tiny models of each family, for tests."""

from typing import Any

from pretrain.model import TransformerConfig

_SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "d_model": 32,
    "num_layers": 2,
    "num_heads": 4,
    "d_ff": 48,
    "max_seq_len": 32,
}
_FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"num_kv_heads": 2},
    "llama_tied_bias": {"tied_embeddings": True, "bias": True, "head_dim": 16},
    "qk_norm": {"qk_norm": True, "mlp": "gelu"},
    "gpt2": {
        "positions": "learned",
        "norm": "layernorm",
        "mlp": "gelu_tanh",
        "bias": True,
        "tied_embeddings": True,
    },
    "transformer_lm": {
        "positions": "sinusoidal",
        "norm": "layernorm",
        "norm_position": "post",
        "mlp": "relu",
        "bias": True,
        "scale_embeddings": True,
    },
}
VARIANTS = tuple(_FAMILIES)


def tiny(family: str, **fields: Any) -> TransformerConfig:
    """A model of about 30,000 parameters."""
    return TransformerConfig(**{**_SIZES, **_FAMILIES[family], **fields})
