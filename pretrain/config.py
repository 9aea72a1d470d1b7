"""The settings of a training run: the tree of all rooms' sections, and the checks across them."""

from pathlib import Path
from typing import Self

from pydantic import Field, PositiveInt, model_validator

from contracts.config import Config
from contracts.errors import ConfigError
from contracts.tracking import MlflowConfig, TrackingConfig
from pretrain.checkpoint import CheckpointConfig
from pretrain.engine import DeepSpeedEngineConfig, EngineConfig
from pretrain.evaluate import EvalConfig
from pretrain.loader import LoaderConfig
from pretrain.model import ModelConfig
from pretrain.objectives import CausalLmConfig, ObjectiveConfig
from pretrain.optim import OptimizerConfig
from pretrain.parallel.checkpointing import ActivationCheckpointingConfig, NoCheckpointingConfig
from pretrain.schedule import ScheduleConfig
from pretrain.throughput import ThroughputConfig

RESUME_MAY_CHANGE = (
    "run.name",
    "run.output_dir",
    "data.num_workers",
    "data.prefetch_batches",
    "data.train",  # its identity is the fingerprint in the loader's state, which is compared
    "batch.micro_batch_size",
    "engine.kind",  # the layout, which checkpoint.reshard rules
    "engine.zero_stage",
    "engine.offload_optimizer",
    "engine.bucket_elements",
    "engine.overlap_comm",
    "engine.stage3_persistence_elements",
    "engine.deepspeed",
    "engine.loss_scale",
    "activation_checkpointing",
    "checkpoint",
    "eval",
    "tracking",
    "throughput",
    "init_from",  # read at the first start alone
    "total_steps",
    "log_every_steps",
    "eval_every_steps",
    "save_every_steps",
)
"""Fields that a resume may set anew; each change is logged. Any other is refused."""


class RunConfig(Config):
    """Name, place and randomness of a run."""

    name: str = Field(min_length=1)
    """For people, and the run's name in the tracker."""
    output_dir: Path
    """Folder of everything the run writes; a run started again there resumes."""
    seed: int = 0
    """Of the starting weights, dropout and the order of the data."""
    deterministic: bool = False
    """Use deterministic kernels alone; slower on a GPU, and an error where there is none."""


class BatchConfig(Config):
    """How many samples a step takes, and how many at once."""

    micro_batch_size: PositiveInt = 8
    """Samples in one forward pass on one data-parallel rank."""
    global_batch_size: PositiveInt = 256
    """Samples behind one optimizer step, over all data-parallel ranks."""

    def grad_accum_steps(self, dp_world_size: int) -> int:
        """Micro-batches of one rank in a step.

        Raises:
            ConfigError: the sizes do not divide.
        """
        per_pass = self.micro_batch_size * dp_world_size
        if self.global_batch_size % per_pass:
            raise ConfigError(
                f"batch.global_batch_size={self.global_batch_size} is not a multiple of "
                f"micro_batch_size x dp_world_size = {self.micro_batch_size} x {dp_world_size} = "
                f"{per_pass}; change either size"
            )
        return self.global_batch_size // per_pass


class PretrainConfig(Config):
    """A training run."""

    run: RunConfig
    data: LoaderConfig
    model: ModelConfig
    objective: ObjectiveConfig = CausalLmConfig()
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    batch: BatchConfig = BatchConfig()
    engine: EngineConfig = DeepSpeedEngineConfig()
    activation_checkpointing: ActivationCheckpointingConfig = NoCheckpointingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    eval: EvalConfig = EvalConfig()
    tracking: TrackingConfig = MlflowConfig()
    throughput: ThroughputConfig = ThroughputConfig()
    init_from: str | None = None
    """Folder of a transformers GPT-2 or Llama, or of one of our exports, to start from; null: from
    fresh weights."""
    total_steps: PositiveInt
    """Optimizer steps of the whole run."""
    log_every_steps: PositiveInt = 10
    """Interval of metrics to the tracker."""
    eval_every_steps: PositiveInt | None = None
    """Interval of evaluation on `eval.datasets`, which also stands at the end; null: only there."""
    save_every_steps: PositiveInt | None = 500
    """Interval of checkpoints; one is written at the end in any case; null: only there."""

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        if self.data.seq_len > self.model.max_seq_len:
            raise ConfigError(
                f"data.seq_len={self.data.seq_len} exceeds model.max_seq_len="
                f"{self.model.max_seq_len}; raise the model's or pack shorter rows"
            )
        if self.eval_every_steps is not None and not self.eval.datasets:
            raise ConfigError(
                f"eval_every_steps={self.eval_every_steps} has no effect without eval.datasets; "
                "name a held-out manifest there, or set eval_every_steps=null"
            )
        self.schedule.build(peak_lr=self.optimizer.lr, total_steps=self.total_steps)
        self.batch.grad_accum_steps(1)
        return self

    @property
    def checkpoints_dir(self) -> Path:
        """Where the run's checkpoints stand."""
        return self.run.output_dir / "checkpoints"

    @property
    def needs_process_group(self) -> bool:
        """Whether a single process makes a process group of one: DeepSpeed does not run without."""
        return "deepspeed" in (self.engine.kind, self.activation_checkpointing.kind)
