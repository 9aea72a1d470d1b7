"""DeepSpeed behind the engine's door: ZeRO 0 to 3, bf16, fp16 and fp32, optimizer offload.

Built without a launcher it makes a process group of one. State leaves and comes back as fragments
of the fp32 master weights and moments (see protocol.py), taken from where each stage keeps them:
whole in the torch optimizer (0), linked to slices of a flat partition (1, 2), a partition of each
parameter (3). DeepSpeed is imported when the engine is built; the private names used here are
those of the pinned release.
"""

import importlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils.cpp_extension import get_default_build_root

from contracts.errors import CheckpointError, ConfigError
from pretrain.distributed import World
from pretrain.engine.build_locks import remove_stale_build_locks
from pretrain.engine.deepspeed_config import DeepSpeedEngineConfig, JsonTree, deepspeed_config
from pretrain.engine.torch_engine import (
    new_adam_state,
    optimizer_step,
    replicated_fragments,
    restore_replicated,
)
from pretrain.records import MOMENTS, STATE_KEYS, WEIGHT, Fragment, FragmentReader

logger = logging.getLogger(__name__)


def build_deepspeed_engine(
    config: DeepSpeedEngineConfig,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    world: World,
    micro_batch_size: int,
    grad_accum_steps: int,
) -> "DeepSpeedEngine":
    """The engine that owns `model` and `optimizer` from now on.

    Raises:
        ConfigError: the precision does not run on this device, or an override contradicts a field.
    """
    if config.precision == "fp16" and world.device.type == "cpu":
        raise ConfigError(
            "engine.precision=fp16 does not run on a CPU: DeepSpeed refuses it there, and fp16 "
            "matrix products are unusably slow; use bf16 or fp32, or a GPU"
        )
    settings = deepspeed_config(
        config,
        micro_batch_size=micro_batch_size,
        grad_accum_steps=grad_accum_steps,
        dp_world_size=world.dp_world_size,
    )
    if world.local_rank == 0:
        cache = os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root()
        remove_stale_build_locks(Path(cache))
    world.start_alone()
    return DeepSpeedEngine(config, settings, model, optimizer, world=world)


