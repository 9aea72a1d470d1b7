"""Next-token prediction: minus the log-probability of each target, summed.

Summed and not averaged: the step divides by the targets of the whole global batch.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from contracts.config import Config
from pretrain.records import IGNORE_INDEX, Batch


class CausalLmConfig(Config):
    """Cross entropy of the next token."""

    kind: Literal["causal_lm"] = "causal_lm"

    def build(self) -> "CausalLm":
        """The objective."""
        return CausalLm()


class CausalLm:
    """`(model, batch) -> nll_sum`."""

    def __call__(self, model: Callable[..., Tensor], batch: Batch) -> Tensor:
        """Nats summed over the targets of `batch` that count: () fp32."""
        logits = model(batch.input_ids, batch.segment_ids)  # (B, T, V)
        return F.cross_entropy(
            logits.flatten(0, 1).float(),
            batch.targets.flatten(),
            ignore_index=IGNORE_INDEX,
            reduction="sum",
        )
