"""The values that weights start from: normal matrices, zero biases, unit norms.

With `scale_residuals` the two matrices that write into the residual stream start smaller by
1 / sqrt(2 * num_layers), so that its variance does not grow with depth (Radford et al. 2019,
section 2.3).
"""

import math

from pydantic import PositiveFloat
from torch import nn

from contracts.config import Config

RESIDUAL_OUTPUTS = ("attention.out", "mlp.down")
"""Ends of the names of the linear layers whose output is added to the residual stream."""


class InitConfig(Config):
    """How a new model's weights are drawn, from torch's global generator."""

    std: PositiveFloat = 0.02
    """Standard deviation of the entries of linear layers."""
    embedding_std: PositiveFloat = 0.02
    """Standard deviation of token and learned position embeddings (a tied head is one of them)."""
    scale_residuals: bool = True
    """Divide the std of the layers that end a residual branch by sqrt(2 * num_layers)."""


def init_weights(model: nn.Module, config: InitConfig, *, num_layers: int) -> None:
    """Draw all weights of `model` anew, in the order of its modules."""
    residual_std = config.std / math.sqrt(2 * num_layers) if config.scale_residuals else config.std
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=config.embedding_std)
        elif isinstance(module, nn.Linear):
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if id(module.weight) in embeddings:
                continue  # a tied head
            std = residual_std if name.endswith(RESIDUAL_OUTPUTS) else config.std
            nn.init.normal_(module.weight, std=std)
