"""The plain engine: torch alone, fp32 weights on every rank. For debugging, and as reference.

On several ranks it averages gradients after the last micro-batch. Nothing is partitioned, so a
rank writes whole parameters of the state, taken in turn. fp16 and offload are DeepSpeed's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Literal, cast

import torch
import torch.distributed as dist
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from contracts.config import Config
from pretrain.distributed import World
from pretrain.records import MOMENTS, STATE_KEYS, WEIGHT, Fragment, FragmentReader


class TorchEngineConfig(Config):
    """Plain torch: for debugging and small runs."""

    kind: Literal["torch"] = "torch"
    precision: Literal["bf16", "fp32"] = "bf16"
    """Of the forward and backward pass (autocast); weights and moments are fp32 always."""
    gradient_clipping: NonNegativeFloat = 1.0
    """Largest L2 norm of the gradient; 0 turns clipping off."""


class TorchEngine:
    """One model and optimizer in this process, gradients averaged over ranks."""

    zero_stage = 0
    scales_loss = False

    def __init__(
        self,
        config: TorchEngineConfig,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        world: World,
        grad_accum_steps: int,
    ) -> None:
        self._config = config
        self._world = world
        self._grad_accum_steps = grad_accum_steps
        self._module = model.to(world.device)
        self._optimizer = optimizer
        self._parameters = dict(model.named_parameters())
        self._micro_steps = 0
        self._grad_norm = 0.0

    @property
    def device(self) -> torch.device:
        return self._world.device

    @property
    def module(self) -> nn.Module:
        return self._module

    def __call__(self, *args: Tensor) -> Tensor:
        with (
            torch.autocast(self.device.type, torch.bfloat16)
            if self._config.precision == "bf16"
            else nullcontext()
        ):
            return cast(Tensor, self._module(*args))

    def zeros(self, shape: Sequence[int]) -> Tensor:
        return torch.zeros(tuple(shape), dtype=torch.float32, device=self.device)

    def set_lr(self, lr: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = lr

    def backward(self, loss: Tensor) -> None:
        torch.autograd.backward(loss)

    def step(self) -> None:
        self._micro_steps += 1
        if self._micro_steps % self._grad_accum_steps:
            return
        self._average_gradients()
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = get_total_norm(gradients)
        if self._config.gradient_clipping > 0:
            clip_grads_with_norm_(self._parameters.values(), self._config.gradient_clipping, norm)
        self._grad_norm = float(norm.item())
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _average_gradients(self) -> None:
        if self._world.world_size == 1:
            return
        for parameter in self._parameters.values():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= self._world.dp_world_size

    def grad_norm(self) -> float:
        return self._grad_norm

    def skipped_last_step(self) -> bool:
        return False

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self._module.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self._module.train()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in self._parameters.items()}

    def fragments(self, keys: Sequence[str] = STATE_KEYS) -> Iterator[Fragment]:
        return replicated_fragments(self._parameters, self._optimizer, keys, self._world)

    def scalars(self) -> dict[str, float]:
        return {"optimizer_step": optimizer_step(self._optimizer)}

    def restore(self, reader: FragmentReader, scalars: dict[str, float]) -> None:
        restore_replicated(self._parameters, self._optimizer, reader, scalars)
        self._micro_steps = 0

    def full_state_dict(self) -> dict[str, Tensor]:
        if not self._world.is_main:
            return {}
        return {name: p.detach().float().cpu().clone() for name, p in self._parameters.items()}

    def close(self) -> None:
        self._parameters = {}


def optimizer_step(optimizer: torch.optim.Optimizer) -> float:
    """Steps the optimizer has taken, by its own count; 0 before the first."""
    return max((float(state.get("step", 0)) for state in optimizer.state.values()), default=0.0)


def replicated_fragments(
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    keys: Sequence[str],
    world: World,
) -> Iterator[Fragment]:
    """State that every rank holds whole: rank r writes parameters r, r + world_size, ..."""
    for index, (name, parameter) in enumerate(parameters.items()):
        if index % world.world_size != world.rank:
            continue
        for key in keys:
            if key == WEIGHT:
                values = parameter.detach()
            else:
                values = optimizer.state.get(parameter, {}).get(key, torch.zeros_like(parameter))
            yield Fragment(name, key, 0, values.reshape(-1).float())


@torch.no_grad()
def restore_replicated(
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    reader: FragmentReader,
    scalars: dict[str, float],
) -> None:
    """Fill weights and Adam state that every rank holds whole."""
    for name, parameter in parameters.items():
        weight = reader.read(name, WEIGHT, 0, parameter.numel())
        parameter.copy_(weight.view_as(parameter))
        optimizer.state[parameter] = new_adam_state(
            parameter, scalars["optimizer_step"], is_fused=bool(optimizer.defaults.get("fused"))
        )
        for key in MOMENTS:
            moment = reader.read(name, key, 0, parameter.numel())
            optimizer.state[parameter][key].copy_(moment.view_as(parameter))


def new_adam_state(parameter: Tensor, step: float, *, is_fused: bool) -> dict[str, Tensor]:
    """State as torch's Adam makes it at its first step: zero moments, `step` steps taken."""
    device = parameter.device if is_fused else torch.device("cpu")
    return {
        "step": torch.tensor(step, dtype=torch.float32, device=device),
        **{
            key: torch.zeros_like(parameter, memory_format=torch.preserve_format) for key in MOMENTS
        },
    }
