"""Refuses documents that a linear model takes for poor ones, after Li et al. 2024 (DCLM).

The model is in the manner of fastText (Joulin et al. 2017): the weights of a text's words and pairs
of neighbouring words, hashed into one table, are averaged, and a logistic function makes a score
between 0 and 1 of that. Deviation: the weights are the logistic regression's own, without an
embedding between them, so that the table is one number a bucket and training is a convex problem.
`python -m data_pipeline train-quality` makes the file; `fasttext_model` scores with fastText's own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from contracts import storage
from contracts.config import Config, Json
from contracts.errors import DataError
from data_pipeline.filters.entry_files import versions
from data_pipeline.filters.protocol import BELOW, RuleSpec, first_broken, rules_of
from data_pipeline.filters.text_view import TextView
from data_pipeline.normal_text import HashArray, NgramHashes
from data_pipeline.records import Measures, Verdict

FORMAT = "headwater-quality-1"
HEADER = "headwater"
"""Entry of the file's metadata that holds the facts about it, as JSON."""
HEADER_LENGTH_BYTES = 8
"""A safetensors file begins with the length of its JSON header, little-endian."""


class QualityModelConfig(Config):
    """Which model, and from which score on a document is kept."""

    kind: Literal["quality_model"] = "quality_model"
    sources: tuple[str, ...] | None = None
    """Names of the sources it judges; None: all."""
    model_path: str
    """A file that `train-quality` wrote."""
    min_score: float | None = Field(default=0.5, ge=0.0, le=1.0)
    """A lower score is refused; None: only measured."""

    def input_files(self) -> tuple[str, ...]:
        """The model's file."""
        return (self.model_path,)

    def build(self) -> "QualityModelFilter":
        """The filter."""
        return QualityModelFilter(self)


_RULES = (RuleSpec("score", BELOW, "min_score", "low_quality"),)


class QualityModelFilter:
    """A document's score; the model is read when the first document comes."""

    stage = "quality_model"
    thresholds = frozenset(spec.field for spec in _RULES)

    def __init__(self, config: QualityModelConfig) -> None:
        self._path = config.model_path
        self._model: QualityModel | None = None
        self.rules = rules_of(config, _RULES)

    def measure(self, view: TextView) -> dict[str, float | str]:
        if self._model is None:
            self._model = _read(*versions([self._path])[0])
        return {"score": self._model.score(view.word_hashes)}

    def decide(self, measures: Measures) -> Verdict:
        return first_broken(self.stage, self.rules, measures)


@dataclass(frozen=True)
class QualityModel:
    """Weights of hashed words and word pairs, and a bias."""

    weights: npt.NDArray[np.float32]
    """(2**bits,)"""
    bias: float
    max_words: int
    """How many words of a text's beginning count."""

    @property
    def bits(self) -> int:
        """Of the table."""
        return len(self.weights).bit_length() - 1

    def score(self, words: HashArray) -> float:
        """Between 0 (poor) and 1 (good), of a text given as hashes of its words."""
        places = features(words[: self.max_words], self.bits)
        mean = float(self.weights[places].mean(dtype=np.float64)) if len(places) else 0.0
        return float(logistic(np.float64(mean + self.bias)))


def features(words: HashArray, bits: int) -> npt.NDArray[np.int64]:
    """(2N - 1,) buckets of a text's words and pairs of neighbours; (0,) without words."""
    mask = np.uint64((1 << bits) - 1)
    pairs = NgramHashes(words).of(2)
    return (np.concatenate([words, pairs]) & mask).view(np.int64)


def logistic(values: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), dtype=np.float64)


def write_model(url: str, model: QualityModel, facts: Mapping[str, Json]) -> None:
    """Save a model as safetensors, with facts about it in the header."""
    tensors: dict[str, npt.NDArray[Any]] = {
        "weights": model.weights,
        "bias": np.array([model.bias], dtype=np.float64),
    }
    header = {"format": FORMAT, "max_words": model.max_words, **facts}
    # One entry: safetensors writes several in an order that changes from run to run.
    storage.write_bytes(url, save(tensors, {HEADER: json.dumps(header)}))


def read_model(url: str) -> QualityModel:
    """A model that `write_model` saved.

    Raises:
        DataError: the file is missing, torn or something else.
    """
    data = storage.read_bytes(url)
    try:
        tensors = load(data)
        size = int.from_bytes(data[:HEADER_LENGTH_BYTES], "little")
        header = json.loads(data[HEADER_LENGTH_BYTES : HEADER_LENGTH_BYTES + size])
        facts = json.loads(header.get("__metadata__", {}).get(HEADER, "{}"))
        if facts.get("format") != FORMAT:
            raise ValueError(f"its format is {facts.get('format')!r}, expected {FORMAT!r}")
        weights = tensors["weights"].astype(np.float32)
        return QualityModel(weights, float(tensors["bias"][0]), int(facts["max_words"]))
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(
            f"{url} is not a quality model: {error}; give a file that train-quality wrote (a "
            "fastText model goes into the filter fasttext_model)"
        ) from error


# A memo of a pure function of the file's version: units of one process share what was read.
@lru_cache(maxsize=4)
def _read(url: str, version: str) -> QualityModel:
    del version  # it is in the key, so that a changed model is read again
    return read_model(url)
