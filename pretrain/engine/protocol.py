"""What the loop asks of an engine, and the form in which its state leaves and comes back.

An engine holds the model, its optimizer, their precision and their placement over ranks. Its
state is handed out as fragments: for each parameter, the range of its flattened fp32 weight and
moments that this rank keeps. Fragments say nothing of ranks or ZeRO stages, so a state written by
one layout is read by any other; no collective is needed, and the values are copied bit for bit.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn

from pretrain.records import STATE_KEYS, Fragment, FragmentReader


class Engine(Protocol):
    """One optimizer over one model, on any number of ranks; calling it is the forward pass."""

    @property
    def device(self) -> torch.device:
        """Where batches go."""
        ...

    @property
    def module(self) -> nn.Module:
        """The model itself; its weights may be partitioned."""
        ...

    @property
    def zero_stage(self) -> int:
        """0 where nothing is partitioned."""
        ...

    @property
    def scales_loss(self) -> bool:
        """Whether a skipped step is part of fp16's loss scaling, and no sign of divergence."""
        ...

    def __call__(self, *args: Tensor) -> Tensor:
        """The model's forward pass under the engine's precision."""
        ...

    def zeros(self, shape: Sequence[int]) -> Tensor:
        """fp32 zeros on the engine's device."""
        ...

    def set_lr(self, lr: float) -> None:
        """Learning rate of every group from now on."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients; at a step's last one they are averaged over dp ranks."""
        ...

    def step(self) -> None:
        """Once behind each backward; at the last micro-batch it clips, updates and clears."""
        ...

    def grad_norm(self) -> float:
        """L2 norm of the averaged gradient of the last step, before clipping."""
        ...

    def skipped_last_step(self) -> bool:
        """Whether the last step changed no weight, because a gradient overflowed fp16."""
        ...

    def evaluating(self) -> AbstractContextManager[None]:
        """No gradients and evaluation mode within, training mode behind."""
        ...

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Whole shape of every parameter by name."""
        ...

    def fragments(self, keys: Sequence[str] = STATE_KEYS) -> Iterator[Fragment]:
        """What this rank writes: over all ranks every element of every key once.

        Moments that do not exist before the first step are zeros.
        """
        ...

    def scalars(self) -> dict[str, float]:
        """State beside the tensors: the optimizer's own step, the loss scale."""
        ...

    def restore(self, reader: FragmentReader, scalars: dict[str, float]) -> None:
        """Take weights and moments from `reader`, and the scalars, into this rank's layout."""
        ...

    def full_state_dict(self) -> dict[str, Tensor]:
        """fp32 weights by name on the CPU of rank 0, empty on the others; all ranks call it."""
        ...

    def close(self) -> None:
        """Release hooks and buffers; the process group stays."""
        ...
