"""Generation at its door."""

import pytest
import torch

from contracts.errors import ConfigError
from pretrain.generate import GenerateConfig, generate, next_token
from pretrain.model import Transformer
from tests.unit.pretrain.model_configs import VARIANTS, tiny
from tests.unit.pretrain.tokenizers import small_tokenizer


def model(family: str = "llama", *, padding: int = 0) -> Transformer:
    torch.manual_seed(3)
    built = tiny(family, vocab_size=small_tokenizer().spec.vocab_size + padding).build()
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return built


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_cache_changes_nothing(variant: str, temperature: float) -> None:
    made = [
        generate(
            model(variant),
            small_tokenizer(),
            "The river",
            GenerateConfig(max_new_tokens=10, temperature=temperature, use_cache=use_cache),
        )
        for use_cache in (True, False)
    ]
    assert made[0] == made[1]


def test_the_seed_decides() -> None:
    texts = [
        generate(model(), small_tokenizer(), "The", GenerateConfig(max_new_tokens=12, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_stops_at_the_end_of_text() -> None:
    built, tokenizer = model(), small_tokenizer()
    built.head.register_forward_hook(lambda _m, _a, out: _favour(out, tokenizer.spec.eot_id))
    made = generate(built, tokenizer, "The", GenerateConfig(max_new_tokens=5, temperature=0))
    assert made.is_finished
    assert made.new_ids == (tokenizer.spec.eot_id,)
    assert made.text == ""


def _favour(logits: torch.Tensor, token: int) -> torch.Tensor:
    out = torch.zeros_like(logits)
    out[..., token] = 9.0
    return out


def test_never_gives_an_id_of_the_padded_vocabulary() -> None:
    built, tokenizer = model(padding=16), small_tokenizer()
    built.head.register_forward_hook(lambda _m, _a, out: _favour(out, built.config.vocab_size - 1))
    made = generate(built, tokenizer, "The", GenerateConfig(max_new_tokens=8, temperature=0.5))
    assert max(made.new_ids) < tokenizer.spec.vocab_size


def test_chooses_as_the_config_says() -> None:
    logits = torch.tensor([0.5, 0.2, 0.2, 0.1]).log()

    def drawn(**fields: object) -> set[int]:
        generator = torch.Generator().manual_seed(0)
        config = GenerateConfig.model_validate(fields)
        return {next_token(logits, config, generator) for _ in range(300)}

    assert drawn(temperature=0.0) == {0}
    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_k=1) == {0}
    assert drawn(top_k=99) == {0, 1, 2, 3}
    assert drawn(top_p=0.4) == {0}
    assert drawn(top_p=0.65) == {0, 1}
    assert drawn(top_p=1.0) == {0, 1, 2, 3}
    assert drawn(temperature=0.01) == {0}


def test_temperature_shapes_the_draws() -> None:
    logits = torch.tensor([0.8, 0.2]).log()
    generator = torch.Generator().manual_seed(0)
    config = GenerateConfig(temperature=0.5)
    share = sum(next_token(logits, config, generator) == 0 for _ in range(2000)) / 2000
    assert share == pytest.approx(0.64 / 0.68, abs=0.02)


def test_refuses_empty_and_too_long_prompts() -> None:
    with pytest.raises(ConfigError, match="prompt is empty"):
        generate(model(), small_tokenizer(), "", GenerateConfig())
    with pytest.raises(ConfigError, match=r"prompt of \d+ tokens \+ max_new_tokens=100 exceed"):
        generate(model(), small_tokenizer(), "The river", GenerateConfig())


def test_dropout_is_off() -> None:
    built = model("gpt2")
    built.train()
    generate(built, small_tokenizer(), "The", GenerateConfig(max_new_tokens=1))
    assert not built.training
