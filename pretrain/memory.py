"""Memory that a rank needs, before anything is started: model states by ZeRO stage, activations.

States: Rajbhandari et al. 2020, "ZeRO", section 3.1 and figure 1. For P parameters on N ranks

    stage 0:  w P + g P + k P        stage 2:  w P + (g + k) P / N
    stage 1:  w P + g P + k P / N    stage 3:  (w + g + k) P / N

bytes, with w of weights, g of gradients, k of optimizer states: 2, 2, 12 in half precision (fp32
weights and two moments in k), 4, 4, 8 in fp32, and 6, 4, 8 where fp32 weights are cast for use
(stage 0 and plain torch in half precision). Communication buckets, a layer that stage 3 gathers,
and what the allocator loses are not in it. With the optimizer offloaded, k leaves the device at
stages 1 to 3, and fp32 weights, two moments and the gradients they are updated with stand in host
memory: 16 P / N; g is counted on the device still, the most that it may hold. Before, each rank
builds the whole model in fp32 in host memory. Activations are counted: the forward pass runs on
tensors without memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from pretrain.parallel.checkpointing import KeptActivations
from pretrain.records import Batch

ZERO_STAGES = (0, 1, 2, 3)


@dataclass(frozen=True)
class StateBytes:
    """Bytes of each parameter."""

    weights: int
    gradients: int
    optimizer: int

    def per_rank(
        self,
        num_parameters: int,
        *,
        zero_stage: int,
        dp_world_size: int,
        offload_optimizer: bool = False,
    ) -> int:
        """Bytes of the model states on one rank's device."""
        shared = [zero_stage >= 3, zero_stage >= 2, zero_stage >= 1]
        is_offloaded = offload_optimizer and zero_stage > 0
        sizes = (self.weights, self.gradients, 0 if is_offloaded else self.optimizer)
        return sum(
            size * num_parameters // (dp_world_size if is_shared else 1)
            for size, is_shared in zip(sizes, shared, strict=True)
        )


FULL_PRECISION = StateBytes(weights=4, gradients=4, optimizer=8)
HALF_PRECISION = StateBytes(weights=2, gradients=2, optimizer=12)
AUTOCAST = StateBytes(weights=6, gradients=4, optimizer=8)
FRESH_MODEL_BYTES = 4
"""Of each parameter, in host memory, before the engine takes the model."""
OFFLOADED_BYTES = 16
"""Of each parameter of a rank's part, in host memory: fp32 weight, two moments, gradient."""


def host_bytes(
    num_parameters: int, *, zero_stage: int, dp_world_size: int, offload_optimizer: bool
) -> int:
    """Host memory of one rank for the fresh model and what is offloaded (nothing at stage 0)."""
    fresh = FRESH_MODEL_BYTES * num_parameters
    if not offload_optimizer or zero_stage == 0:
        return fresh
    return fresh + OFFLOADED_BYTES * num_parameters // dp_world_size


def state_bytes(precision: str, zero_stage: int) -> StateBytes:
    """What a parameter costs; stage 0 and plain torch keep fp32 weights and cast them for use."""
    if precision == "fp32":
        return FULL_PRECISION
    return HALF_PRECISION if zero_stage else AUTOCAST


def activation_bytes(
    build: Callable[[], nn.Module],
    objective: Callable[[Any, Batch], Tensor],
    *,
    micro_batch_size: int,
    seq_len: int,
    half_precision: bool,
) -> int:
    """Bytes that one forward pass keeps for its backward pass, logits included.

    Args:
        build: makes the model; called where tensors have no memory.
        objective: `(model, batch) -> nll_sum`.
        micro_batch_size: rows.
        seq_len: input tokens of a row.
        half_precision: whether products run in bf16.
    """
    with FakeTensorMode(), torch.device("cpu"):
        with _default_dtype(torch.bfloat16 if half_precision else torch.float32):
            model = build()
        ids = torch.zeros(micro_batch_size, seq_len, dtype=torch.int64)
        batch = Batch(ids, ids, ids.int(), num_targets=ids.numel())
        with KeptActivations() as kept:
            nll = objective(lambda inputs, _segments: model(inputs), batch)
            num_bytes = int(kept.num_bytes())
        del nll
    return num_bytes


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New weights are of `dtype`; tensors without memory cannot be converted in place."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
