"""The loss at its door: summed, in fp32, over the targets that count."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pretrain.objectives import CausalLmConfig, causal_lm
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
    assert nll.item() == pytest.approx(4 * math.log(8))


def test_nothing_to_predict_is_zero_with_zero_gradient() -> None:
    logits = torch.randn(1, 2, 8, requires_grad=True)
    targets = torch.full((1, 2), IGNORE_INDEX)
    nll = CausalLmConfig().build()(lambda _ids, _segments: logits, _batch(targets))
    nll.backward()  # type: ignore[no-untyped-call] # torch's
    assert nll.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_rows", [5, 64, 1000])
def test_in_chunks_it_is_the_cross_entropy_and_its_gradient(
    dtype: torch.dtype, num_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(causal_lm.CHUNK_ELEMENTS, "cpu", 33 * num_rows)
    torch.manual_seed(0)
    targets = torch.randint(33, (64,))
    targets[::5] = IGNORE_INDEX
    values = (3 * torch.randn(64, 33)).to(dtype)
    results = []
    for summed in (causal_lm.summed_nll, _naive):
        logits = values.clone().requires_grad_()
        nll = summed(logits, targets)
        (nll * 0.3).backward()  # type: ignore[no-untyped-call] # torch's
        results.append((nll, logits.grad))
    (nll, gradient), (naive_nll, naive_gradient) = results
    torch.testing.assert_close(nll, naive_nll, rtol=1e-6, atol=0)
    tolerance = 1e-6 if dtype == torch.float32 else 8e-3  # two roundings to bf16
    torch.testing.assert_close(gradient, naive_gradient, rtol=tolerance, atol=1e-7)


def _naive(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits.float(), targets, ignore_index=IGNORE_INDEX, reduction="sum")


def test_without_gradients_only_the_sum_is_computed() -> None:
    logits = torch.zeros(4, 8)
    nll = causal_lm.summed_nll(logits, torch.arange(4))
    assert nll.item() == pytest.approx(4 * math.log(8))
    assert not nll.requires_grad


def test_the_gradient_is_given_once() -> None:
    nll = causal_lm.summed_nll(torch.zeros(4, 8, requires_grad=True), torch.arange(4))
    nll.backward(retain_graph=True)  # type: ignore[no-untyped-call] # torch's
    with pytest.raises(AssertionError, match="already taken"):
        nll.backward()  # type: ignore[no-untyped-call] # torch's


def test_hands_the_segments_to_the_model() -> None:
    given: list[Tensor] = []

    def model(input_ids: Tensor, segment_ids: Tensor) -> Tensor:
        given.append(segment_ids)
        return torch.zeros(*input_ids.shape, 8)

    batch = _batch(torch.zeros(1, 2, dtype=torch.long))
    CausalLmConfig().build()(model, batch)
    assert given[0] is batch.segment_ids