def _imported_deepspeed() -> Any:
    """The library, at a loudness that leaves the log readable."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    deepspeed = importlib.import_module("deepspeed")
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # Compiled for 48 s when the first CPU engine is made, for a collective of inference only.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


class DeepSpeedEngine:
    """A `deepspeed.DeepSpeedEngine` with an explicit config and our optimizer."""

    def __init__(
        self,
        config: DeepSpeedEngineConfig,
        settings: JsonTree,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        world: World,
    ) -> None:
        self._deepspeed = _imported_deepspeed()
        self._world = world
        self.zero_stage = config.zero_stage
        self._parameters = dict(model.named_parameters())
        self._shapes = {name: tuple(p.shape) for name, p in self._parameters.items()}
        printed = io.StringIO()
        self._is_local_rank_ours = "LOCAL_RANK" not in os.environ
        os.environ["LOCAL_RANK"] = str(world.local_rank)  # DeepSpeed reads it even alone
        with redirect_stdout(printed):  # it prints memory tables past its logger
            engine, *_ = self._deepspeed.initialize(
                model=model, optimizer=optimizer, config=settings, dist_init_required=False
            )
        logger.debug("deepspeed printed: %s", printed.getvalue())
        self._engine: Any = engine
        self._replicated_grad_norm = 0.0
        self._skipped = False
        logger.info(
            "engine=deepspeed zero_stage=%d precision=%s offload_optimizer=%s dp_world_size=%d",
            config.zero_stage,
            config.precision,
            config.offload_optimizer,
            world.dp_world_size,
        )

    @property
    def device(self) -> torch.device:
        return self._world.device

    @property
    def module(self) -> nn.Module:
        return cast(nn.Module, self._engine.module)

    @property
    def scales_loss(self) -> bool:
        return bool(self._engine.fp16_enabled()) or self._grad_scaler is not None

    @property
    def _grad_scaler(self) -> Any:
        return self._engine.torch_autocast_z0_gradscaler

    @property
    def _torch_optimizer(self) -> torch.optim.Optimizer:
        return cast(torch.optim.Optimizer, self._engine.basic_optimizer)

    def __call__(self, *args: Tensor) -> Tensor:
        return cast(Tensor, self._engine(*args))

    def zeros(self, shape: Sequence[int]) -> Tensor:
        return torch.zeros(tuple(shape), dtype=torch.float32, device=self.device)

    def set_lr(self, lr: float) -> None:
        for group in self._engine.optimizer.param_groups:
            group["lr"] = lr

    def backward(self, loss: Tensor) -> None:
        self._engine.backward(loss, scale_wrt_gas=False)

    def step(self) -> None:
        if not self._engine.is_gradient_accumulation_boundary():
            self._engine.step()
            return
        scale_before = self._grad_scaler.get_scale() if self._grad_scaler else 1.0
        if self.zero_stage == 0:  # DeepSpeed keeps no norm there
            gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
            self._replicated_grad_norm = float(get_total_norm(gradients).item()) / scale_before
        self._engine.step()
        if self._grad_scaler:
            self._skipped = self._grad_scaler.get_scale() < scale_before
        else:
            self._skipped = not self._engine.was_step_applied()

    def grad_norm(self) -> float:
        if self.zero_stage == 0:
            return self._replicated_grad_norm
        return float("inf") if self._skipped else float(self._engine.get_global_grad_norm())

    def skipped_last_step(self) -> bool:
        return self._skipped

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self._engine.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self._engine.train()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self._shapes)

    def fragments(self, keys: Sequence[str] = STATE_KEYS) -> Iterator[Fragment]:
        if self.zero_stage == 0:
            yield from replicated_fragments(
                self._parameters, self._torch_optimizer, keys, self._world
            )
            return
        for name, parameter in self._parameters.items():
            place = self._range(parameter)
            if place is not None:
                start, length = place
                for key in keys:
                    values = self._local_values(parameter, key)[:length]
                    yield Fragment(name, key, start, values)

    def _range(self, parameter: Any) -> tuple[int, int] | None:
        """(start, length) in the flattened parameter of what this rank keeps; None for nothing."""
        if self.zero_stage == 3:
            size = parameter.ds_tensor.numel()  # padded: the same on every rank
            start = size * self._world.dp_rank
            length = min(size, parameter.ds_numel - start)
            return (start, length) if length > 0 else None
        if parameter._hp_mapping is None:
            return None
        address = parameter._hp_mapping.lp_fragment_address
        return int(address.start), int(address.numel)

    def _local_values(self, parameter: Any, key: str) -> Tensor:
        """Flat fp32 values that this rank keeps; at stage 3 with padding."""
        flat, start, length = self._place_in_flat(parameter)
        if key == WEIGHT:
            values = flat
        else:
            state = self._torch_optimizer.state.get(flat, {})
            if key not in state and optimizer_step(self._torch_optimizer) > 0:
                raise CheckpointError(
                    f"{key} is not where DeepSpeed {self._deepspeed.__version__} is known to keep "
                    f"it at stage {self.zero_stage}: nothing can be saved; install the release "
                    "that pyproject.toml names"
                )
            values = state[key] if key in state else torch.zeros_like(flat)
        return values.detach().narrow(0, start, length)

    def _place_in_flat(self, parameter: Any) -> tuple[Tensor, int, int]:
        """The flat fp32 partition that holds this rank's part of a parameter, and where in it.

        DeepSpeed links each parameter to its weights and moments itself, but at stages 1 and 2 the
        moments of every group but the first stay unlinked; so the flat partitions are read here.
        """
        optimizer = self._engine.optimizer
        if self.zero_stage == 3:
            group, start, length = optimizer.grad_position[optimizer.get_param_id(parameter)]
            return optimizer.fp32_partitioned_groups_flat[group], start, length
        mapping = parameter._hp_mapping
        address = mapping.hp_fragment_address
        flat = self._torch_optimizer.param_groups[mapping.param_group_index]["params"][0]
        return flat, address.start, address.numel

    def scalars(self) -> dict[str, float]:
        values = {"optimizer_step": optimizer_step(self._torch_optimizer)}
        if self._grad_scaler:
            values["loss_scale"] = self._grad_scaler.get_scale()
            values["loss_scale_steps"] = float(self._grad_scaler._get_growth_tracker())
        elif self._engine.fp16_enabled():
            scaler = self._engine.optimizer.loss_scaler
            values["loss_scale"] = float(scaler.cur_scale)
            if scaler.dynamic:
                values["loss_scale_steps"] = float(scaler.cur_iter)
                values["loss_scale_last_overflow"] = float(scaler.last_overflow_iter)
                values["loss_scale_hysteresis"] = float(scaler.cur_hysteresis)
        return values

    @torch.no_grad()
    def restore(self, reader: FragmentReader, scalars: dict[str, float]) -> None:
        if self.zero_stage == 0:
            restore_replicated(self._parameters, self._torch_optimizer, reader, scalars)
        else:
            self._make_moments(scalars["optimizer_step"])
            for name, parameter in self._parameters.items():
                self._restore_parameter(name, parameter, reader)
            self._spread_master_weights()
        self._restore_loss_scale(scalars)

    def _make_moments(self, step: float) -> None:
        """Zero moments for each flat partition; DeepSpeed makes them at its first step."""
        optimizer = self._engine.optimizer
        base = self._torch_optimizer
        is_fused = bool(base.defaults.get("fused"))
        flats = (
            optimizer.fp32_partitioned_groups_flat
            if self.zero_stage == 3
            else [group["params"][0] for group in base.param_groups]
        )
        for flat in flats:
            base.state[flat] = new_adam_state(flat, step, is_fused=is_fused)

    def _restore_parameter(self, name: str, parameter: Any, reader: FragmentReader) -> None:
        place = self._range(parameter)
        if place is not None:
            start, length = place
            for key in (WEIGHT, *MOMENTS):
                values = reader.read(name, key, start, length)
                self._local_values(parameter, key)[:length].copy_(values)

    def _spread_master_weights(self) -> None:
        """The weights of the forward pass from the master weights, on every rank."""
        optimizer = self._engine.optimizer
        if self.zero_stage != 3:
            optimizer.update_lp_params()
            return
        optimizer._partition_all_parameters()
        for index in range(len(optimizer.fp16_groups)):
            optimizer._reassign_or_swap_out_partitioned_parameters(index)
        if optimizer.persistent_parameters:
            optimizer.persistent_parameters[0].all_gather(optimizer.persistent_parameters)

    def _restore_loss_scale(self, scalars: dict[str, float]) -> None:
        if "loss_scale" not in scalars:
            return
        if self._grad_scaler:
            self._grad_scaler.load_state_dict(
                self._grad_scaler.state_dict()
                | {
                    "scale": scalars["loss_scale"],
                    "_growth_tracker": int(scalars.get("loss_scale_steps", 0)),
                }
            )
        elif self._engine.fp16_enabled():
            scaler = self._engine.optimizer.loss_scaler
            scaler.cur_scale = scalars["loss_scale"]
            if scaler.dynamic:
                scaler.cur_iter = int(scalars.get("loss_scale_steps", 0))
                scaler.last_overflow_iter = int(scalars.get("loss_scale_last_overflow", -1))
                scaler.cur_hysteresis = int(scalars.get("loss_scale_hysteresis", 1))

    def full_state_dict(self) -> dict[str, Tensor]:
        whole = {}
        for name, parameter in self._parameters.items():
            if self.zero_stage == 0:
                weight = parameter.detach().float()
            else:
                weight = self._deepspeed.utils.safe_get_full_fp32_param(parameter)
            if self._world.is_main:
                whole[name] = weight.detach().to("cpu", copy=True).view(self._shapes[name])
        return whole

    def close(self) -> None:
        self._engine.destroy()
        if self._is_local_rank_ours:
            os.environ.pop("LOCAL_RANK", None)
