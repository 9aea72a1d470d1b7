"""Puts saved weights into a model, or says which do not fit."""

from collections.abc import Mapping

import torch
from torch import Tensor

from contracts.errors import CheckpointError
from pretrain.model.transformer import Transformer


def load_weights(model: Transformer, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Copy `weights` into the model, all of them, in the model's dtype.

    A tied head may stand among them under its own name or not.

    Raises:
        CheckpointError: a weight is missing, unknown, or of another shape; names it.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    given = {name: tuple(weight.shape) for name, weight in weights.items()}
    if model.config.tied_embeddings:
        given.pop("head.weight", None)
    wrong = sorted(n for n in shapes.keys() | given.keys() if shapes.get(n) != given.get(n))
    if wrong:
        shown = "; ".join(
            f"{n}: {given.get(n, 'missing')} there, {shapes.get(n, 'unknown')} here"
            for n in wrong[:5]
        )
        raise CheckpointError(
            f"{where}: {len(wrong)} weight(s) do not fit the model: {shown}; "
            "use the model config that they were saved with"
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
