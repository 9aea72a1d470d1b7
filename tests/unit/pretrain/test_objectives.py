"""The loss at its door: summed, in fp32, over the targets that count."""

import math

import torch
from torch import Tensor

from pretrain.objectives import CausalLmConfig
from pretrain.records import IGNORE_INDEX, Batch


def _batch(targets: Tensor) -> Batch:
    return Batch(
        input_ids=torch.zeros_like(targets),
        targets=targets,
        segment_ids=torch.ones_like(targets, dtype=torch.int32),
        num_targets=int((targets != IGNORE_INDEX).sum()),
    )


def test_sums_the_nats_of_targets_that_count() -> None:
    logits = torch.zeros(2, 3, 8, dtype=torch.bfloat16)
    targets = torch.tensor([[1, IGNORE_INDEX, 3], [IGNORE_INDEX, 2, 7]])
    nll = CausalLmConfig().build()(lambda _ids, _segments: logits, _batch(targets))
    assert nll.dtype == torch.float32
    assert nll.shape == ()
    assert nll.item() == torch.tensor(4 * math.log(8)).item()


def test_nothing_to_predict_is_zero_with_zero_gradient() -> None:
    logits = torch.randn(1, 2, 8, requires_grad=True)
    targets = torch.full((1, 2), IGNORE_INDEX)
    nll = CausalLmConfig().build()(lambda _ids, _segments: logits, _batch(targets))
    nll.backward()  # type: ignore[no-untyped-call] # torch's
    assert nll.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_hands_the_segments_to_the_model() -> None:
    given: list[Tensor] = []

    def model(input_ids: Tensor, segment_ids: Tensor) -> Tensor:
        given.append(segment_ids)
        return torch.zeros(*input_ids.shape, 8)

    batch = _batch(torch.zeros(1, 2, dtype=torch.long))
    CausalLmConfig().build()(model, batch)
    assert given[0] is batch.segment_ids
