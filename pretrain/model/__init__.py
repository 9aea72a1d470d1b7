"""The models: `nn.Module` with `(input_ids, segment_ids) -> logits`, chosen by `model.kind`."""

from pretrain.model.huggingface import config_of_stock, from_stock, to_stock
from pretrain.model.transformer import (
    KVCache,
    LayerCheckpoint,
    Transformer,
    TransformerConfig,
)
from pretrain.model.weights import load_weights

ModelConfig = TransformerConfig
"""The registry; a second kind makes it a union discriminated by `kind`."""

__all__ = [
    "KVCache",
    "LayerCheckpoint",
    "ModelConfig",
    "Transformer",
    "TransformerConfig",
    "config_of_stock",
    "from_stock",
    "load_weights",
    "to_stock",
]
