"""Engines: the model with its optimizer, precision and placement over ranks."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from pretrain.distributed import World
from pretrain.engine.deepspeed_config import DeepSpeedEngineConfig
from pretrain.engine.deepspeed_engine import build_deepspeed_engine
from pretrain.engine.protocol import Engine
from pretrain.engine.torch_engine import TorchEngine, TorchEngineConfig

EngineConfig = Annotated[DeepSpeedEngineConfig | TorchEngineConfig, Field(discriminator="kind")]
"""The registry."""

__all__ = [
    "DeepSpeedEngineConfig",
    "Engine",
    "EngineConfig",
    "TorchEngineConfig",
    "build_engine",
]


def build_engine(
    config: DeepSpeedEngineConfig | TorchEngineConfig,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    world: World,
    micro_batch_size: int,
    grad_accum_steps: int,
) -> Engine:
    """The engine of a config; it owns `model` and `optimizer` from now on.

    Raises:
        ConfigError: the settings do not run here.
    """
    if isinstance(config, TorchEngineConfig):
        return TorchEngine(config, model, optimizer, world=world, grad_accum_steps=grad_accum_steps)
    return build_deepspeed_engine(
        config,
        model,
        optimizer,
        world=world,
        micro_batch_size=micro_batch_size,
        grad_accum_steps=grad_accum_steps,
    )
