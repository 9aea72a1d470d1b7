"""Every kind of activation checkpointing gives the loss and gradients of none, in less memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode

from contracts.config import Json, validated
from contracts.errors import ConfigError
from pretrain.model import Transformer
from pretrain.objectives import CausalLmConfig
from pretrain.parallel.checkpointing import (
    ActivationCheckpointingConfig,
    DeepSpeedCheckpointingConfig,
    EveryKCheckpointingConfig,
    FullCheckpointingConfig,
    KeptActivations,
    NoCheckpointingConfig,
    SelectiveCheckpointingConfig,
)
from tests.numerics.test_model import packed_batch
from tests.unit.pretrain.model_configs import VARIANTS, tiny

TORCH_KINDS: list[ActivationCheckpointingConfig] = [
    FullCheckpointingConfig(),
    EveryKCheckpointingConfig(k=2),
    SelectiveCheckpointingConfig(),
]
DEEPSPEED_KINDS: list[ActivationCheckpointingConfig] = [
    DeepSpeedCheckpointingConfig(),
    DeepSpeedCheckpointingConfig(partition_activations=True),
    DeepSpeedCheckpointingConfig(partition_activations=True, cpu_checkpointing=True),
    DeepSpeedCheckpointingConfig(partition_activations=True, contiguous_memory=True),
]


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of this process alone, as DeepSpeed asks for its rank."""
    import deepspeed

    store = tmp_path_factory.mktemp("group") / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False, verbose=False)
    yield
    dist.destroy_process_group()


def loss_and_gradients(
    variant: str, checkpointing: ActivationCheckpointingConfig, *, num_steps: int = 1
) -> tuple[float, list[torch.Tensor]]:
    torch.manual_seed(0)
    config = tiny(variant, num_layers=4, dropout=0.1)
    model = config.build(checkpointing.build(num_layers=config.num_layers))
    loss = 0.0
    for _ in range(num_steps):
        nll = CausalLmConfig().build()(model, packed_batch(config.vocab_size))
        nll.backward()  # type: ignore[no-untyped-call] # torch's
        loss += nll.item()
    return loss, [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("checkpointing", TORCH_KINDS, ids=lambda config: config.kind)
def test_changes_neither_loss_nor_gradients(
    variant: str, checkpointing: ActivationCheckpointingConfig
) -> None:
    expected_loss, expected = loss_and_gradients(variant, NoCheckpointingConfig())
    loss, gradients = loss_and_gradients(variant, checkpointing)
    assert loss == expected_loss
    assert len(gradients) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


@pytest.mark.parametrize("checkpointing", DEEPSPEED_KINDS, ids=str)
@pytest.mark.parametrize("variant", ["llama", "gpt2", "transformer_lm"])
@pytest.mark.usefixtures("one_rank")
def test_deepspeed_changes_neither_loss_nor_gradients(
    variant: str, checkpointing: ActivationCheckpointingConfig
) -> None:
    expected_loss, expected = loss_and_gradients(variant, NoCheckpointingConfig(), num_steps=2)
    loss, gradients = loss_and_gradients(variant, checkpointing, num_steps=2)
    assert loss == expected_loss
    assert len(gradients) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


def kept_bytes(checkpointing: ActivationCheckpointingConfig) -> int:
    config = tiny("llama", num_layers=4, d_model=64, d_ff=256)
    model = config.build(checkpointing.build(num_layers=4))
    with KeptActivations() as kept:
        out = model(torch.zeros(2, 32, dtype=torch.long))
    held = kept.num_bytes() - out.untyped_storage().nbytes()
    return int(held)


@pytest.mark.parametrize("is_fake", [False, True])
def test_memory_falls_in_order_of_the_kinds(is_fake: bool) -> None:
    kinds: list[ActivationCheckpointingConfig] = [
        NoCheckpointingConfig(),
        SelectiveCheckpointingConfig(),
        EveryKCheckpointingConfig(k=2),
        FullCheckpointingConfig(),
    ]
    if is_fake:
        with FakeTensorMode():
            sizes = [kept_bytes(kind) for kind in kinds]
    else:
        sizes = [kept_bytes(kind) for kind in kinds]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 3


def test_counts_what_autograd_keeps() -> None:
    x = torch.ones(10, requires_grad=True)
    with KeptActivations() as kept:
        y = (x * 2).exp()  # exp keeps its result; the product is freed
        total = y.sum()
    del y
    assert kept.num_bytes() == 40 + 4
    del total
    assert kept.num_bytes() == 0


def test_without_gradients_nothing_is_checkpointed() -> None:
    calls: list[int] = []

    def checkpoint(layer: int, function: object, /, *args: object) -> torch.Tensor:
        calls.append(layer)
        return function(*args)  # type: ignore[operator, no-any-return] # a block

    model = Transformer(tiny("llama"), checkpoint)
    ids = torch.zeros(1, 4, dtype=torch.long)
    with torch.no_grad():
        model(ids)
    assert calls == []
    model(ids)
    assert calls == [0, 1]


@pytest.mark.parametrize("field", ["cpu_checkpointing", "contiguous_memory"])
def test_deepspeed_variants_need_partitioning(field: str) -> None:
    tree: dict[str, Json] = {"kind": "deepspeed", field: True}
    with pytest.raises(ConfigError, match=rf"{field}=true needs partition_activations=true"):
        validated(DeepSpeedCheckpointingConfig, tree, where="test")


def test_refuses_k_beyond_the_layers() -> None:
    with pytest.raises(ConfigError, match=r"activation_checkpointing.k=5 exceeds .*num_layers=4"):
        EveryKCheckpointingConfig(k=5).build(num_layers=4)


def test_config_does_not_load_deepspeed(root: Path) -> None:
    import subprocess
    import sys

    code = "import sys, pretrain.parallel.checkpointing; sys.exit('deepspeed' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
