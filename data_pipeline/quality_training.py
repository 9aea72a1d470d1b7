"""Trains the model of the filter `quality_model` from two folders of text: good ones, poor ones.

Logistic regression over hashed words and word pairs (filters/quality_model.py), both classes
counting alike, by L-BFGS (Nocedal 1980). Same texts, same config: same bytes. A share of the texts,
chosen by a hash of each, is held out: on it stand the accuracy, the area under the ROC curve, and
the scores from which given shares of the poor ones are kept, as DCLM chooses its threshold.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, PositiveInt

from contracts.config import Config, Json, as_tree
from contracts.errors import DataError
from data_pipeline.filters.quality_model import (
    QualityModel,
    features,
    logistic,
    write_model,
)
from data_pipeline.labelled_texts import texts_in
from data_pipeline.normal_text import normal_bytes, shingle_hashes

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
MEMORY = 10
"""Steps of L-BFGS whose curvature is remembered."""
ARMIJO = 1e-4
"""Share of the promised descent that a step must bring (Nocedal and Wright 2006, section 3.1)."""
TOLERANCE = 1e-5
"""Share of the loss by which a step must lower it, or the search ends."""
SHARES = (0.5, 0.2, 0.1, 0.05)
"""Of the held-out poor texts, for which the report gives the scores that keep so many."""


class QualityTrainingConfig(Config):
    """Two folders of text, and how the model is made of them."""

    positive: str
    """Folder of good texts: `.txt` files (each a text), `.jsonl` with a field `text`, `.parquet`
    document stores; `.gz` is unpacked."""
    negative: str
    """Folder of poor texts, or of the raw web."""
    output: str
    """The model's file, as `quality.safetensors`."""
    bits: int = Field(default=20, ge=10, le=26)
    """The table has two to this many weights, of four bytes each."""
    max_words: PositiveInt = 2000
    """How many words of a text's beginning count."""
    max_texts: PositiveInt | None = None
    """Texts taken from each folder, the first in the order of their files; None: all."""
    held_out: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of the texts that is not trained on."""
    l2: NonNegativeFloat = 1e-8
    """Weight of the squares of the weights beside the mean loss."""
    max_iterations: PositiveInt = 60
    """Steps of L-BFGS."""


@dataclass(frozen=True)
class QualityReport:
    """What came out, measured on the held-out texts."""

    num_positive: int
    num_negative: int
    """Texts trained on and held out."""
    num_held_out: int
    accuracy: float
    """At a score of 0.5."""
    auc: float
    """Area under the ROC curve."""
    thresholds: dict[str, float]
    """Share of the poor texts kept -> the score that keeps it."""

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"texts: {self.num_positive:,} positive, {self.num_negative:,} negative, "
            f"{self.num_held_out:,} of them held out",
            f"held out: accuracy {self.accuracy:.4f}, area under the curve {self.auc:.4f}",
            *(f"min_score {v:.4f} keeps {k} of the negative" for k, v in self.thresholds.items()),
        ]


@dataclass(frozen=True)
class _Texts:
    """Buckets of all texts in a row, and where each text's begin."""

    places: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    """(T,) buckets of each text, at least one."""
    labels: FloatArray
    """(T,) 1 for good, 0 for poor."""

    def scores(self, weights: FloatArray, bias: float) -> FloatArray:
        """(T,) before the logistic function."""
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        return np.asarray(np.add.reduceat(weights[self.places], starts) / self.sizes + bias)


def train_quality(config: QualityTrainingConfig) -> QualityReport:
    """Train, measure and save a model.

    Raises:
        DataError: a folder holds no text, or too little to hold some out.
    """
    parts = [
        *_labelled(config, config.positive, 1.0),
        *_labelled(config, config.negative, 0.0),
    ]
    training = _joined([part for part in parts if not part[2]], "train on", config)
    held_out = _joined([part for part in parts if part[2]], "hold out", config)
    logger.info("texts=%d features=%d bits=%d", len(parts), len(training.places), config.bits)
    solved = _minimum(_loss(training, config), (1 << config.bits) + 1, config.max_iterations)
    model = QualityModel(solved[:-1].astype(np.float32), float(solved[-1]), config.max_words)
    scores = logistic(held_out.scores(model.weights.astype(np.float64), model.bias))
    is_good = held_out.labels == 1.0
    report = QualityReport(
        num_positive=sum(label == 1.0 for _, label, _ in parts),
        num_negative=sum(label == 0.0 for _, label, _ in parts),
        num_held_out=len(scores),
        accuracy=float(((scores >= 0.5) == is_good).mean()),
        auc=area_under_curve(scores, is_good),
        thresholds={f"{s:.0%}": float(np.quantile(scores[~is_good], 1 - s)) for s in SHARES},
    )
    facts: dict[str, Json] = {
        "accuracy": report.accuracy,
        "auc": report.auc,
        "config": as_tree(config),
    }
    write_model(config.output, model, facts)
    return report


