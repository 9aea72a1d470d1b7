"""The verb `check`: what a config means, worked out without a GPU and without writing anything.

    python -m pretrain check CONFIG.yaml [section.field=value ...] [--ranks N] [--json]

Validates, builds the model without memory, and prints parameters, tokens per step, memory per rank
for each ZeRO stage, and the shards found, each with its size checked. The engine's settings are
made, and weights to start from are read and fitted to the model, so that a misfit is told here.
"""

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from contracts import storage
from contracts.config import load_config
from contracts.errors import EXIT_DONE, EXIT_FAILED, DataError
from contracts.shards import ShardManifest, read_manifest
from contracts.tokenizer import TokenizerSpec, require_same_tokenizer
from pretrain.config import PretrainConfig
from pretrain.engine.deepspeed_config import deepspeed_config
from pretrain.evaluate import ManifestEvalConfig
from pretrain.init_from import read_stock
from pretrain.loader import BatchPlan, Loader
from pretrain.memory import ZERO_STAGES, activation_bytes, host_bytes, state_bytes
from pretrain.model import from_stock
from pretrain.objectives import Objective
from pretrain.parallel.checkpointing import (
    ActivationCheckpointingConfig,
    DeepSpeedCheckpointingConfig,
    FullCheckpointingConfig,
    NoCheckpointingConfig,
)
from pretrain.rows import tokenizer_of
from pretrain.throughput import flops_per_token

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetFacts:
    """One manifest of the run."""

    manifest: str
    rows: int
    tokens: int
    sources: dict[str, int]
    """Rows of each."""
    shards: int
    size_bytes: int
    tokenizer_sha256: str


@dataclass(frozen=True)
class Activations:
    """What one forward pass keeps for its backward pass on one rank, in bytes."""

    checkpointing: str
    """The kind."""
    kept: int
    """On the device."""
    kept_on_host: int
    """Layer inputs that DeepSpeed's cpu_checkpointing moves there."""
    without_checkpointing: int


@dataclass(frozen=True)
class RunFacts:
    """What `check` prints."""

    name: str
    output_dir: str
    parameters: int
    embedding_parameters: int
    flops_per_token: float
    ranks: int
    micro_batch_size: int
    grad_accum_steps: int
    tokens_per_step: int
    total_steps: int
    total_tokens: int
    tokens_per_parameter: float
    epochs: float | None
    """Of the data; None where it is not ready."""
    """Passes over the mixture in the whole run."""
    state_bytes_per_rank: dict[int, int]
    """ZeRO stage -> model states on the device."""
    host_bytes_per_rank: dict[int, int]
    """ZeRO stage -> the fresh fp32 model, offloaded states and layer inputs, in host memory."""
    offload_optimizer: bool
    activations: Activations
    zero_stage: int
    """Of the config."""
    train: tuple[DatasetFacts, ...]
    eval: tuple[DatasetFacts, ...]
    data_fault: str | None
    """Why the run cannot start on its data; what follows from the config alone is known anyway."""


def run_facts(config: PretrainConfig, *, ranks: int) -> RunFacts:
    """Everything that follows from a config and the files it names.

    Raises:
        ConfigError: sizes or settings that do not fit.
    """
    batch = config.batch
    plan = BatchPlan(0, ranks, batch.micro_batch_size, batch.global_batch_size)
    _require_engine_settings(config, plan)
    found = _data_facts(config, plan)
    parameters = config.model.num_parameters()
    activations = _activations(config)
    tokens_per_step = batch.global_batch_size * config.data.seq_len
    device, host = _memory_by_stage(config, parameters, ranks=ranks, activations=activations)
    return RunFacts(
        name=config.run.name,
        output_dir=str(config.run.output_dir),
        parameters=parameters,
        embedding_parameters=_embedding_parameters(config),
        flops_per_token=flops_per_token(
            config.model.matmul_parameters(),
            num_layers=config.model.num_layers,
            attention_width=config.model.attention_width,
            seq_len=config.data.seq_len,
        ),
        ranks=ranks,
        micro_batch_size=batch.micro_batch_size,
        grad_accum_steps=plan.grad_accum_steps,
        tokens_per_step=tokens_per_step,
        total_steps=config.total_steps,
        total_tokens=tokens_per_step * config.total_steps,
        tokens_per_parameter=tokens_per_step * config.total_steps / parameters,
        epochs=found.epochs,
        state_bytes_per_rank=device,
        host_bytes_per_rank=host,
        offload_optimizer=_offloads(config),
        activations=activations,
        zero_stage=config.engine.zero_stage if config.engine.kind == "deepspeed" else 0,
        train=found.train,
        eval=found.eval,
        data_fault=found.fault,
    )


