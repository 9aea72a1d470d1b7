"""Next-token prediction: minus the log-probability of each target, summed.

Summed and not averaged: the step divides by the targets of the whole global batch. Rows of logits
are worked on a few at a time, in fp32, and their gradient is written at once in the dtype of the
logits: memory holds logits and gradient, and never a whole fp32 softmax (the head and the loss are
half of a small model's step).
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from contracts.config import Config
from pretrain.records import IGNORE_INDEX, Batch

CHUNK_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Logits worked on at once, by device: 16 MiB in fp32 for a CPU's caches, 256 MiB for a GPU."""


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
        return summed_nll(logits.flatten(0, 1), batch.targets.flatten())


def summed_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Nats summed over the targets that are not IGNORE_INDEX.

    Args:
        logits: (N, V).
        targets: (N,) int64.

    Returns:
        () fp32; its gradient can be asked for once.
    """
    nll: Tensor = _SummedNll.apply(logits, targets)  # type: ignore[no-untyped-call] # torch's
    return nll


class _SummedNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        elements = CHUNK_ELEMENTS.get(logits.device.type, CHUNK_ELEMENTS["cuda"])
        num_rows = max(elements // logits.shape[1], 1)
        ctx.gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=logits.device)
        for start in range(0, logits.shape[0], num_rows):
            rows = slice(start, start + num_rows)
            counted = (targets[rows] != IGNORE_INDEX)[:, None]  # (R, 1)
            chosen = targets[rows].clamp(min=0)[:, None]  # (R, 1)
            log_probabilities = logits[rows].float().log_softmax(dim=1)  # (R, V)
            total -= (log_probabilities.gather(1, chosen) * counted).sum()
            if ctx.gradient is not None:
                probabilities = log_probabilities.exp_()
                minus_one = torch.full_like(chosen, -1, dtype=torch.float32)
                probabilities.scatter_add_(1, chosen, minus_one)
                torch.mul(probabilities, counted, out=ctx.gradient[rows])
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None]:
        assert ctx.gradient is not None, "the gradient of summed_nll was already taken"
        gradient: Tensor = ctx.gradient.mul_(outer[0])
        ctx.gradient = None
        return gradient, None
