"""The verb `debug`: a run in one process, looked at closely, that writes nothing.

    python -m pretrain debug CONFIG.yaml [section.field=value ...]
        [--steps N] [--overfit-one-batch] [--samples N] [--checkpoint PATH] [--pdb]

Shows decoded input with its sources, runs a few steps, prints statistics of every layer, and names
the first module that makes a NaN. One process, one GPU or the CPU, the plain torch engine,
deterministic. No child process is started, so pdb has the terminal.
"""

import argparse
import logging
import pdb
import sys
import traceback
from bdb import BdbQuit
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from rich.console import Console

from contracts.config import load_config
from contracts.errors import EXIT_DONE, EXIT_FAILED, TrainingDiverged
from contracts.tokenizer import Tokenizer
from pretrain.checkpoint import load_for_inference
from pretrain.config import PretrainConfig
from pretrain.distributed import World
from pretrain.engine.torch_engine import TorchEngine, TorchEngineConfig
from pretrain.loader import BatchPlan, Loader
from pretrain.model import load_weights
from pretrain.objectives import Objective
from pretrain.parts import seed_generators, start_from
from pretrain.probe import Probe, Statistics, parameter_statistics
from pretrain.records import Batch, LoaderState
from pretrain.rows import Pick, tokenizer_of

logger = logging.getLogger(__name__)

STEPS = 3
OVERFIT_STEPS = 100
_SHOWN_CHARS = 160
_SHOWN_LOSSES = 20


@dataclass(frozen=True)
class DebugParts:
    """What a debug run works with."""

    config: PretrainConfig
    engine: TorchEngine
    objective: Objective
    loader: Loader
    tokenizer: Tokenizer
    console: Console
    first_step: int
    """Completed steps behind the weights: 0, or the checkpoint's."""
    place: LoaderState
    """Where in the data to begin."""


def single_process_overrides(config: PretrainConfig) -> list[str]:
    """The settings of one process without DeepSpeed, for a config that may ask for more."""
    precision = "fp32" if config.engine.precision == "fp32" else "bf16"
    clipping = config.engine.gradient_clipping
    found = [
        f"engine={{kind: torch, precision: {precision}, gradient_clipping: {clipping}}}",
        "tracking={kind: none}",
        "run.deterministic=true",
        "data.num_workers=0",
    ]
    if config.activation_checkpointing.kind == "deepspeed":
        found.append("activation_checkpointing={kind: full}")
    return found


def build_debug_parts(
    config: PretrainConfig, console: Console, checkpoint: str | None = None
) -> DebugParts:
    """Model, engine and data of one process; nothing is written.

    Args:
        config: of one process, see `single_process_overrides`.
        console: where to show things.
        checkpoint: weights and place in the data to begin with (not the optimizer's moments); None:
            a fresh model and the first samples.
    """
    world = World.single()
    seed_generators(config)
    size = config.batch.micro_batch_size
    loader = config.data.build(
        BatchPlan(dp_rank=0, dp_world_size=1, micro_batch_size=size, global_batch_size=size),
        seed=config.run.seed,
        vocab_size=config.model.vocab_size,
        documents_masked=config.model.document_mask,
    )
    layers = config.activation_checkpointing.build(num_layers=config.model.num_layers)
    model = config.model.build(layers)
    if config.init_from is not None:
        start_from(config.init_from, model, config.model, tokenizer=loader.tokenizer_spec)
    first_step, place = 0, loader.fresh_state()
    if checkpoint is not None:
        weights, meta = load_for_inference(checkpoint)
        load_weights(model, weights, where=checkpoint)
        first_step, place = meta.state.step, meta.state.loader
    assert isinstance(config.engine, TorchEngineConfig), config.engine
    engine = TorchEngine(
        config.engine, model, config.optimizer.build(model), world=world, grad_accum_steps=1
    )
    return DebugParts(
        config=config,
        engine=engine,
        objective=cast(Objective, config.objective.build()),  # an engine is called as a model is
        loader=loader,
        tokenizer=tokenizer_of(loader.manifests),
        console=console,
        first_step=first_step,
        place=place,
    )


