"""A decoder Transformer language model, whole, on one device: ids in, logits out.

Norms, positions, MLP and attention are chosen by `TransformerConfig`, so that GPT-2, Llama and the
post-norm Transformer of 2017 are three configs of one class. It knows nothing of ranks, ZeRO or
precision; what does (activation checkpointing) is handed in as a function.

Documents packed in one row cannot see each other: attention is masked to the document, and
positions restart at its first token.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from contracts.config import Config
from contracts.errors import ConfigError
from pretrain.model.init import InitConfig, init_weights
from pretrain.model.rope import apply_rope, document_positions, rope_tables, sinusoids


class LayerCheckpoint(Protocol):
    """Runs a layer, and decides what of it is kept for the backward pass."""

    def __call__(self, layer: int, function: Callable[..., Tensor], /, *args: Any) -> Tensor:
        """`function(*args)` for layer number `layer`."""


class TransformerConfig(Config):
    """Sizes and choices of the decoder."""

    kind: Literal["transformer"] = "transformer"
    vocab_size: PositiveInt
    """Rows of the embedding: the tokenizer's vocabulary, or more when padded for speed."""
    d_model: PositiveInt
    """Width of the residual stream."""
    num_layers: PositiveInt
    """Blocks of attention and MLP."""
    num_heads: PositiveInt
    """Query heads."""
    num_kv_heads: PositiveInt | None = None
    """Key and value heads, each shared by as many query heads; null: off, one for each."""
    head_dim: PositiveInt | None = None
    """Width of one head; null: d_model / num_heads."""
    d_ff: PositiveInt
    """Width inside the MLP."""
    max_seq_len: PositiveInt
    """Longest row accepted, in tokens; the length of the table of learned positions."""
    positions: Literal["rope", "learned", "sinusoidal"] = "rope"
    """How positions enter: rotated into queries and keys, or added to the embeddings."""
    rope_theta: PositiveFloat = 10_000.0
    """Base of the rotary wavelengths; only with positions=rope."""
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    """Normalisation of the residual stream."""
    norm_position: Literal["pre", "post"] = "pre"
    """Before each branch and once at the end (pre), or after each addition (post, as in 2017)."""
    norm_eps: PositiveFloat = 1e-5
    """Added to the variance in every norm."""
    mlp: Literal["swiglu", "gelu", "gelu_tanh", "relu"] = "swiglu"
    """Activation of the MLP; swiglu has a third matrix, gelu_tanh is GPT-2's approximation."""
    qk_norm: bool = False
    """RMS-normalise each head's queries and keys, with a learned gain, before positions enter."""
    tied_embeddings: bool = False
    """The head is the transposed token embedding."""
    bias: bool = False
    """Biases in linear layers (not the head) and in LayerNorm."""
    scale_embeddings: bool = False
    """Multiply token embeddings by sqrt(d_model) (Vaswani et al. 2017, section 3.4)."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability of zeroing in training: embeddings, attention weights, branch outputs."""
    document_mask: bool = True
    """Documents of one row cannot see each other, and positions restart; false: one text a row."""
    init: InitConfig = InitConfig()
    """Starting values."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.head_dim is None and self.d_model % self.num_heads:
            raise ConfigError(
                f"d_model={self.d_model} is not a multiple of num_heads={self.num_heads}; "
                "change either, or set head_dim"
            )
        if self.num_heads % self.kv_heads:
            raise ConfigError(
                f"num_heads={self.num_heads} is not a multiple of num_kv_heads={self.kv_heads}; "
                "each key head serves the same number of query heads"
            )
        if self.positions == "rope" and self.head_width % 2:
            raise ConfigError(
                f"head_dim={self.head_width} is odd, and positions=rope rotates pairs; make it even"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ConfigError(
                f"d_model={self.d_model} is odd, and positions=sinusoidal pairs sines, cosines; "
                "make it even"
            )
        default_theta = type(self).model_fields["rope_theta"].default
        if self.positions != "rope" and self.rope_theta != default_theta:
            raise ConfigError(
                f"rope_theta={self.rope_theta} has no effect with positions={self.positions}; "
                "remove it, or set positions=rope"
            )
        return self

    @property
    def kv_heads(self) -> int:
        """K, resolved."""
        return self.num_kv_heads or self.num_heads

    @property
    def head_width(self) -> int:
        """C, resolved."""
        return self.head_dim or self.d_model // self.num_heads

    @property
    def attention_width(self) -> int:
        """H * C: width of all query heads together."""
        return self.num_heads * self.head_width

    def build(self, checkpoint: LayerCheckpoint | None = None) -> "Transformer":
        """A model with fresh weights from torch's global generator; none under device meta."""
        return Transformer(self, checkpoint)

    def num_parameters(self) -> int:
        """Trained numbers, a tied head counted once."""
        return sum(parameter.numel() for parameter in self._on_meta().parameters())

    def matmul_parameters(self) -> int:
        """Numbers that multiply each token: all linear layers and the head, tied or not."""
        linears = (m for m in self._on_meta().modules() if isinstance(m, nn.Linear))
        return sum(module.weight.numel() for module in linears)

    def _on_meta(self) -> "Transformer":
        with torch.device("meta"):
            return self.build()


