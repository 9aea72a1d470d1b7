"""What the loop works with, made from the config: model, engine, data, checkpoints, counters."""

import logging
import os
from dataclasses import dataclass
from typing import cast

import torch

from contracts import storage
from contracts.config import as_tree, to_yaml
from contracts.tokenizer import TokenizerSpec, require_same_tokenizer
from pretrain.checkpoint import TOKENIZER_FILE, Checkpoints, RunFacts, committed_folders
from pretrain.config import RESUME_MAY_CHANGE, PretrainConfig
from pretrain.distributed import World
from pretrain.engine import build_engine
from pretrain.engine.protocol import Engine
from pretrain.evaluate import Evaluator
from pretrain.init_from import read_stock
from pretrain.loader import BatchPlan, Loader
from pretrain.model import ModelConfig, Transformer, from_stock, load_weights
from pretrain.objectives import Objective
from pretrain.rows import tokenizer_of
from pretrain.schedule import Schedule
from pretrain.throughput import Throughput, flops_per_token

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the loop works with."""

    world: World
    engine: Engine
    objective: Objective
    loader: Loader
    schedule: Schedule
    checkpoints: Checkpoints
    throughput: Throughput
    evaluator: Evaluator


def build_parts(config: PretrainConfig, world: World) -> Parts:
    """Everything a run needs, made from its config; called by every rank."""
    if config.needs_process_group:
        world.start_alone()
    seed_generators(config)
    plan = BatchPlan(
        dp_rank=world.dp_rank,
        dp_world_size=world.dp_world_size,
        micro_batch_size=config.batch.micro_batch_size,
        global_batch_size=config.batch.global_batch_size,
    )
    loader = config.data.build(
        plan,
        seed=config.run.seed,
        vocab_size=config.model.vocab_size,
        documents_masked=config.model.document_mask,
        pin_memory=world.device.type == "cuda",
    )
    model = config.model.build(
        config.activation_checkpointing.build(num_layers=config.model.num_layers)
    )
    has_begun = world.broadcast(bool(committed_folders(config.checkpoints_dir)))
    if config.init_from is not None and not has_begun:  # a checkpoint takes its place
        start_from(config.init_from, model, config.model, tokenizer=loader.tokenizer_spec)
    engine = build_engine(
        config.engine,
        model,
        config.optimizer.build(model),
        world=world,
        micro_batch_size=config.batch.micro_batch_size,
        grad_accum_steps=config.batch.grad_accum_steps(world.dp_world_size),
    )
    torch.manual_seed(config.run.seed * 1_000_003 + world.rank + 1)  # dropout differs by rank
    checkpoints = Checkpoints(
        config.checkpoint,
        config.checkpoints_dir,
        facts=run_facts(config, loader, world),
        engine=engine,
        world=world,
    )
    return Parts(
        world=world,
        engine=engine,
        objective=cast(Objective, config.objective.build()),  # an engine is called as a model is
        loader=loader,
        schedule=config.schedule.build(peak_lr=config.optimizer.lr, total_steps=config.total_steps),
        checkpoints=checkpoints,
        throughput=build_throughput(config, world),
        evaluator=config.eval.build(
            tokenizer_of(loader.manifests),
            seq_len=config.data.seq_len,
            vocab_size=config.model.vocab_size,
            documents_masked=config.model.document_mask,
            trained_sources=[s for m in loader.manifests for s in m.sources],
        ),
    )


def start_from(
    folder: str, model: Transformer, config: ModelConfig, *, tokenizer: TokenizerSpec
) -> None:
    """Put the weights of a stock folder or export into a fresh model.

    Raises:
        ConfigError: it holds another model; names the fields that differ.
        DataError: a file is torn, or the export was made with another tokenizer.
    """
    stock = read_stock(folder)
    if stock.tokenizer is None:
        logger.warning(
            "init_from=%s names no tokenizer of ours: its ids must be those of the data", folder
        )
    else:
        require_same_tokenizer(tokenizer, stock.tokenizer, where=f"init_from {folder}")
    load_weights(model, from_stock(config, stock, where=folder), where=folder)
    logger.info("init_from=%s format=%s tensors=%d", folder, stock.format, len(stock.tensors))


def seed_generators(config: PretrainConfig) -> None:
    """Equal starting weights on every rank; deterministic kernels where the config asks."""
    torch.manual_seed(config.run.seed)
    if config.run.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch demands it on CUDA
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)
        logger.info("deterministic kernels: torch.use_deterministic_algorithms(True)")


def run_facts(config: PretrainConfig, loader: Loader, world: World) -> RunFacts:
    """What checkpoints record of this run."""
    attachments = {}
    if world.is_main:
        attachments = {
            "config.yaml": to_yaml(config).encode(),
            TOKENIZER_FILE: storage.read_bytes(loader.manifests[0].tokenizer_url),
        }
    return RunFacts(
        config=as_tree(config),
        may_change=RESUME_MAY_CHANGE,
        engine=config.engine.kind,
        tokenizer=loader.tokenizer_spec,
        attachments=attachments,
        seed=config.run.seed,
    )


def build_throughput(config: PretrainConfig, world: World) -> Throughput:
    """The counter of tokens and time."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    model = config.model
    return Throughput(
        flops_per_token=flops_per_token(
            model.matmul_parameters(),
            num_layers=model.num_layers,
            attention_width=model.attention_width,
            seq_len=config.data.seq_len,
        ),
        num_devices=world.world_size,
        peak=config.throughput.find_peak(world.device, dtype[config.engine.precision]),
        device=world.device,
    )
