"""One rank of test_checkpointing_ranks: trains a small model with each kind of checkpointing.

`python -m tests.numerics.checkpointing_losses ZERO_STAGE ...`
"""

import json
import sys
from typing import cast

import torch
from pydantic import TypeAdapter

from pretrain.distributed import World
from pretrain.engine import DeepSpeedEngineConfig, build_engine
from pretrain.engine.protocol import Engine
from pretrain.objectives import CausalLmConfig, Objective
from pretrain.optim import AdamWConfig
from pretrain.parallel.checkpointing import ActivationCheckpointingConfig
from tests.numerics.test_model import packed_batch
from tests.unit.pretrain.model_configs import tiny

KINDS: list[dict[str, object]] = [
    {"kind": "none"},
    {"kind": "full"},
    {"kind": "every_k", "k": 2},
    {"kind": "selective"},
    {"kind": "deepspeed"},
    {"kind": "deepspeed", "partition_activations": True, "cpu_checkpointing": True},
]
STEPS = 3


def make_engine(stage: int, kind: dict[str, object], world: World) -> Engine:
    """The same weights every time, under another kind of checkpointing."""
    adapter: TypeAdapter[ActivationCheckpointingConfig] = TypeAdapter(ActivationCheckpointingConfig)
    checkpointing = adapter.validate_python(kind)
    torch.manual_seed(0)
    config = tiny("llama_tied_bias", num_layers=3)
    model = config.build(checkpointing.build(num_layers=config.num_layers))
    engine = DeepSpeedEngineConfig.model_validate(
        {"zero_stage": stage, "precision": "fp32", "stage3_persistence_elements": 64}
    )
    optimizer = AdamWConfig(lr=1e-2).build(model)
    return build_engine(
        engine, model, optimizer, world=world, micro_batch_size=2, grad_accum_steps=1
    )


def losses_of(engine: Engine) -> list[float]:
    """Loss of each step on the same rows, then the gradient's norm."""
    objective = cast(Objective, CausalLmConfig().build())
    batch = packed_batch(tiny("llama").vocab_size)
    seen = []
    for _ in range(STEPS):
        nll = objective(engine, batch)
        engine.backward(nll / batch.num_targets)
        engine.step()
        seen += [nll.item(), engine.grad_norm()]
    return seen


def main() -> None:
    with World.from_environment() as world:
        for stage in sys.argv[1:]:
            for kind in KINDS:
                engine = make_engine(int(stage), kind, world)
                seen = losses_of(engine)
                engine.close()
                if world.is_main:
                    result = {"stage": stage, "kind": kind, "seen": seen}
                    sys.stdout.write("RESULT " + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