class KVCache:
    """Keys and values of the tokens read so far, for each layer (B, K, max_tokens, C)."""

    def __init__(self, config: TransformerConfig, *, batch_size: int, max_tokens: int) -> None:
        self.length = 0
        """Tokens that all layers have seen."""
        self._shape = (batch_size, config.kv_heads, max_tokens, config.head_width)
        self._layers: list[tuple[Tensor, Tensor] | None] = [None] * config.num_layers

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens, those of the new ones (B, K, T, C) appended."""
        kept = self._layers[layer]
        if kept is None:
            kept = (key.new_empty(self._shape), value.new_empty(self._shape))
            self._layers[layer] = kept
        end = self.length + key.shape[2]
        assert end <= self._shape[2], f"cache of {self._shape[2]} tokens asked for {end}"
        kept[0][:, :, self.length : end] = key
        kept[1][:, :, self.length : end] = value
        return kept[0][:, :, :end], kept[1][:, :, :end]


@dataclass(frozen=True)
class Context:
    """What all layers of one forward pass share."""

    rope: tuple[Tensor, Tensor] | None
    """Cosines and sines, (B or 1, 1, T, C)."""
    mask: Tensor | None
    """(B or 1, 1, T, S) bool, true where a query may look; None: see is_causal."""
    is_causal: bool
    """Each position sees itself and all before it, and no mask is needed."""
    cache: KVCache | None


class Linear(nn.Linear):
    """A linear layer over rows (N, D), which makes product and bias one operation.

    ZeRO-3 puts its own linear function in place of torch's, which adds the bias to (B, T, D) in
    place, and so would change, unnoticed, a product that selective checkpointing keeps.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D')."""
        return super().forward(x.flatten(0, -2)).view(*x.shape[:-1], -1)


class Attention(nn.Module):
    """Causal self-attention; heads of keys and values may be shared (Ainslie et al. 2023)."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_width
        self.num_groups = config.num_heads // config.kv_heads
        self.dropout = config.dropout
        q_dim, kv_dim = config.attention_width, config.kv_heads * self.head_dim
        self.query = Linear(config.d_model, q_dim, bias=config.bias)
        self.key = Linear(config.d_model, kv_dim, bias=config.bias)
        self.value = Linear(config.d_model, kv_dim, bias=config.bias)
        self.out = Linear(q_dim, config.d_model, bias=config.bias)
        self.query_norm: nn.Module = nn.Identity()
        self.key_norm: nn.Module = nn.Identity()
        if config.qk_norm:
            self.query_norm = nn.RMSNorm(self.head_dim, eps=config.norm_eps)
            self.key_norm = nn.RMSNorm(self.head_dim, eps=config.norm_eps)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        q, k, v = (self._heads(linear(x)) for linear in (self.query, self.key, self.value))
        q, k = self.query_norm(q), self.key_norm(k)  # (B, H, T, C), (B, K, T, C)
        if context.rope is not None:
            q, k = apply_rope(q, *context.rope), apply_rope(k, *context.rope)
        if context.cache is not None:
            k, v = context.cache.extend(self.layer, k, v)  # (B, K, S, C)
        mixed = F.scaled_dot_product_attention(
            q,
            k.repeat_interleave(self.num_groups, dim=1) if self.num_groups > 1 else k,
            v.repeat_interleave(self.num_groups, dim=1) if self.num_groups > 1 else v,
            attn_mask=context.mask,
            is_causal=context.is_causal,
            dropout_p=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))  # (B, T, D)
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)  # (B, heads, T, C)


class Mlp(nn.Module):
    """Two matrices around an activation, or three with a gate (SwiGLU: Shazeer 2020)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.kind = config.mlp
        if config.mlp == "swiglu":
            self.gate = Linear(config.d_model, config.d_ff, bias=config.bias)
        self.up = Linear(config.d_model, config.d_ff, bias=config.bias)
        self.down = Linear(config.d_ff, config.d_model, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        hidden = self.up(x)  # (B, T, F)
        if self.kind == "swiglu":
            hidden = F.silu(self.gate(x)) * hidden
        elif self.kind == "relu":
            hidden = F.relu(hidden)
        else:
            hidden = F.gelu(hidden, approximate="tanh" if self.kind == "gelu_tanh" else "none")
        out: Tensor = self.down(hidden)  # (B, T, D)
        return out


def _norm(config: TransformerConfig) -> nn.Module:
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.d_model, eps=config.norm_eps)
    return nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.bias)


