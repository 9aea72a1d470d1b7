"""Text from a model, token by token, with the keys and values of past tokens kept.

Temperature, then top-k, then top-p (Holtzman et al. 2020, section 3.1), in that order as
transformers has it. Draws come from a CPU generator, so a seed gives the same text on any device
whose logits agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from contracts.config import Config
from contracts.errors import ConfigError
from contracts.tokenizer import Tokenizer


class GenerateConfig(Config):
    """How the next token is chosen."""

    max_new_tokens: PositiveInt = 100
    """Most tokens behind the prompt; generation stops earlier at the end-of-text token."""
    temperature: NonNegativeFloat = 1.0
    """Divides the logits; 0 takes the most likely token each time (greedy)."""
    top_k: PositiveInt | None = None
    """Only the k most likely tokens; None: off."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    """Only the fewest tokens whose probabilities sum to p; None: off."""
    seed: int = 0
    """Of the draws; no effect when greedy."""
    use_cache: bool = True
    """Keep keys and values instead of reading the whole text for each token."""


class GenerativeModel(Protocol):
    """What generation asks of a model."""

    @property
    def max_seq_len(self) -> int:
        """Longest text in tokens."""
        ...

    def new_cache(self, *, batch_size: int, max_tokens: int) -> Any:
        """An empty cache to pass as `cache`."""
        ...

    def __call__(
        self, input_ids: Tensor, segment_ids: Tensor | None = None, cache: Any = None
    ) -> Tensor:
        """Logits (B, T, V) of the token behind each of `input_ids`."""
        ...

    def parameters(self) -> Iterator[Tensor]:
        """Its weights; the first says where it is."""
        ...

    def eval(self) -> Any:
        """No dropout from now on."""
        ...


@dataclass(frozen=True)
class Generation:
    """A prompt and what the model made of it."""

    prompt_ids: tuple[int, ...]
    new_ids: tuple[int, ...]
    """With the end-of-text token where it ended itself."""
    text: str
    """Of the new tokens."""
    is_finished: bool
    """Whether the model ended the text itself."""


def generate(
    model: GenerativeModel, tokenizer: Tokenizer, prompt: str, config: GenerateConfig
) -> Generation:
    """Continue `prompt`; puts the model into evaluation mode.

    Raises:
        ConfigError: the prompt has no token, or is too long for the model with the tokens to come.
    """
    prompt_ids = [int(token) for token in tokenizer.encode(prompt)]
    if not prompt_ids:
        raise ConfigError("prompt is empty; give at least one character to continue")
    if len(prompt_ids) + config.max_new_tokens > model.max_seq_len:
        raise ConfigError(
            f"prompt of {len(prompt_ids)} tokens + max_new_tokens={config.max_new_tokens} exceed "
            f"model.max_seq_len={model.max_seq_len}; shorten either"
        )
    model.eval()
    new_ids = tuple(
        _new_tokens(
            model, prompt_ids, config, eot_id=tokenizer.spec.eot_id, vocab=tokenizer.spec.vocab_size
        )
    )
    return Generation(
        prompt_ids=tuple(prompt_ids),
        new_ids=new_ids,
        text=tokenizer.decode(new_ids),
        is_finished=new_ids[-1] == tokenizer.spec.eot_id,
    )


def _new_tokens(
    model: GenerativeModel,
    prompt_ids: list[int],
    config: GenerateConfig,
    *,
    eot_id: int,
    vocab: int,
) -> Iterator[int]:
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(config.seed)
    max_tokens = len(prompt_ids) + config.max_new_tokens
    cache = model.new_cache(batch_size=1, max_tokens=max_tokens) if config.use_cache else None
    ids = torch.tensor([prompt_ids], device=device)  # (1, T)
    unread = ids
    for _ in range(config.max_new_tokens):
        with torch.inference_mode():
            logits = model(unread, cache=cache)[0, -1, :vocab]  # (V,), without padding of the head
        token = next_token(logits.float().cpu(), config, generator)
        yield token
        if token == eot_id:
            return
        new = torch.tensor([[token]], device=device)
        ids = torch.cat((ids, new), dim=1)
        unread = new if config.use_cache else ids


def next_token(logits: Tensor, config: GenerateConfig, generator: torch.Generator) -> int:
    """One token drawn by its logits (V,) fp32."""
    if config.temperature == 0:
        return int(logits.argmax())
    logits = logits / config.temperature
    if config.top_k is not None and config.top_k < len(logits):
        threshold = logits.topk(config.top_k).values[-1]
        logits = logits.masked_fill(logits < threshold, float("-inf"))
    if config.top_p is not None:
        ordered, order = logits.sort(descending=True)
        before = ordered.softmax(dim=0).cumsum(dim=0) - ordered.softmax(dim=0)
        logits = logits.index_fill(0, order[before >= config.top_p], float("-inf"))
    return int(torch.multinomial(logits.softmax(dim=0), 1, generator=generator))