def show_samples(parts: DebugParts, count: int) -> None:
    """Print the first samples as text, each part with its document."""
    for table, row in parts.loader.picks(parts.place.samples_consumed, count):
        parts.console.rule(f"sample {table.sample_id(row)}", align="left")
        for line in sample_lines((table, row), parts.tokenizer):
            parts.console.print(line, markup=False, highlight=False)


def sample_lines(pick: Pick, tokenizer: Tokenizer) -> list[str]:
    """One line for each part of a row: place, source, document, text."""
    table, row = pick
    shard, local = table.locate(row)
    reader = table.reader(shard)
    tokens, spans, documents = reader.row(local), reader.spans(local), reader.documents(local)
    lines = []
    columns = (spans.positions, spans.lengths, spans.documents, spans.offsets)
    for first, length, number, offset in zip(*(c.tolist() for c in columns), strict=True):
        document = documents[number]
        text = tokenizer.decode(tokens[first : first + length])
        shown = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + " ..."
        lines.append(
            f"[{first}:{first + length}] source={table.shards[shard].source} "
            f"doc_id={document['doc_id']} from token {offset} uri={document.get('uri')}\n    "
            f"{shown!r}"
        )
    covered = int(spans.lengths.sum())
    lines.append(f"padding: {len(tokens) - covered} of {len(tokens)} tokens")
    return lines


def debug_step(
    parts: DebugParts, batch: Batch, *, step: int, lr: float, is_shown: bool = False
) -> float:
    """One step under the probe; the loss. With `is_shown` the statistics of every layer, too.

    Raises:
        TrainingDiverged: naming the first module that made a NaN or Inf.
    """
    engine = parts.engine
    engine.set_lr(lr)
    with Probe(engine.module) as probe:
        nll = parts.objective(engine, batch.to(engine.device))
        loss = nll / batch.num_targets
        if probe.not_finite is None:
            engine.backward(loss)
    is_finite = bool(torch.isfinite(loss))
    if probe.not_finite is not None or not is_finite:
        found = probe.not_finite or "every module's output is finite, the objective's is not"
        raise TrainingDiverged(
            f"loss is {loss.item()} at step {step}, lr={lr:.3g}, samples "
            f"{', '.join(batch.sample_ids)}: {found}"
        )
    if is_shown:
        parts.console.print("\n".join(module_lines(probe)), markup=False, highlight=False)
        parts.console.print("\n".join(parameter_lines(engine)), markup=False, highlight=False)
    engine.step()
    return float(loss.item())


def module_lines(probe: Probe) -> list[str]:
    """Activations and their gradients by module, in the order of the forward pass."""
    rows = [
        (name, record.activation, record.activation_gradient)
        for name, record in probe.records.items()
    ]
    return _aligned("module: its output", rows)


def parameter_lines(engine: TorchEngine) -> list[str]:
    """Weights and their gradients by name."""
    found = parameter_statistics(engine.module).items()
    return _aligned("parameter", [(name, weight, grad) for name, (weight, grad) in found])


def _aligned(title: str, rows: list[tuple[str, Statistics | None, Statistics | None]]) -> list[str]:
    width = max(len(name) for name in (title, *(row[0] for row in rows)))
    titles = ("mean", "std", "absmax", "grad mean", "grad std", "grad absmax")
    lines = [f"{title:{width}}" + "".join(f"{word:>12}" for word in titles)]
    for name, value, gradient in rows:
        cells = [*_cells(value), *_cells(gradient)]
        lines.append(f"{name:{width}}" + "".join(f"{cell:>12}" for cell in cells))
    return lines


def _cells(found: Statistics | None) -> list[str]:
    if found is None:
        return ["-", "-", "-"]
    return [f"{value:.3g}" for value in (found.mean, found.std, found.absmax)]