class Block(nn.Module):
    """Attention, then MLP, each added to the residual stream."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.is_post_norm = config.norm_position == "post"
        self.attention_norm = _norm(config)
        self.attention = Attention(config, layer)
        self.mlp_norm = _norm(config)
        self.mlp = Mlp(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        if self.is_post_norm:
            x = self.attention_norm(x + self.dropout(self.attention(x, context)))
            return self.mlp_norm(x + self.dropout(self.mlp(x)))  # type: ignore[no-any-return]
        x = x + self.dropout(self.attention(self.attention_norm(x), context))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """The decoder: embedding, blocks, head."""

    def __init__(
        self, config: TransformerConfig, checkpoint: LayerCheckpoint | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.checkpoint = checkpoint
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.positions == "learned":
            self.position_embedding = nn.Embedding(config.max_seq_len, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.final_norm = nn.Identity() if config.norm_position == "post" else _norm(config)
        self.head = Linear(config.d_model, config.vocab_size, bias=False)
        if config.tied_embeddings:
            self.head.weight = self.embedding.weight
        init_weights(self, config.init, num_layers=config.num_layers)

    @property
    def max_seq_len(self) -> int:
        """Longest row, in tokens."""
        return self.config.max_seq_len

    def new_cache(self, *, batch_size: int, max_tokens: int) -> KVCache:
        """An empty cache for `max_tokens` tokens of each of `batch_size` texts."""
        return KVCache(self.config, batch_size=batch_size, max_tokens=max_tokens)

    def forward(
        self, input_ids: Tensor, segment_ids: Tensor | None = None, cache: KVCache | None = None
    ) -> Tensor:
        """Logits of the token after each position.

        Args:
            input_ids: (B, T) int64.
            segment_ids: (B, T) number of the document in its row, 0 for padding at the end;
                None: one document a row.
            cache: the tokens before these, to which these are added; excludes segment_ids.

        Returns:
            (B, T, V), in the dtype of the head's product.
        """
        assert cache is None or segment_ids is None, "a cache holds one document a row"
        seen = 0 if cache is None else cache.length
        if seen + input_ids.shape[1] > self.config.max_seq_len:
            raise ConfigError(
                f"row of {seen + input_ids.shape[1]} tokens exceeds model.max_seq_len="
                f"{self.config.max_seq_len}; shorten the rows or raise max_seq_len"
            )
        position_ids, context = self._context(input_ids, segment_ids, cache)
        x = self._embedded(input_ids, position_ids)  # (B, T, D)
        for layer, block in enumerate(self.layers):
            if self.checkpoint is None or not torch.is_grad_enabled():
                x = block(x, context)
            else:
                x = self.checkpoint(layer, block, x, context)
        if cache is not None:
            cache.length += input_ids.shape[1]
        logits: Tensor = self.head(self.final_norm(x))  # (B, T, V)
        return logits

    def _embedded(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        x: Tensor = self.embedding(input_ids)  # (B, T, D)
        if self.config.scale_embeddings:
            x = x * math.sqrt(self.config.d_model)
        if self.config.positions == "learned":
            x = x + self.position_embedding(position_ids)
        elif self.config.positions == "sinusoidal":
            x = x + sinusoids(position_ids, d_model=self.config.d_model).to(x.dtype)
        dropped: Tensor = self.dropout(x)
        return dropped

    def _context(
        self, input_ids: Tensor, segment_ids: Tensor | None, cache: KVCache | None
    ) -> tuple[Tensor, Context]:
        seen, length = 0 if cache is None else cache.length, input_ids.shape[1]
        position_ids = torch.arange(seen, seen + length, device=input_ids.device)[None]  # (1, T)
        mask, is_causal = None, seen == 0
        if seen and length > 1:
            ahead = torch.ones(length, seen + length, dtype=torch.bool, device=input_ids.device)
            mask = ahead.tril(seen)[None, None]  # (1, 1, T, S)
        if (
            segment_ids is not None
            and self.config.document_mask
            and not _is_one_document_a_row(segment_ids)
        ):
            position_ids = document_positions(segment_ids)  # (B, T)
            same = segment_ids[:, :, None] == segment_ids[:, None, :]  # (B, T, T)
            mask, is_causal = same.tril()[:, None], False  # (B, 1, T, T)
        rope = None
        if self.config.positions == "rope":
            rope = rope_tables(
                position_ids, head_dim=self.config.head_width, theta=self.config.rope_theta
            )
        return position_ids, Context(rope=rope, mask=mask, is_causal=is_causal, cache=cache)


def _is_one_document_a_row(segment_ids: Tensor) -> bool:
    """Whether causal attention alone keeps documents apart; nothing looks at padding behind."""
    return bool(((segment_ids == segment_ids[:, :1]) | (segment_ids == 0)).all())
