"""Activation checkpointing: which layers keep what for the backward pass, and recompute the rest.

The model is handed a function that runs each layer; every kind gives the same loss and gradients.
Chen et al. 2016, "Training deep nets with sublinear memory cost". The selective kind keeps the
results of matrix products and attention and recomputes what is cheap, in the spirit of Korthikanti
et al. 2022, section 5, who recompute attention instead (theirs was not a fused kernel).
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from contracts.config import Config
from contracts.errors import ConfigError

LayerCheckpoint = Callable[..., Tensor]
"""`(layer, function, *args) -> function(*args)`, keeping for backward what its kind says."""


class NoCheckpointingConfig(Config):
    """Everything is kept: fastest, most memory."""

    kind: Literal["none"] = "none"

    def build(self, *, num_layers: int) -> None:
        """Nothing: the model runs its layers plainly."""
        del num_layers


class FullCheckpointingConfig(Config):
    """Each layer keeps its input alone."""

    kind: Literal["full"] = "full"

    def build(self, *, num_layers: int) -> LayerCheckpoint:
        """The function that runs a layer."""
        del num_layers
        return _every(1)


class EveryKCheckpointingConfig(Config):
    """Layers 0, k, 2k, ... keep their input alone; the others keep everything."""

    kind: Literal["every_k"] = "every_k"
    k: PositiveInt
    """Distance between checkpointed layers."""

    def build(self, *, num_layers: int) -> LayerCheckpoint:
        """The function that runs a layer."""
        if self.k > num_layers:
            raise ConfigError(
                f"activation_checkpointing.k={self.k} exceeds model.num_layers={num_layers}, so "
                f"that layer 0 alone is recomputed; choose at most {num_layers}, or kind=none"
            )
        return _every(self.k)


class SelectiveCheckpointingConfig(Config):
    """Results of matrix products and attention are kept; the cheap rest is recomputed."""

    kind: Literal["selective"] = "selective"

    def build(self, *, num_layers: int) -> LayerCheckpoint:
        """The function that runs a layer."""
        del num_layers
        return _selective


class DeepSpeedCheckpointingConfig(Config):
    """DeepSpeed's own: layer inputs split over the model-parallel ranks, or moved to the CPU."""

    kind: Literal["deepspeed"] = "deepspeed"
    partition_activations: bool = False
    """Split each kept input over the model-parallel ranks (one rank: kept whole, as a copy)."""
    cpu_checkpointing: bool = False
    """Move kept inputs to the CPU; only together with partition_activations."""
    contiguous_memory: bool = False
    """Copy kept inputs into one buffer; only together with partition_activations."""

    @model_validator(mode="after")
    def _needs_partitioning(self) -> Self:
        for name in ("cpu_checkpointing", "contiguous_memory"):
            if getattr(self, name) and not self.partition_activations:
                raise ConfigError(
                    f"{name}=true needs partition_activations=true: DeepSpeed handles partitioned "
                    f"inputs alone so; set partition_activations=true, or {name}=false"
                )
        return self

    def build(self, *, num_layers: int) -> LayerCheckpoint:
        """The function that runs a layer; torch.distributed must be up (DeepSpeed asks it)."""
        import deepspeed

        deepspeed.checkpointing.configure(
            _OneModelParallelRank(),
            partition_activations=self.partition_activations,
            contiguous_checkpointing=self.contiguous_memory,
            num_checkpoints=num_layers,
            checkpoint_in_cpu=self.cpu_checkpointing,
            synchronize=False,
            profile=False,
        )
        return partial(_by_deepspeed, deepspeed.checkpointing.checkpoint)


ActivationCheckpointingConfig = Annotated[
    NoCheckpointingConfig
    | FullCheckpointingConfig
    | EveryKCheckpointingConfig
    | SelectiveCheckpointingConfig
    | DeepSpeedCheckpointingConfig,
    Field(discriminator="kind"),
]
"""The registry."""


def _every(k: int) -> LayerCheckpoint:
    def run(layer: int, function: Callable[..., Tensor], /, *args: Any) -> Tensor:
        if layer % k:
            return function(*args)
        out: Tensor = checkpoint(function, *args, use_reentrant=False)
        return out

    return run


_OPS = torch.ops.aten
KEPT_OPERATIONS = frozenset(
    {
        _OPS.mm.default,
        _OPS.addmm.default,
        _OPS.bmm.default,
        _OPS._scaled_dot_product_flash_attention.default,
        _OPS._scaled_dot_product_flash_attention_for_cpu.default,
        _OPS._scaled_dot_product_efficient_attention.default,
        _OPS._scaled_dot_product_cudnn_attention.default,
    }
)
"""What the selective kind does not compute twice."""


def _policy(_context: Any, operation: Any, *_args: Any, **_kwargs: Any) -> CheckpointPolicy:
    kept = operation in KEPT_OPERATIONS
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def _selective(layer: int, function: Callable[..., Tensor], /, *args: Any) -> Tensor:
    del layer
    out: Tensor = checkpoint(
        function,
        *args,
        use_reentrant=False,
        context_fn=partial(create_selective_checkpoint_contexts, _policy),
    )
    return out


class _OneModelParallelRank:
    """What DeepSpeed asks about model parallelism, where there is none."""

    def get_model_parallel_rank(self) -> int:
        return 0

    def get_model_parallel_world_size(self) -> int:
        return 1

    def get_model_parallel_group(self) -> None:
        return None


def _by_deepspeed(
    deepspeed_checkpoint: Callable[..., Tensor],
    layer: int,
    function: Callable[..., Tensor],
    /,
    x: Tensor,
    *shared: Any,
) -> Tensor:
    """Only the layer's own input goes through DeepSpeed, which empties the tensors it is given."""
    del layer
    return deepspeed_checkpoint(lambda kept: function(kept, *shared), x)


class KeptActivations(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's
    """Records what is made inside a `with` block, to count the part of it that stays.

    Counts storages and not autograd's saved tensors, as the selective and DeepSpeed kinds keep
    theirs elsewhere. Works on real tensors, and on fake ones, which cost no memory.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self._made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        out = func(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            if storage._cdata not in given:  # a view or an update in place makes nothing
                weak = StorageWeakRef(storage)  # type: ignore[no-untyped-call] # torch's
                self._made[storage._cdata] = (weak, storage.nbytes())
        return out

    def num_bytes(self) -> int:
        """Bytes made in the block that are still held: call it while the loss lives."""
        held = (pair for pair in self._made.values() if not pair[0].expired())  # type: ignore[no-untyped-call] # torch's
        return sum(size for _, size in held)


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]