def _labelled(
    config: QualityTrainingConfig, folder: str, label: float
) -> Iterator[tuple[npt.NDArray[np.int64], float, bool]]:
    """Of each text that has words: its buckets, its label, whether it is held out."""
    for number, text in enumerate(texts_in(folder)):
        if number == config.max_texts:
            return
        normal = normal_bytes(text)
        places = features(shingle_hashes(normal, 1)[: config.max_words], config.bits)
        if len(places):
            digest = hashlib.blake2b(normal, digest_size=8).digest()
            share = int.from_bytes(digest, "big") / 2**64
            yield places, label, share < config.held_out


def _joined(
    parts: Sequence[tuple[npt.NDArray[np.int64], float, bool]],
    purpose: str,
    config: QualityTrainingConfig,
) -> _Texts:
    labels = np.array([label for _, label, _ in parts], dtype=np.float64)
    if not 0.0 < labels.sum() < len(labels):
        raise DataError(
            f"{int(labels.sum())} texts of {config.positive} and {len(labels) - int(labels.sum())} "
            f"of {config.negative} are there to {purpose}; each needs at least one: give more texts"
        )
    sizes = np.array([len(places) for places, _, _ in parts], dtype=np.int64)
    return _Texts(np.concatenate([places for places, _, _ in parts]), sizes, labels)


Objective = Callable[[FloatArray], tuple[float, FloatArray]]


def _loss(texts: _Texts, config: QualityTrainingConfig) -> Objective:
    """Mean loss, each class counting one half, and its gradient, at (2**bits + 1,) weights."""
    num_good = texts.labels.sum()
    shares = np.where(texts.labels == 1.0, 0.5 / num_good, 0.5 / (len(texts.labels) - num_good))
    signs = 2.0 * texts.labels - 1.0

    def loss_and_gradient(point: FloatArray) -> tuple[float, FloatArray]:
        weights, bias = point[:-1], float(point[-1])
        margins = signs * texts.scores(weights, bias)
        loss = float((shares * np.logaddexp(0.0, -margins)).sum())
        by_text = -shares * signs * logistic(-margins)
        spread = np.repeat(by_text / texts.sizes, texts.sizes)
        gradient = np.bincount(texts.places, weights=spread, minlength=len(weights))
        whole: FloatArray = np.append(gradient + config.l2 * weights, by_text.sum())
        return loss + 0.5 * config.l2 * _dot(weights, weights), whole

    return loss_and_gradient


def _minimum(objective: Objective, size: int, max_iterations: int) -> FloatArray:
    """(size,) where a smooth convex function is least, by L-BFGS with backtracking."""
    point = np.zeros(size)
    loss, gradient = objective(point)
    steps: list[tuple[FloatArray, FloatArray]] = []
    for iteration in range(max_iterations):
        direction = -_times_inverse_curvature(gradient, steps)
        slope = _dot(gradient, direction)
        length = 1.0 if steps else 1.0 / max(1e-12, float(np.abs(gradient).max()))
        while (tried := objective(point + length * direction))[0] > loss + ARMIJO * length * slope:
            length *= 0.5
            if length < 1e-10:
                return point
        step, change = length * direction, tried[1] - gradient
        point, gradient = point + step, tried[1]
        if _dot(step, change) > 1e-12:
            steps = [*steps[1 - MEMORY :], (step, change)]
        logger.debug("iteration=%d loss=%.6f", iteration + 1, tried[0])
        if loss - tried[0] < TOLERANCE * loss:
            return point
        loss = tried[0]
    return point


def _times_inverse_curvature(
    gradient: FloatArray, steps: Sequence[tuple[FloatArray, FloatArray]]
) -> FloatArray:
    """The two-loop recursion (Nocedal and Wright 2006, algorithm 7.4)."""
    found = gradient.copy()
    factors: list[float] = []
    for step, change in reversed(steps):
        factors.append(_dot(step, found) / _dot(step, change))
        found -= factors[-1] * change
    if steps:
        step, change = steps[-1]
        found *= _dot(step, change) / _dot(change, change)
    for (step, change), factor in zip(steps, reversed(factors), strict=True):
        found += step * (factor - _dot(change, found) / _dot(step, change))
    return found


def _dot(a: FloatArray, b: FloatArray) -> float:
    """A dot product whose order of summation no number of threads changes."""
    return float((a * b).sum())


def area_under_curve(scores: FloatArray, is_good: npt.NDArray[np.bool_]) -> float:
    """How often a good text scores higher than a poor one; a tie counts one half."""
    _, ranks, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean_ranks = (ends - (counts - 1) / 2.0)[ranks]
    num_good = int(is_good.sum())
    above = mean_ranks[is_good].sum() - num_good * (num_good + 1) / 2.0
    return float(above / (num_good * (len(scores) - num_good)))
