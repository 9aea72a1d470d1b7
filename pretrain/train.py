"""The loop and the step: read this file first.

`train` runs steps until the end or a stop signal; `train_step` is one of them. What they work with
is made from the config in parts.py. To do something every N steps, add a line to `train`.
"""

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from itertools import islice

import torch

from contracts import storage
from contracts.config import load_config, to_yaml
from contracts.errors import EXIT_DONE, EXIT_STOPPED, DataError, TrainingDiverged
from contracts.tokenizer import SPEC_NAME
from contracts.tracking import NullTracker, Tracker, build_tracker
from pretrain.checkpoint import with_run_id
from pretrain.config import PretrainConfig
from pretrain.distributed import World
from pretrain.loader import Loader
from pretrain.parts import Parts, build_parts
from pretrain.progress import Progress
from pretrain.records import Batch, RunState, StepResult
from pretrain.run_record import record_run
from pretrain.stop_signal import StopSignal

logger = logging.getLogger(__name__)

STOPPED_FILE = "STOPPED.json"


def train(config: PretrainConfig, parts: Parts, stop: StopSignal) -> RunState:
    """Run optimizer steps until `config.total_steps`; a stop signal ends cleanly after its step."""
    state = parts.checkpoints.restore_latest() or fresh_state(parts.loader)
    if parts.world.is_main:  # behind the restore: a resume that is refused changes nothing
        (config.run.output_dir / STOPPED_FILE).unlink(missing_ok=True)
        storage.write_bytes(str(config.run.output_dir / "config.yaml"), to_yaml(config).encode())
        spec = json.dumps(parts.loader.tokenizer_spec.as_json(), indent=1)
        storage.write_bytes(str(config.run.output_dir / SPEC_NAME), spec.encode())
    batches = parts.loader.batches(state.loader)
    grad_accum_steps = config.batch.grad_accum_steps(parts.world.dp_world_size)
    tracker = open_tracker(config, parts, state)
    progress = Progress(config.total_steps, state.step)
    parts.throughput.restart()  # what came before was no step
    try:
        while state.step < config.total_steps and not stop.requested():
            with parts.throughput.phase("data_wait"):
                micro_batches = take(batches, grad_accum_steps)
            lr = parts.schedule(state.step)
            result = train_step(parts, micro_batches, step=state.step, lr=lr)
            state = advanced(state, result, parts.loader)
            progress.report(result)

            if due(state.step, config.log_every_steps):
                tracker.log_metrics(state.step, result.metrics() | parts.throughput.metrics())
            if due(state.step, config.save_every_steps):
                save(parts, state, tracker)
            if due(state.step, config.eval_every_steps) or state.step == config.total_steps:
                evaluate(parts, state.step, tracker, stop)
        save(parts, state, tracker)
        if state.step < config.total_steps:
            note_stop(config, parts, state, stop)  # before the tracker, which may have to wait
    except BaseException:
        tracker.close(status="FAILED")
        raise
    tracker.close(status="FINISHED" if state.step >= config.total_steps else "KILLED")
    return state


def train_step(parts: Parts, micro_batches: Sequence[Batch], *, step: int, lr: float) -> StepResult:
    """One optimizer step whose loss is the mean over *all* target tokens of the global batch.

    Averaging per micro-batch would weigh short ones too heavily, so each backward is scaled by the
    global count. The engine averages gradients over dp ranks, hence the factor dp_world_size.

    Raises:
        TrainingDiverged: the loss, or a gradient outside fp16's loss scaling, is not finite.
    """
    engine, world, throughput = parts.engine, parts.world, parts.throughput
    target_tokens = int(world.sum(sum(batch.num_targets for batch in micro_batches)))
    input_tokens = sum(b.input_ids.numel() for b in micro_batches) * world.dp_world_size
    if not target_tokens:
        raise DataError(
            f"step {step}: none of its {input_tokens} tokens is a target; look at its rows with "
            "`python -m data_pipeline inspect`, their documents are shorter than two tokens"
        )
    scale = world.dp_world_size / target_tokens

    engine.set_lr(lr)
    nll_sum = engine.zeros(())  # () fp32
    for batch in micro_batches:
        with throughput.phase("forward_backward"):
            nll = parts.objective(engine, batch.to(engine.device))  # () fp32, summed over targets
            engine.backward(nll * scale)  # no further division by grad_accum_steps
        with throughput.phase("optimizer"):
            engine.step()  # updates only at the accumulation boundary
        nll_sum += nll.detach()

    loss = world.sum(nll_sum.item()) / target_tokens  # host sync: the price of stopping at once
    throughput.count_step(input_tokens=input_tokens)
    result = StepResult(
        step=step,
        loss=loss,
        grad_norm=engine.grad_norm(),
        lr=lr,
        target_tokens=target_tokens,
        input_tokens=input_tokens,
        skipped=engine.skipped_last_step(),
    )
    require_finite(result, scales_loss=engine.scales_loss)  # on every rank, and before any save
    return result


