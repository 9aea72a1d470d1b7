"""The typed settings of the DeepSpeed engine, and the DeepSpeed config made from them.

What is set here is what runs: no `auto`, nothing left to a default that a release may change.
Expert settings go into `engine.deepspeed` and are merged last; one that contradicts a typed field
is refused.
"""

import logging
from typing import Literal

from pydantic import Field, JsonValue, NonNegativeFloat, PositiveInt, model_validator

from contracts.config import Config
from contracts.errors import ConfigError

logger = logging.getLogger(__name__)

JsonTree = dict[str, JsonValue]


class LossScaleConfig(Config):
    """fp16's loss scale: grows while gradients are finite, halves when one overflows."""

    initial_scale_power: PositiveInt = 16
    """The first scale is 2 to this power."""
    growth_interval_steps: PositiveInt = 1000
    """Steps without overflow behind which the scale doubles."""
    hysteresis: PositiveInt = 2
    """Overflows before the scale halves."""
    static_scale: NonNegativeFloat = 0.0
    """A fixed scale; 0 means the growing one."""


class DeepSpeedEngineConfig(Config):
    """DeepSpeed: ZeRO, mixed precision, offload."""

    kind: Literal["deepspeed"] = "deepspeed"
    zero_stage: Literal[0, 1, 2, 3] = 2
    """What is partitioned over ranks: 0 nothing, 1 optimizer state, 2 and gradients, 3 and
    weights."""
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    """Of weights and activations; master weights and moments are fp32. At stage 0, bf16 and fp16
    are autocast over fp32 weights."""
    loss_scale: LossScaleConfig = LossScaleConfig()
    """Of fp16 at stages 1 to 3; stage 0 scales by torch's own rule. Elsewhere it is refused."""
    gradient_clipping: NonNegativeFloat = 1.0
    """Largest L2 norm of the gradient; 0 turns clipping off."""
    offload_optimizer: bool = False
    """Keep master weights and moments in CPU memory and update them there; stages 1 to 3."""
    bucket_elements: PositiveInt = 50_000_000
    """Elements reduced or gathered in one collective."""
    overlap_comm: bool = True
    """Reduce gradients while the backward pass goes on (stages 1 to 3; no effect on a CPU)."""
    stage3_persistence_elements: int = Field(default=100_000, ge=0)
    """Stage 3: parameters smaller than this stay whole on every rank."""
    deepspeed: dict[str, JsonValue] = Field(default_factory=dict)
    """Entries of DeepSpeed's own config, merged over the one generated: for what has no field
    here."""

    @model_validator(mode="after")
    def _fits_together(self) -> "DeepSpeedEngineConfig":
        if self.offload_optimizer and self.zero_stage == 0:
            raise ValueError(
                "offload_optimizer=true needs zero_stage 1, 2 or 3, zero_stage is 0; "
                "raise the stage or turn offload off"
            )
        if self.loss_scale != LossScaleConfig() and (
            self.precision != "fp16" or self.zero_stage == 0
        ):
            raise ValueError(
                f"loss_scale has no effect with precision={self.precision} and "
                f"zero_stage={self.zero_stage}: it is used with precision=fp16 at zero_stage 1, 2 "
                "or 3 (stage 0 scales by torch's own rule); remove loss_scale, or set these two"
            )
        return self


def deepspeed_config(
    config: DeepSpeedEngineConfig,
    *,
    micro_batch_size: int,
    grad_accum_steps: int,
    dp_world_size: int,
) -> JsonTree:
    """The DeepSpeed config of a run.

    Raises:
        ConfigError: an entry of `engine.deepspeed` contradicts a typed field.
    """
    generated: JsonTree = {
        "train_micro_batch_size_per_gpu": micro_batch_size,
        "gradient_accumulation_steps": grad_accum_steps,
        "train_batch_size": micro_batch_size * grad_accum_steps * dp_world_size,
        "gradient_clipping": config.gradient_clipping,
        "prescale_gradients": False,
        "gradient_predivide_factor": 1.0,
        # A torch optimizer is given; without these DeepSpeed wants one of its own.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": None,
        "wall_clock_breakdown": False,
        "zero_optimization": _zero_section(config),
        **_precision_sections(config),
    }
    merged = _merged(generated, config.deepspeed, at="engine.deepspeed")
    if config.deepspeed:
        logger.warning("engine.deepspeed merged over the generated config: %s", config.deepspeed)
    return merged