@dataclass(frozen=True)
class _DataFacts:
    train: tuple[DatasetFacts, ...] = ()
    eval: tuple[DatasetFacts, ...] = ()
    epochs: float | None = None
    fault: str | None = None


def _data_facts(config: PretrainConfig, plan: BatchPlan) -> _DataFacts:
    """What the files hold; a fault where one is missing or does not fit."""
    try:
        loader = _loader_of_fitting_parts(config, plan)
        held_out = [
            read_manifest(dataset.manifest)
            for dataset in config.eval.datasets
            if isinstance(dataset, ManifestEvalConfig)
        ]
        return _DataFacts(
            train=tuple(_dataset_facts(manifest) for manifest in loader.manifests),
            eval=tuple(_dataset_facts(manifest) for manifest in held_out),
            epochs=config.total_steps * plan.global_batch_size / loader.order.num_rows,
        )
    except DataError as error:
        return _DataFacts(fault=str(error))


def _loader_of_fitting_parts(config: PretrainConfig, plan: BatchPlan) -> Loader:
    """The loader; what else the run would build from files and settings is built to be refused."""
    vocab_size, documents_masked = config.model.vocab_size, config.model.document_mask
    loader = config.data.build(
        plan, seed=config.run.seed, vocab_size=vocab_size, documents_masked=documents_masked
    )
    if config.init_from is not None:
        _require_start(config, config.init_from, tokenizer=loader.tokenizer_spec)
    config.eval.build(
        tokenizer_of(loader.manifests),
        seq_len=config.data.seq_len,
        vocab_size=vocab_size,
        documents_masked=documents_masked,
        trained_sources=[source for m in loader.manifests for source in m.sources],
    )
    return loader


def _offloads(config: PretrainConfig) -> bool:
    return config.engine.kind == "deepspeed" and config.engine.offload_optimizer


def _memory_by_stage(
    config: PretrainConfig, parameters: int, *, ranks: int, activations: Activations
) -> tuple[dict[int, int], dict[int, int]]:
    """ZeRO stage -> bytes of states on the device, and of everything in host memory."""
    device, host = {}, {}
    for stage in ZERO_STAGES:
        device[stage] = state_bytes(config.engine.precision, stage).per_rank(
            parameters,
            zero_stage=stage,
            dp_world_size=ranks,
            offload_optimizer=_offloads(config),
        )
        host[stage] = activations.kept_on_host + host_bytes(
            parameters,
            zero_stage=stage,
            dp_world_size=ranks,
            offload_optimizer=_offloads(config),
        )
    return device, host


def _embedding_parameters(config: PretrainConfig) -> int:
    with torch.device("meta"):
        model = config.model.build()
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Embedding))


def _require_engine_settings(config: PretrainConfig, plan: BatchPlan) -> None:
    if config.engine.kind == "deepspeed":
        deepspeed_config(
            config.engine,
            micro_batch_size=plan.micro_batch_size,
            grad_accum_steps=plan.grad_accum_steps,
            dp_world_size=plan.dp_world_size,
        )


def _require_start(config: PretrainConfig, folder: str, *, tokenizer: TokenizerSpec) -> None:
    stock = read_stock(folder)
    if stock.tokenizer is not None:
        require_same_tokenizer(tokenizer, stock.tokenizer, where=f"init_from {folder}")
    from_stock(config.model, stock, where=folder)


def _activations(config: PretrainConfig) -> Activations:
    checkpointing = config.activation_checkpointing
    whole = _activation_bytes(config, NoCheckpointingConfig())
    on_host = 0
    if isinstance(checkpointing, DeepSpeedCheckpointingConfig):
        # Keeps what the full kind keeps, which needs no process group.
        kept = _activation_bytes(config, FullCheckpointingConfig())
        if checkpointing.cpu_checkpointing:
            width = 4 if config.engine.precision == "fp32" else 2
            tokens = config.batch.micro_batch_size * config.data.seq_len
            on_host = config.model.num_layers * tokens * config.model.d_model * width
    elif isinstance(checkpointing, NoCheckpointingConfig):
        kept = whole
    else:
        kept = _activation_bytes(config, checkpointing)
    return Activations(
        checkpointing=checkpointing.kind,
        kept=kept - on_host,
        kept_on_host=on_host,
        without_checkpointing=whole,
    )


def _activation_bytes(config: PretrainConfig, checkpointing: ActivationCheckpointingConfig) -> int:
    layers = checkpointing.build(num_layers=config.model.num_layers)
    return activation_bytes(
        lambda: config.model.build(layers),
        cast(Objective, config.objective.build()),
        micro_batch_size=config.batch.micro_batch_size,
        seq_len=config.data.seq_len,
        half_precision=config.engine.precision != "fp32",
    )