def run_steps(parts: DebugParts, steps: int) -> None:
    """The first steps of the run, each on its own micro-batch."""
    schedule = parts.config.schedule.build(
        peak_lr=parts.config.optimizer.lr, total_steps=parts.config.total_steps
    )
    batches = parts.loader.batches(parts.place)
    for step in range(parts.first_step, parts.first_step + steps):
        lr = schedule(step)
        loss = debug_step(parts, next(batches), step=step, lr=lr, is_shown=step == parts.first_step)
        parts.console.print(
            f"step={step} loss={loss:.4f} grad_norm={parts.engine.grad_norm():.3g} lr={lr:.3g}"
        )


def overfit_one_batch(parts: DebugParts, steps: int) -> bool:
    """Repeat the first micro-batch at the peak learning rate; whether its loss fell by half.

    A model and a loss that are right learn one batch by heart; one that cannot has a fault.
    """
    batch = next(parts.loader.batches(parts.place))
    losses: list[float] = []
    for step in range(steps):
        lr = parts.config.optimizer.lr
        losses.append(debug_step(parts, batch, step=step, lr=lr, is_shown=step == 0))
        if step % max(1, steps // _SHOWN_LOSSES) == 0 or step == steps - 1:
            parts.console.print(f"step={step} loss={losses[-1]:.4f}")
    has_learnt = losses[-1] < losses[0] / 2
    verdict = "learnt" if has_learnt else "NOT learnt: more steps, another lr, or a fault"
    parts.console.print(
        f"one batch, {steps} steps: loss {losses[0]:.4f} -> {losses[-1]:.4f}, {verdict}"
    )
    return has_learnt


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line of the verb."""
    parser = argparse.ArgumentParser(
        prog="python -m pretrain debug",
        description="Look closely at the first steps of a run, in one process; writes nothing.",
    )
    parser.add_argument("config", help="YAML file of the run")
    parser.add_argument("overrides", nargs="*", help="section.field=value", metavar="OVERRIDE")
    parser.add_argument(
        "--steps",
        type=int,
        help=f"steps to run (default {STEPS}, with --overfit-one-batch {OVERFIT_STEPS})",
    )
    parser.add_argument("--samples", type=int, default=2, help="input rows to show (default 2)")
    parser.add_argument(
        "--overfit-one-batch", action="store_true", help="every step on the first micro-batch"
    )
    parser.add_argument(
        "--checkpoint",
        help="begin with the weights and at the data of a checkpoint or run (not its moments)",
    )
    parser.add_argument("--pdb", action="store_true", help="on an error, open pdb where it arose")
    return parser.parse_intermixed_args(list(words))


def main(words: Sequence[str], *, local_rank: int | None = None) -> int:
    """The verb; gives the exit code."""
    del local_rank  # one process: there is no other rank
    options = parse(words)
    try:
        return _debug(options)
    except BdbQuit:
        logger.warning("left the debugger; nothing was written")
        return EXIT_FAILED
    except Exception:
        if options.pdb:
            traceback.print_exc()
            pdb.post_mortem(sys.exc_info()[2])
        raise


def _debug(options: argparse.Namespace) -> int:
    config = load_config(PretrainConfig, options.config, options.overrides)
    settings = single_process_overrides(config)
    config = load_config(PretrainConfig, options.config, [*options.overrides, *settings])
    console = Console(file=sys.stdout, soft_wrap=True)
    parts = build_debug_parts(config, console, options.checkpoint)
    console.print(
        f"run={config.run.name} device={parts.engine.device} precision={config.engine.precision} "
        f"parameters={config.model.num_parameters():,} seed={config.run.seed} deterministic "
        f"one process, plain torch; set for it: {' '.join(settings)}",
        highlight=False,
        markup=False,
    )
    show_samples(parts, options.samples)
    if options.overfit_one_batch:
        has_learnt = overfit_one_batch(parts, options.steps or OVERFIT_STEPS)
        return EXIT_DONE if has_learnt else EXIT_FAILED
    run_steps(parts, options.steps or STEPS)
    return EXIT_DONE
