"""One rank of test_engines: trains the same small model under each engine and prints what it saw.

`python -m tests.numerics.engine_losses KIND:ZERO_STAGE:MICRO_BATCH_SIZE:PRECISION ...`
"""

import json
import sys
from typing import cast

import torch

from pretrain.distributed import World
from pretrain.engine import DeepSpeedEngineConfig, TorchEngineConfig, build_engine
from pretrain.engine.protocol import Engine
from pretrain.model import TransformerConfig
from pretrain.objectives import CausalLmConfig, Objective
from pretrain.optim import AdamWConfig
from pretrain.records import IGNORE_INDEX, Batch

GLOBAL_BATCH_SIZE = 8
SEQ_LEN = 16
VOCAB_SIZE = 64
STEPS = 6


def make_rows(step: int) -> Batch:
    """The global batch of a step, two in turn; rows have unequal numbers of targets."""
    generator = torch.Generator().manual_seed(step % 2)
    tokens = torch.randint(0, VOCAB_SIZE, (GLOBAL_BATCH_SIZE, SEQ_LEN + 1), generator=generator)
    targets = tokens[:, 1:].clone()
    for row in range(GLOBAL_BATCH_SIZE):
        targets[row, SEQ_LEN - 2 * row :] = IGNORE_INDEX
    segments = torch.ones(GLOBAL_BATCH_SIZE, SEQ_LEN, dtype=torch.int32)
    return Batch(tokens[:, :-1], targets, segments, int((targets != IGNORE_INDEX).sum()))


def micro_batches(step: int, micro_batch_size: int, world: World) -> list[Batch]:
    """This rank's part of a step."""
    whole = make_rows(step)
    starts = range(0, GLOBAL_BATCH_SIZE, micro_batch_size)
    own = []
    for start in list(starts)[world.rank :: world.world_size]:
        rows = slice(start, start + micro_batch_size)
        targets = whole.targets[rows]
        own.append(
            Batch(
                whole.input_ids[rows],
                targets,
                whole.segment_ids[rows],
                int((targets != IGNORE_INDEX).sum()),
            )
        )
    return own


def make_engine(case: str, world: World) -> Engine:
    """The same weights every time, under another engine."""
    kind, stage, micro_batch_size, precision = case.split(":")
    torch.manual_seed(0)
    model = TransformerConfig(
        vocab_size=VOCAB_SIZE,
        d_model=32,
        num_layers=2,
        num_heads=2,
        d_ff=64,
        max_seq_len=SEQ_LEN,
        tied_embeddings=True,
    ).build()
    settings = {"precision": precision, "gradient_clipping": 0.5}
    config = (
        TorchEngineConfig.model_validate(settings)
        if kind == "torch"
        else DeepSpeedEngineConfig.model_validate(
            settings | {"zero_stage": int(stage), "stage3_persistence_elements": 64}
        )
    )
    return build_engine(
        config,
        model,
        AdamWConfig(lr=1e-2).build(model),
        world=world,
        micro_batch_size=int(micro_batch_size),
        grad_accum_steps=GLOBAL_BATCH_SIZE // (int(micro_batch_size) * world.dp_world_size),
    )


def losses_of(engine: Engine, micro_batch_size: int, world: World) -> list[tuple[float, float]]:
    """Loss and gradient norm of each step."""
    objective = cast(Objective, CausalLmConfig().build())  # an engine is called as a model is
    seen = []
    for step in range(STEPS):
        engine.set_lr(1e-2 / (step + 1))
        total = engine.zeros(())
        num_targets = make_rows(step).num_targets
        for batch in micro_batches(step, micro_batch_size, world):
            nll = objective(engine, batch.to(engine.device))
            engine.backward(nll * (world.dp_world_size / num_targets))
            engine.step()
            total += nll.detach()
        seen.append((world.sum(total.item()) / num_targets, engine.grad_norm()))
    return seen


def main() -> None:
    with World.from_environment() as world:
        for case in sys.argv[1:]:
            engine = make_engine(case, world)
            seen = losses_of(engine, int(case.split(":")[2]), world)
            weights = engine.full_state_dict()
            norm = sum(float(w.double().square().sum()) for w in weights.values()) ** 0.5
            engine.close()
            if world.is_main:
                result = {"case": case, "seen": seen, "weight_norm": norm}
                sys.stdout.write("RESULT " + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
