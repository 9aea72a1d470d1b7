"""The decoder at its door: sizes, masks, refusals."""

import pytest
import torch
from torch import nn

from contracts.config import Json, validated
from contracts.errors import CheckpointError, ConfigError
from pretrain.model import KVCache, ModelConfig, TransformerConfig, load_weights
from pretrain.model.rope import document_positions
from tests.unit.pretrain.model_configs import VARIANTS, tiny


@pytest.mark.parametrize("variant", VARIANTS)
def test_gives_one_logit_row_for_each_token(variant: str) -> None:
    config = tiny(variant)
    logits = config.build()(torch.randint(config.vocab_size, (2, 7)))
    assert logits.shape == (2, 7, config.vocab_size)


@pytest.mark.parametrize("variant", VARIANTS)
def test_documents_of_a_row_get_no_gradient_from_each_other(variant: str) -> None:
    model = tiny(variant).build()
    seen: list[torch.Tensor] = []

    def keep(_module: nn.Module, _args: object, out: torch.Tensor) -> None:
        out.retain_grad()
        seen.append(out)

    handle = model.embedding.register_forward_hook(keep)
    segment_ids = torch.tensor([[1] * 5 + [2] * 4 + [0] * 3, [1] * 12])
    logits = model(torch.randint(model.config.vocab_size, (2, 12)), segment_ids)
    logits[0, 5:9].square().sum().backward()
    handle.remove()
    reached = seen[0].grad.abs().sum(dim=-1) > 0  # type: ignore[union-attr] # retained above
    assert reached[0].tolist() == [False] * 5 + [True] * 4 + [False] * 3
    assert not reached[1].any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_packed_document_gives_the_logits_it_gives_alone(variant: str) -> None:
    model = tiny(variant).build()
    first, second = torch.randint(model.config.vocab_size, (12,)).tensor_split([5])
    packed = model(torch.cat((first, second))[None], torch.tensor([[1] * 5 + [2] * 7]))[0]
    torch.testing.assert_close(packed[:5], model(first[None])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[5:], model(second[None])[0], atol=1e-5, rtol=0)


def test_without_document_mask_segment_ids_change_nothing() -> None:
    model = tiny("llama", document_mask=False).build()
    ids = torch.randint(model.config.vocab_size, (1, 8))
    segment_ids = torch.tensor([[1, 1, 1, 2, 2, 2, 2, 2]])
    assert torch.equal(model(ids, segment_ids), model(ids))


def test_padding_behind_one_document_does_not_change_it() -> None:
    model = tiny("llama").build()
    ids = torch.randint(model.config.vocab_size, (1, 8))
    padded = model(ids, torch.tensor([[1] * 6 + [0] * 2]))
    torch.testing.assert_close(padded[:, :6], model(ids[:, :6]), atol=1e-6, rtol=0)


def test_positions_restart_at_each_document() -> None:
    segment_ids = torch.tensor([[1, 1, 1, 2, 2, 0], [3, 4, 4, 4, 4, 4]])
    assert document_positions(segment_ids).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 1, 2, 3, 4]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_reading_in_pieces_through_the_cache_equals_reading_at_once(variant: str) -> None:
    model = tiny(variant).build().eval()
    ids = torch.randint(model.config.vocab_size, (2, 11))
    cache = KVCache(model.config, batch_size=2, max_tokens=11)
    with torch.no_grad():
        pieces = [model(part, cache=cache) for part in ids.tensor_split([5, 6, 7], dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), atol=1e-5, rtol=0)


def test_counts_parameters_as_they_are() -> None:
    for variant in VARIANTS:
        config = tiny(variant)
        model = config.build()
        assert config.num_parameters() == sum(p.numel() for p in model.parameters())
    # d_model 32, 4 heads of 8, 2 kv heads, d_ff 48, 2 layers, vocabulary 61
    per_layer = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48
    assert tiny("llama").matmul_parameters() == 2 * per_layer + 32 * 61
    assert tiny("llama").num_parameters() == 2 * (per_layer + 64) + 32 + 2 * 32 * 61


def test_meta_device_holds_no_memory() -> None:
    with torch.device("meta"):
        model = tiny("gpt2").build()
    assert all(parameter.is_meta for parameter in model.parameters())


def test_scaled_init_shrinks_the_ends_of_branches() -> None:
    torch.manual_seed(0)
    model = tiny("llama", d_model=128, d_ff=256, num_layers=8).build()
    ends = torch.cat([p.flatten() for n, p in model.named_parameters() if "down.weight" in n])
    others = torch.cat([p.flatten() for n, p in model.named_parameters() if "up.weight" in n])
    assert ends.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert others.std().item() == pytest.approx(0.02, rel=0.05)


def test_dropout_acts_in_training_only() -> None:
    model = tiny("gpt2", dropout=0.5).build()
    ids = torch.randint(model.config.vocab_size, (1, 8))
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_heads": 5, "num_kv_heads": None}, "d_model=32 is not a multiple of num_heads=5"),
        ({"num_kv_heads": 3}, "num_heads=4 is not a multiple of num_kv_heads=3"),
        ({"head_dim": 7}, "head_dim=7 is odd, and positions=rope rotates pairs"),
        ({"positions": "learned", "rope_theta": 5e5}, "rope_theta=500000.0 has no effect"),
        ({"positions": "sinusoidal", "d_model": 33, "head_dim": 8}, "d_model=33 is odd"),
        ({"dropout": 1.0}, "less than 1"),
        ({"d_model": 8.0}, "valid integer"),
        ({"colour": "blue"}, "Extra inputs are not permitted"),
    ],
)
def test_refuses_sizes_that_do_not_fit(fields: dict[str, Json], message: str) -> None:
    tree: dict[str, Json] = {**tiny("llama").model_dump(mode="json", exclude_unset=True), **fields}
    with pytest.raises(ConfigError, match=message):
        validated(ModelConfig, tree, where="test")


def test_refuses_rows_beyond_max_seq_len() -> None:
    config = tiny("llama")
    model = config.build()
    with pytest.raises(ConfigError, match=r"row of 33 tokens exceeds model.max_seq_len=32"):
        model(torch.zeros(1, 33, dtype=torch.long))


def test_loads_weights_with_or_without_the_tied_head() -> None:
    config = tiny("gpt2")
    source, target = config.build(), config.build()
    load_weights(target, source.state_dict(), where="test")
    load_weights(target, dict(source.named_parameters()), where="test")
    assert all(
        torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True)
    )


def test_refuses_weights_of_another_model() -> None:
    weights: dict[str, torch.Tensor] = dict(tiny("llama").build().named_parameters())
    with pytest.raises(CheckpointError, match=r"head.weight: \(61, 32\) there, \(62, 32\) here"):
        load_weights(tiny("llama", vocab_size=62).build(), weights, where="here")
    del weights["head.weight"]
    weights["foot.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"foot.weight: \(1,\) there, unknown here; head"):
        load_weights(tiny("llama").build(), weights, where="here")


def test_config_knows_its_resolved_sizes() -> None:
    config = TransformerConfig(
        vocab_size=8, d_model=12, num_layers=1, num_heads=3, d_ff=8, max_seq_len=8
    )
    assert (config.kv_heads, config.head_width, config.attention_width) == (3, 4, 12)
