"""The objectives: `(model, batch) -> nll_sum`, chosen by `objective.kind`."""

from collections.abc import Callable

from torch import Tensor

from pretrain.objectives.causal_lm import CausalLm, CausalLmConfig
from pretrain.records import Batch

Objective = Callable[[Callable[..., Tensor], Batch], Tensor]
"""Gives the summed nats of a batch, () fp32; the model may be an engine around one."""

ObjectiveConfig = CausalLmConfig
"""The registry; a second kind makes it a union discriminated by `kind`."""

__all__ = ["CausalLm", "CausalLmConfig", "Objective", "ObjectiveConfig"]
