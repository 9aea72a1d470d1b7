"""Refuses documents by the labels of fastText models: toxicity, adult content, quality.

The models are the user's (Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification");
none is shipped. Each reads the beginning of the text on one line, as fastText was trained to.
"""

from functools import lru_cache
from mmap import ACCESS_READ, mmap
from typing import Literal, Protocol, cast

import fasttext
from pydantic import Field, PositiveInt, model_validator

from contracts import storage
from contracts.config import Config
from contracts.errors import ConfigError
from data_pipeline.filters.entry_files import versions
from data_pipeline.filters.protocol import ABOVE, BELOW, Rule, first_broken
from data_pipeline.filters.text_view import TextView
from data_pipeline.records import Measures, Verdict


class LabelConfig(Config):
    """One model, one of its labels, and how likely it may or must be."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the measure, and the reason of a drop: `toxic`."""
    model_path: str
    """A fastText model for classification, `.bin` or `.ftz`; a local file."""
    label: str
    """As the model has it: `__label__toxic`."""
    min_score: float | None = Field(default=None, ge=0.0, le=1.0)
    """A lower probability of the label is refused; None: off."""
    max_score: float | None = Field(default=None, ge=0.0, le=1.0)
    """A higher probability of the label is refused; None: off."""


class FasttextModelConfig(Config):
    """Models that judge a document."""

    kind: Literal["fasttext_model"] = "fasttext_model"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    models: tuple[LabelConfig, ...]
    """In the order in which they may name a drop; without thresholds a model only measures."""
    max_characters: PositiveInt = 4000
    """How much of the text's beginning the models read."""

    @model_validator(mode="after")
    def _check_names(self) -> "FasttextModelConfig":
        names = [model.name for model in self.models]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"models {names}: give at least one, and each its own name")
        return self

    def input_files(self) -> tuple[str, ...]:
        """The models' files."""
        return tuple(model.model_path for model in self.models)

    def build(self) -> "FasttextModel":
        """The filter."""
        return FasttextModel(self)


class _Model(Protocol):
    def predict(self, text: str, k: int) -> tuple[tuple[str], tuple[float]]: ...


class FasttextModel:
    """Probability of a label by each model; they are read when the first document comes."""

    stage = "fasttext_model"
    thresholds = frozenset({"models.*.min_score", "models.*.max_score"})

    def __init__(self, config: FasttextModelConfig) -> None:
        self._config = config
        self.rules = tuple(
            Rule(model.name, refuses, threshold, model.name, "models")
            for model in config.models
            for refuses, threshold in ((BELOW, model.min_score), (ABOVE, model.max_score))
            if threshold is not None
        )

    def measure(self, view: TextView) -> dict[str, float | str]:
        head = " ".join(view.text[: self._config.max_characters].split())
        return {model.name: _score(model, head) for model in self._config.models}

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)


def _score(config: LabelConfig, line: str) -> float:
    """Probability of the label, 0 to 1; 0 for a text without words."""
    model = _model(config.model_path, config.label, *versions([config.model_path])[0])
    labels, scores = model.predict(line.encode("utf-8", "replace").decode(), k=-1)
    found = dict(zip(labels, scores, strict=True)).get(config.label, 0.0)
    return min(1.0, max(0.0, float(found)))


# A memo of a pure function of the file's version: units of one process share what was read.
@lru_cache(maxsize=8)
def _model(path: str, label: str, url: str, version: str) -> _Model:
    del url, version  # they are in the key, so that a changed model is read again
    try:
        model = cast(_Model, fasttext.load_model(path))
        model.predict("a", k=1)
    except ValueError as error:
        raise ConfigError(
            f"filters.fasttext_model: model_path={path} cannot be used: {error}; give a fastText "
            "model for classification"
        ) from error
    # A model lists its labels nowhere but in its file, each ended by a zero byte.
    with storage.open_read(path) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if content.find(label.encode() + b"\0") < 0:
            raise ConfigError(
                f"filters.fasttext_model: {path} has no label {label!r}; correct the label "
                "(fastText's own begin with __label__)"
            )
    return model
