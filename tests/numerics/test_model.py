"""The decoder's gradients are right, and each family learns."""

import pytest
import torch
from torch import Tensor

from pretrain.model import Transformer
from pretrain.objectives import CausalLmConfig
from pretrain.optim import AdamWConfig
from pretrain.records import IGNORE_INDEX, Batch
from tests.unit.pretrain.model_configs import VARIANTS, tiny


def packed_batch(vocab_size: int) -> Batch:
    """Two rows: two documents and padding, one document."""
    torch.manual_seed(0)
    input_ids = torch.randint(vocab_size, (2, 12))
    segment_ids = torch.tensor([[1] * 5 + [2] * 4 + [0] * 3, [1] * 12], dtype=torch.int32)
    targets = input_ids.roll(-1, dims=1)
    targets[0, [4, 8, 9, 10, 11]] = IGNORE_INDEX
    targets[1, 11] = IGNORE_INDEX
    return Batch(input_ids, targets, segment_ids, int((targets != IGNORE_INDEX).sum()))


def double_nll(model: Transformer, batch: Batch) -> Tensor:
    """The objective in fp64 (it computes in fp32 itself)."""
    log_probabilities: Tensor = model(batch.input_ids, batch.segment_ids).log_softmax(dim=-1)
    counted = batch.targets != IGNORE_INDEX
    chosen = log_probabilities[counted].gather(1, batch.targets[counted][:, None])
    return -chosen.sum()


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_finite_differences(variant: str) -> None:
    config = tiny(variant, d_model=16, num_heads=2, num_kv_heads=1, d_ff=12, vocab_size=19)
    batch = packed_batch(config.vocab_size)
    model = config.build().double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.05, std=0.3)
    double_nll(model, batch).backward()  # type: ignore[no-untyped-call] # torch's
    epsilon = 1e-5
    for name, parameter in model.named_parameters():
        direction = torch.randn_like(parameter)
        assert parameter.grad is not None
        expected = (parameter.grad * direction).sum()
        with torch.no_grad():
            parameter.add_(direction, alpha=epsilon)
            above = double_nll(model, batch)
            parameter.add_(direction, alpha=-2 * epsilon)
            below = double_nll(model, batch)
            parameter.add_(direction, alpha=epsilon)
        found = (above - below) / (2 * epsilon)
        # keys' biases shift all scores of a query alike, so their gradient is zero up to rounding
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_of_the_objective_is_that_of_the_formula(variant: str) -> None:
    config = tiny(variant)
    batch = packed_batch(config.vocab_size)
    model = config.build()
    nll = CausalLmConfig().build()(model, batch)
    expected = double_nll(model.double(), batch)
    torch.testing.assert_close(nll.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_packed_row_has_the_gradients_of_its_documents(variant: str) -> None:
    """Two documents in one row weigh on the weights as the same two in rows of their own."""
    config = tiny(variant)
    model = config.build()
    objective = CausalLmConfig().build()
    tokens = torch.randint(config.vocab_size, (2, 9))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    apart = Batch(inputs, targets, torch.ones(2, 8, dtype=torch.int32), 16)
    segments = torch.tensor([[1] * 8 + [2] * 8], dtype=torch.int32)
    packed = Batch(inputs.reshape(1, -1), targets.reshape(1, -1), segments, 16)
    gradients = []
    for batch in (apart, packed):
        model.zero_grad()
        objective(model, batch).backward()  # type: ignore[no-untyped-call] # torch's
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_learns_one_batch_by_heart(variant: str) -> None:
    torch.manual_seed(0)
    config = tiny(variant)
    batch = packed_batch(config.vocab_size)
    model = config.build()
    optimizer = AdamWConfig(lr=5e-3).build(model)
    objective = CausalLmConfig().build()
    losses = []
    for _ in range(60):
        loss = objective(model, batch) / batch.num_targets
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(4.11, abs=0.6)  # ln 61
    assert losses[-1] < 0.1


def test_bf16_autocast_stays_near_fp32() -> None:
    config = tiny("llama")
    batch = packed_batch(config.vocab_size)
    model = config.build()
    with torch.no_grad():
        exact = CausalLmConfig().build()(model, batch)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = CausalLmConfig().build()(model, batch)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=5e-3, atol=0)