def require_finite(result: StepResult, *, scales_loss: bool) -> None:
    """Stop a run that diverged.

    Raises:
        TrainingDiverged: the loss is not finite, or the gradient is not without a loss scale.
    """
    is_gradient_lost = not torch.isfinite(torch.tensor(result.grad_norm)) and not scales_loss
    if not torch.isfinite(torch.tensor(result.loss)) or is_gradient_lost:
        raise TrainingDiverged(
            f"loss is {result.loss} and grad_norm {result.grad_norm} at step {result.step}, "
            f"lr={result.lr:.3g}: expected finite values; resume from the last checkpoint with a "
            "lower optimizer.lr or longer warm-up, or look for the first NaN with the verb debug"
        )


def fresh_state(loader: Loader) -> RunState:
    """The state of a run that has done nothing."""
    return RunState(step=0, tokens_seen=0, loader=loader.fresh_state())


def advanced(state: RunState, result: StepResult, loader: Loader) -> RunState:
    """The state behind a step."""
    return RunState(
        step=state.step + 1,
        tokens_seen=state.tokens_seen + result.input_tokens,
        loader=loader.state(),
        tracker_run_id=state.tracker_run_id,
    )


def take(batches: Iterator[Batch], count: int) -> list[Batch]:
    """The next `count` micro-batches.

    Raises:
        DataError: there are fewer.
    """
    taken = list(islice(batches, count))
    if len(taken) < count:
        raise DataError(
            f"the loader ended with {len(taken)} of the {count} micro-batches of a step; "
            "it should never end: look for a reader that failed"
        )
    return taken


def due(step: int, every_steps: int | None) -> bool:
    """Whether something done every so many steps is to be done behind this one; None: never."""
    return every_steps is not None and step % every_steps == 0


def save(parts: Parts, state: RunState, tracker: Tracker) -> None:
    """Write a checkpoint of `state`; nothing if its step is committed already."""
    with parts.throughput.phase("checkpoint"):
        parts.checkpoints.save(with_run_id(state, tracker.run_id))


def evaluate(parts: Parts, step: int, tracker: Tracker, stop: StopSignal) -> None:
    """Score the model on every held-out set; tell the tracker and the log.

    A stop breaks it off, so that the save behind it is in time for an impatient launcher.
    """
    with parts.throughput.phase("eval"):
        reports = parts.evaluator.evaluate(
            parts.engine, parts.objective, parts.world, step=step, is_stopped=stop.requested
        )
    for report in reports:
        tracker.log_metrics(step, report.metrics())
        logger.info(
            "step=%d eval=%s loss=%.4f bits_per_byte=%.4f targets=%d",
            step,
            report.dataset_id,
            report.loss,
            report.bits_per_byte,
            report.num_targets,
        )


def note_stop(config: PretrainConfig, parts: Parts, state: RunState, stop: StopSignal) -> None:
    """Leave STOPPED.json for wrappers: a launcher that is signalled returns 1 whatever ranks do."""
    if parts.world.is_main:
        stopped = {
            "exit_code": EXIT_STOPPED,
            "step": state.step,
            "total_steps": config.total_steps,
            "signal": stop.received,
        }
        content = json.dumps(stopped, indent=1).encode()
        storage.write_bytes(str(config.run.output_dir / STOPPED_FILE), content)


def open_tracker(config: PretrainConfig, parts: Parts, state: RunState) -> Tracker:
    """The tracker's run on rank 0, with what is known at its start; a NullTracker elsewhere."""
    if not parts.world.is_main:
        return NullTracker()
    tracker = build_tracker(
        config.tracking,
        output_dir=str(config.run.output_dir),
        run_name=config.run.name,
        resume_run_id=state.tracker_run_id,
    )
    record_run(tracker, config, parts.loader.manifests, world_size=parts.world.world_size)
    tracker.set_tags(parts.throughput.tags())
    return tracker


def run(config: PretrainConfig, *, local_rank: int | None = None) -> int:
    """Train from start or from the last checkpoint; gives the exit code of this rank."""
    with World.from_environment(local_rank=local_rank) as world, StopSignal(world) as stop:
        output_dir = config.run.output_dir
        if world.is_main:
            output_dir.mkdir(parents=True, exist_ok=True)
        parts = build_parts(config, world)
        state = train(config, parts, stop)
        parts.engine.close()
        if state.step >= config.total_steps:
            return EXIT_DONE
        logger.warning(
            "stopped at step=%d of %d; run again to go on", state.step, config.total_steps
        )
        world.barrier()  # the launcher ends the other ranks once one has ended
        return EXIT_STOPPED


def main(words: Sequence[str], *, local_rank: int | None) -> int:
    """The verb `train`: CONFIG.yaml and overrides; gives the exit code of this rank."""
    parser = argparse.ArgumentParser(
        prog="python -m pretrain train",
        description="Train from the start, or go on from the last checkpoint in run.output_dir.",
    )
    parser.add_argument("config", help="YAML file of the run")
    parser.add_argument("overrides", nargs="*", help="section.field=value", metavar="OVERRIDE")
    found = parser.parse_args(words)
    config = load_config(PretrainConfig, found.config, found.overrides)
    return run(config, local_rank=local_rank)