def _precision_sections(config: DeepSpeedEngineConfig) -> JsonTree:
    is_autocast = config.zero_stage == 0 and config.precision != "fp32"
    scale = config.loss_scale
    return {
        "bf16": {"enabled": config.precision == "bf16" and not is_autocast},
        "fp16": {
            "enabled": config.precision == "fp16" and not is_autocast,
            "loss_scale": scale.static_scale,
            "initial_scale_power": scale.initial_scale_power,
            "loss_scale_window": scale.growth_interval_steps,
            "hysteresis": scale.hysteresis,
            "consecutive_hysteresis": False,
            "min_loss_scale": 1,
        },
        # DeepSpeed has no fp32 master weights for half precision at stage 0 that it can hand out,
        # and it accumulates gradients in half precision there; autocast over fp32 weights has
        # neither fault.
        "torch_autocast": {
            "enabled": is_autocast,
            "dtype": {"bf16": "bfloat16", "fp16": "float16", "fp32": "bfloat16"}[config.precision],
        },
        "data_types": {"grad_accum_dtype": "fp32"},
    }


def _zero_section(config: DeepSpeedEngineConfig) -> JsonTree:
    section: JsonTree = {
        "stage": config.zero_stage,
        "contiguous_gradients": True,
        "overlap_comm": config.overlap_comm and config.zero_stage > 0,
        "reduce_scatter": True,
        "reduce_bucket_size": config.bucket_elements,
        "allgather_partitions": True,
        "allgather_bucket_size": config.bucket_elements,
        "round_robin_gradients": False,
    }
    if config.offload_optimizer:
        section["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if config.zero_stage == 3:
        section |= {
            "stage3_prefetch_bucket_size": config.bucket_elements,
            "stage3_param_persistence_threshold": config.stage3_persistence_elements,
            "stage3_max_live_parameters": 1_000_000_000,
            "stage3_max_reuse_distance": 1_000_000_000,
            "stage3_gather_16bit_weights_on_model_save": False,
        }
    return section


TYPED_ENTRIES = {
    "train_micro_batch_size_per_gpu": "batch.micro_batch_size",
    "gradient_accumulation_steps": "batch.global_batch_size",
    "train_batch_size": "batch.global_batch_size",
    "gradient_clipping": "engine.gradient_clipping",
    "zero_optimization.stage": "engine.zero_stage",
    "zero_optimization.offload_optimizer": "engine.offload_optimizer",
    "zero_optimization.reduce_bucket_size": "engine.bucket_elements",
    "zero_optimization.allgather_bucket_size": "engine.bucket_elements",
    "zero_optimization.stage3_prefetch_bucket_size": "engine.bucket_elements",
    "zero_optimization.stage3_param_persistence_threshold": "engine.stage3_persistence_elements",
    "zero_optimization.overlap_comm": "engine.overlap_comm",
    "bf16.enabled": "engine.precision",
    "fp16": "engine.precision and engine.loss_scale",
    "torch_autocast": "engine.precision",
    "data_types.grad_accum_dtype": "engine.precision",
    "optimizer": "the section optimizer",
    "scheduler": "the section schedule",
}
"""Entries of DeepSpeed's config that only the typed field may set, with that field."""


def _merged(generated: JsonTree, overrides: JsonTree, *, at: str, prefix: str = "") -> JsonTree:
    merged = dict(generated)
    for key, value in overrides.items():
        path = prefix + key
        if path in TYPED_ENTRIES:
            raise ConfigError(
                f"{at}.{path}={value!r} contradicts a typed setting; "
                f"set {TYPED_ENTRIES[path]} instead"
            )
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merged(before, value, at=at, prefix=path + ".")
        elif isinstance(before, dict):
            raise ConfigError(f"{at}.{path}={value!r} is not a section; give `{key}:` entries")
        else:
            merged[key] = value
    return merged