def _dataset_facts(manifest: ShardManifest) -> DatasetFacts:
    for shard in manifest.shards:
        url = manifest.shard_url(shard)
        found = storage.file_info(url).size_bytes
        if found != shard.size_bytes:
            raise DataError(
                f"{url}: {found} bytes, {manifest.where} says {shard.size_bytes}; the shard is "
                "torn: "
                "remove it and run the data job again"
            )
    rows = {
        source: sum(s.num_samples for s in manifest.shards if s.source == source)
        for source in manifest.sources
    }
    return DatasetFacts(
        manifest=manifest.where,
        rows=manifest.num_samples,
        tokens=manifest.num_tokens,
        sources=rows,
        shards=len(manifest.shards),
        size_bytes=sum(shard.size_bytes for shard in manifest.shards),
        tokenizer_sha256=manifest.tokenizer.sha256,
    )


def fact_lines(facts: RunFacts) -> Iterator[str]:
    """The facts for a person."""
    yield f"run                {facts.name} -> {facts.output_dir}"
    yield (
        f"parameters         {facts.parameters:,} ({facts.embedding_parameters:,} in embeddings)"
    )
    yield f"FLOPs per token    {facts.flops_per_token:.3g} forward and backward"
    yield (
        f"step               {facts.tokens_per_step:,} tokens = {facts.ranks} rank(s) x "
        f"micro-batch {facts.micro_batch_size} x accumulation {facts.grad_accum_steps} x rows"
    )
    epochs = "" if facts.epochs is None else f", {facts.epochs:.2f} epochs"
    yield (
        f"whole run          {facts.total_steps:,} steps, {facts.total_tokens:,} tokens, "
        f"{facts.tokens_per_parameter:.1f} per parameter{epochs}"
    )
    yield from _memory_lines(facts)
    for title, datasets in (("train", facts.train), ("eval", facts.eval)):
        for data in datasets:
            sources = ", ".join(f"{name} {rows:,}" for name, rows in data.sources.items())
            yield f"{title:18} {data.manifest}"
            yield (
                f"  {data.shards} shard(s), {_size(data.size_bytes)}, {data.tokens:,} "
                "tokens, "
                f"{data.rows:,} rows: {sources}"
            )
            yield f"  tokenizer        {data.tokenizer_sha256}"
    if facts.data_fault is not None:
        yield f"data               NOT READY: {facts.data_fault}"


def _memory_lines(facts: RunFacts) -> Iterator[str]:
    yield "memory per rank    model states (Rajbhandari et al. 2020) + activations, estimated:"
    kept = facts.activations.kept
    for stage, size in facts.state_bytes_per_rank.items():
        mark = " <- this config" if stage == facts.zero_stage else ""
        yield (
            f"  ZeRO {stage}           {_size(size)} + {_size(kept)} = {_size(size + kept)}, "
            f"host {_size(facts.host_bytes_per_rank[stage])}{mark}"
        )
    parts = ["the whole fp32 model before the engine takes it"]
    if facts.offload_optimizer:
        parts.append("offloaded optimizer states (ZeRO 1 to 3)")
    if facts.activations.kept_on_host:
        parts.append(f"{_size(facts.activations.kept_on_host)} of layer inputs")
    yield f"  host             {' + '.join(parts)}"
    yield (
        f"activation checkpointing ({facts.activations.checkpointing}) keeps {_size(kept)} of "
        f"{_size(facts.activations.without_checkpointing)}"
    )


def _size(num_bytes: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if num_bytes >= size:
            return f"{num_bytes / size:.2f} {unit}"
    return f"{num_bytes / (1 << 10):.2f} KiB"


def main(words: Sequence[str], *, local_rank: int | None = None) -> int:
    """The verb; gives the exit code."""
    del local_rank  # nothing here depends on a rank
    parser = argparse.ArgumentParser(
        prog="python -m pretrain check",
        description="Work out what a config means; touches nothing and needs no GPU.",
    )
    parser.add_argument("config", help="YAML file of the run")
    parser.add_argument("overrides", nargs="*", help="section.field=value", metavar="OVERRIDE")
    parser.add_argument("--ranks", type=int, default=1, help="data-parallel ranks to plan for")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    options = parser.parse_intermixed_args(list(words))
    config = load_config(PretrainConfig, options.config, options.overrides)
    facts = run_facts(config, ranks=options.ranks)
    if options.json:
        text = json.dumps(dataclasses.asdict(facts), indent=1)
    else:
        text = "\n".join(fact_lines(facts))
    sys.stdout.write(text + "\n")
    if facts.data_fault is not None:
        logger.error("%s", facts.data_fault)
        return EXIT_FAILED
    return EXIT_DONE
