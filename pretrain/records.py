"""The doors between the rooms of the trainer: batches, states and reports."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from contracts.tokenizer import TokenizerSpec

IGNORE_INDEX = -100
"""Target that the loss does not count: padding, and the first token of a document."""


WEIGHT = "weight"
MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's moments, under the names of torch's optimizer state."""
STATE_KEYS = (WEIGHT, *MOMENTS)


@dataclass(frozen=True)
class Batch:
    """Rows of one micro-batch. B rows, T = seq_len positions."""

    input_ids: Tensor
    """(B, T) int64."""
    targets: Tensor
    """(B, T) int64, IGNORE_INDEX where nothing is to be predicted."""
    segment_ids: Tensor
    """(B, T) int32, 1, 2, ... for the documents of a row in order, 0 for padding."""
    num_targets: int
    """Targets that count."""
    num_bytes: float = 0.0
    """UTF-8 bytes of the text behind the targets that count, for bits per byte."""
    sample_ids: tuple[str, ...] = ()
    """`<shard path>:<row>` of each row: what to give `data_pipeline inspect`."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        if self.input_ids.device == device:
            return self
        return Batch(
            input_ids=self.input_ids.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
            segment_ids=self.segment_ids.to(device, non_blocking=True),
            num_targets=self.num_targets,
            num_bytes=self.num_bytes,
            sample_ids=self.sample_ids,
        )


@dataclass(frozen=True)
class LoaderState:
    """Where the data stands, independent of world size: a few integers."""

    manifests_sha256: str
    """Over all manifests of the mixture, with weights."""
    seed: int
    epoch: int
    samples_consumed: int
    """Rows handed out to optimizer steps since the run began, over all ranks; prefetched ones not
    counted."""


@dataclass(frozen=True)
class StepResult:
    """One completed optimizer step."""

    step: int
    """Number of the step, counted from 0 before it."""
    loss: float
    """Mean nats per target token over the global batch."""
    grad_norm: float
    """L2 norm before clipping."""
    lr: float
    target_tokens: int
    input_tokens: int
    skipped: bool
    """fp16 overflow: the weights were not changed."""

    def metrics(self) -> dict[str, float]:
        """Under the names of the tracker."""
        return {
            "train/loss": self.loss,
            "train/grad_norm": self.grad_norm,
            "train/lr": self.lr,
            "train/target_tokens": float(self.target_tokens),
            "train/skipped": float(self.skipped),
        }


@dataclass(frozen=True)
class RunState:
    """All that a resume needs beyond weights, optimizer and RNG."""

    step: int
    """Completed optimizer steps."""
    tokens_seen: int
    """Input tokens consumed by all ranks."""
    loader: LoaderState
    tracker_run_id: str | None = None


@dataclass(frozen=True)
class CheckpointMeta:
    """`COMMITTED.json`: written last, so a directory that has it is whole."""

    schema_version: int
    run_id: str
    state: RunState
    config: dict[str, Any]
    config_sha256: str
    engine: str
    zero_stage: int
    dp_world_size: int
    tokenizer: TokenizerSpec
    norms: dict[str, float]
    """L2 norms of weights and of both moments, and the optimizer's step, at the save: compared
    after a load."""
    files: dict[str, dict[str, int | str]]
    """name -> {bytes, sha256}."""


@dataclass(frozen=True)
class Fragment:
    """A range of one flattened parameter: elements `start` to `start + length`."""

    name: str
    """Of the parameter, as in `model.named_parameters()`."""
    key: str
    """One of STATE_KEYS."""
    start: int
    values: Tensor
    """(length,) fp32; may be a view of live state: read it before the next step."""


class FragmentReader(Protocol):
    """Where an engine takes its state from."""

    def read(self, name: str, key: str, start: int, length: int) -> Tensor:
        """(length,) fp32 on the CPU: a range of a flattened parameter or moment."""
        ...


@dataclass(frozen=True)
class EvalReport:
    """Held-out loss on one dataset (or one source of it)."""

    step: int
    dataset_id: str
    loss: float
    """Nats per target token."""
    bits_per_byte: float
    num_targets: int
    extra: dict[str, float] = field(default_factory=dict)
    """Further values by name, such as `word_perplexity`."""

    def metrics(self) -> dict[str, float]:
        """Under the names of the tracker, one set per dataset."""
        prefix = f"eval/{self.dataset_id}"
        return {
            f"{prefix}/loss": self.loss,
            f"{prefix}/bits_per_byte": self.bits_per_byte,
            **{f"{prefix}/{name}": value for name, value in self.extra.items()},
        }


@dataclass(frozen=True)
class StockWeights:
    """A model as one of transformers' classes stores it."""

    format: str
    """`gpt2` or `llama`: the stock transformers class."""
    config: dict[str, Any]
    """Its config.json."""
    tensors: dict[str, Tensor]
    """Weights under the names of that class."""
    tokenizer: TokenizerSpec | None = None
    """What the model was trained with, where the folder says it."""


@dataclass(frozen=True)
class ExportManifest:
    """`export.json` beside an exported model."""

    format: str
    """`gpt2` or `llama`: the stock transformers class."""
    dtype: str
    files: dict[str, str]
    """name -> sha256."""
    model: dict[str, Any]
    tokenizer: TokenizerSpec
    from_step: int
