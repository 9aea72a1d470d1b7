"""Which weights decay."""

import pytest
import torch

from pretrain.optim import AdamWConfig, parameter_groups
from tests.unit.pretrain.model_configs import VARIANTS, tiny


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("decay_embeddings", [True, False])
def test_matrices_decay_and_vectors_do_not(variant: str, decay_embeddings: bool) -> None:
    model = tiny(variant).build()
    decaying, others = parameter_groups(model, weight_decay=0.1, decay_embeddings=decay_embeddings)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    found = {
        key: [names.pop(id(parameter)) for parameter in group["params"]]  # type: ignore[union-attr]
        for key, group in (("decaying", decaying), ("others", others))
    }
    assert not names, "every parameter stands in one group, once"
    assert ("embedding.weight" in found["decaying"]) == decay_embeddings
    assert all("norm" in name or "bias" in name or "embedding" in name for name in found["others"])
    assert not any("norm" in name or "bias" in name for name in found["decaying"])


def test_frozen_parameters_are_left_out() -> None:
    model = tiny("llama").build()
    model.embedding.requires_grad_(False)
    groups = parameter_groups(model, weight_decay=0.1, decay_embeddings=True)
    assert all(p is not model.embedding.weight for g in groups for p in g["params"])  # type: ignore[union-attr]


def test_builds_adamw_with_what_the_config_says() -> None:
    config = AdamWConfig(lr=1e-3, beta1=0.8, beta2=0.9, eps=1e-6, weight_decay=0.2)
    optimizer = config.build(tiny("llama").build())
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["lr"] == 1e-3
    assert optimizer.defaults["betas"] == (0.8, 0.9)
    assert optimizer.defaults["eps"] == 1e-6
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]


def test_fused_and_plain_steps_agree() -> None:
    results = []
    for fused in (True, False):
        torch.manual_seed(0)
        model = tiny("llama").build()
        optimizer = AdamWConfig(lr=1e-2, fused=fused).build(model)
        for _ in range(3):
            model(torch.arange(8)[None]).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        results.append([p.detach() for p in model.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
