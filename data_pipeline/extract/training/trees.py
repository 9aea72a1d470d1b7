"""Fits the labeller and the model with LightGBM, and writes the model as JSON.

Seeded, on one thread: the same pages and versions give the same bytes.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from data_pipeline.extract.learned import SCHEMA_VERSION
from data_pipeline.extract.training.examples import Example
from data_pipeline.extract.training.pages import NUM_FOLDS
from data_pipeline.native.html_features import FEATURES

Floats = npt.NDArray[np.float64]
SHORT_THRESHOLD = -620
LEAF_UNITS = 1000
"""Leaves are log odds in thousandths."""
SHARED: dict[str, Any] = {
    "num_threads": 1,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
    "max_bin": 63,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
}
LABELLER: dict[str, Any] = {
    **SHARED,
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.3,
    "lambda_l2": 10,
}
LABELLER_ROUNDS = 150
MODEL: dict[str, Any] = {
    **SHARED,
    "objective": "cross_entropy",
    "learning_rate": 0.08,
    "num_leaves": 20,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.2,
    "lambda_l2": 20,
}
MODEL_ROUNDS = 170
ABOUT = "Whether a text block of a page is main text; see learned_model.md"


def fitted_model(examples: Sequence[Example], left_out: int | None) -> lightgbm.Booster:
    """The model of all folds but one (None: of all)."""
    given = [each for each in examples if left_out is None or each.page.fold != left_out]
    rows, labels, weights = [], [], []
    for example, judged in zip(given, _judgements(given), strict=True):
        label = example.soft_labels(judged)
        is_taken, weight = example.taken(label)
        rows.append(example.rows[is_taken])
        labels.append(label[is_taken])
        weights.append(weight[is_taken])
    data = lightgbm.Dataset(
        np.concatenate(rows), np.concatenate(labels), weight=np.concatenate(weights)
    )
    return lightgbm.train(MODEL, data, MODEL_ROUNDS)


def _judgements(examples: Sequence[Example]) -> Iterator[Floats]:
    """What a labeller that did not see a page's fold says of its blocks."""
    folds = sorted({each.page.fold for each in examples if each.page.fold >= 0})
    labellers = {fold: _labeller(examples, fold) for fold in folds}
    for example in examples:
        labeller = labellers[example.page.fold if example.page.fold >= 0 else folds[0]]
        judged = labeller.predict(np.concatenate([example.rows, example.context], axis=1))
        yield np.asarray(judged, np.float64)


def _labeller(examples: Sequence[Example], left_out: int) -> lightgbm.Booster:
    rows, labels, weights = [], [], []
    for example in examples:
        known = ~np.isnan(example.gold)
        if example.page.fold not in {left_out, -1} and known.any():
            rows.append(np.concatenate([example.rows, example.context], axis=1)[known])
            labels.append(example.gold[known])
            weights.append(example.gold_weights[known])
    data = lightgbm.Dataset(
        np.concatenate(rows), np.concatenate(labels), weight=np.concatenate(weights)
    )
    return lightgbm.train(LABELLER, data, LABELLER_ROUNDS)


def fold_models(examples: Sequence[Example]) -> Iterator[lightgbm.Booster]:
    """For each fold, the model that has not seen its pages, nor labels made with them."""
    for fold in range(NUM_FOLDS):
        yield fitted_model(examples, fold)


def model_json(booster: lightgbm.Booster) -> str:
    """A booster as the model file: whole numbers, one tree a line."""
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    used = sorted({column for tree in trees for column in _columns(tree)})
    place = {column: number for number, column in enumerate(used)}
    head = {
        "schema_version": SCHEMA_VERSION,
        "about": ABOUT,
        "features": [FEATURES[column] for column in used],
        "threshold": 0,
        "short_threshold": SHORT_THRESHOLD,
    }
    lines = [json.dumps(_plain_tree(tree, place), separators=(",", ":")) for tree in trees]
    return json.dumps(head, indent=1)[:-2] + ',\n "trees": [\n' + ",\n".join(lines) + "\n]}\n"


def _columns(tree: dict[str, Any]) -> Iterator[int]:
    if "split_feature" in tree:
        yield tree["split_feature"]
        yield from _columns(tree["left_child"])
        yield from _columns(tree["right_child"])


def _plain_tree(tree: dict[str, Any], place: dict[int, int]) -> dict[str, list[Any]]:
    nodes: list[list[int]] = []
    leaves: list[int] = []

    def added(part: dict[str, Any]) -> int:
        if "split_feature" not in part:
            leaves.append(round(part["leaf_value"] * LEAF_UNITS))
            return ~(len(leaves) - 1)
        number = len(nodes)
        nodes.append([])
        left, right = added(part["left_child"]), added(part["right_child"])
        nodes[number] = [place[part["split_feature"]], int(part["threshold"] // 1), left, right]
        return number

    added(tree)
    return {"nodes": nodes, "leaves": leaves}
