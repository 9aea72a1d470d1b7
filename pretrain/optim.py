"""The optimizer and its parameter groups: matrices decay, vectors do not.

Loshchilov and Hutter 2019, "Decoupled weight decay regularization". The learning rate of a step is
set by the loop from the schedule; `lr` here is its peak.
"""

from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import nn

from contracts.config import Config


class AdamWConfig(Config):
    """AdamW with decay groups."""

    kind: Literal["adamw"] = "adamw"
    lr: PositiveFloat
    """Peak learning rate; the schedule scales it."""
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Decay of the mean of gradients."""
    beta2: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Decay of the mean of squared gradients."""
    eps: PositiveFloat = 1e-8
    """Added to the root of the second moment."""
    weight_decay: NonNegativeFloat = 0.1
    """Fraction (times lr) that a step takes off the decaying weights."""
    decay_embeddings: bool = True
    """Whether token and position embeddings decay; norms and biases never do."""
    fused: bool = True
    """One kernel for all of a step's updates (CPU and CUDA)."""

    def build(self, model: nn.Module) -> torch.optim.AdamW:
        """The optimizer over the trained parameters of `model`."""
        return torch.optim.AdamW(
            parameter_groups(
                model, weight_decay=self.weight_decay, decay_embeddings=self.decay_embeddings
            ),
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            fused=self.fused,
        )


OptimizerConfig = AdamWConfig
"""The registry; a second kind makes it a union discriminated by `kind`."""


def parameter_groups(
    model: nn.Module, *, weight_decay: float, decay_embeddings: bool
) -> list[dict[str, list[nn.Parameter] | float]]:
    """The trained parameters in two groups, those that decay first; a shared parameter stands once.

    The order inside a group is that of `model.named_parameters()`.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decaying: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        is_matrix = parameter.ndim >= 2
        decays = is_matrix and (decay_embeddings or id(parameter) not in embeddings)
        (decaying if decays else others).append(parameter)
    groups: list[dict[str, list[nn.Parameter] | float]] = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
