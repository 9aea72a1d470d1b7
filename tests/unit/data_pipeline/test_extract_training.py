"""Training of the learned extractor: labels of blocks, folds, and trees as whole numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.extract.learned import read_model
from data_pipeline.extract.training.labels import TEACHERS, gold_of, votes_of
from data_pipeline.extract.training.pages import Page, pages_of
from data_pipeline.native.block_scores import block_scores
from data_pipeline.native.html_features import FEATURES

SENTENCE = "The river rises in the hills and runs to the sea past the old town. "


def test_segments_label_the_blocks_that_hold_them() -> None:
    blocks = [
        "Home News",
        "The river rises in the hills.",
        "It runs",
        "to the sea.",
        "Home",
        "more",
    ]
    votes = np.zeros((6, len(TEACHERS)))
    gold = {"with": ["river rises", "runs to the"], "without": ["Home", "not on the page"]}
    labels, weights = gold_of(blocks, gold, votes)
    assert labels.tolist()[:5] == [0, 1, 1, 1, 0]
    assert np.isnan(labels[5])
    assert weights.tolist() == pytest.approx([2**-0.5, 1, 1, 1, 2**-0.5, 0])


def test_an_unwanted_word_inside_a_wanted_paragraph_says_nothing_of_it() -> None:
    votes = np.ones((1, len(TEACHERS)))
    labels, _ = gold_of([SENTENCE * 3], {"with": [], "without": ["town"]}, votes)
    assert np.isnan(labels[0])


def test_of_a_segments_places_the_teachers_choose_one() -> None:
    votes = np.array([[0.0] * len(TEACHERS), [1.0] * len(TEACHERS)])
    labels, _ = gold_of(["same text", "same text"], {"with": ["same"], "without": []}, votes)
    assert np.isnan(labels[0])
    assert labels[1] == 1


def test_teachers_vote_for_the_article_and_not_for_the_menu() -> None:
    html = (
        f"<nav><a href=/>Home page</a></nav><article><h1>Rivers</h1><p>{SENTENCE * 4}</p>"
        f"<p>{SENTENCE * 5}</p></article>"
    )
    votes = votes_of(
        html, ["Home page", (SENTENCE * 4).strip(), "Nowhere on the page at all, this one"]
    )
    assert votes[1].tolist() == [1.0] * len(TEACHERS)
    assert votes[2].tolist() == [0.0] * len(TEACHERS)
    assert votes[0].mean() < 0.3


def test_pages_of_one_registered_domain_share_a_fold() -> None:
    gold: dict[str, list[str]] = {"with": [], "without": []}
    folds = {Page(f"https://{host}.example.co.uk/x", "", gold).fold for host in ("a", "b", "www")}
    assert len(folds) == 1
    assert Page("https://a.example.org/", "", None).fold == -1


@pytest.mark.shared_data
def test_the_crawls_pages_and_unlabelled_ones_are_read(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<p>x")
    pages = pages_of(shared_data, [tmp_path])
    assert len(pages) == 1034
    assert sum(page.gold is not None for page in pages) == 990
    assert pages[-1] == Page("file:x.html", "<p>x", None)


def test_the_model_file_scores_as_the_booster_does(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    from data_pipeline.extract.training.trees import MODEL, model_json

    rows = np.random.default_rng(1).integers(-1, 1000, (600, len(FEATURES)))
    labels = (rows[:, 3] + rows[:, 7] > 900).astype(float)
    settings = {**MODEL, "min_data_in_leaf": 10}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, labels), 12)
    path = tmp_path / "model.json"
    path.write_text(model_json(booster))
    scores = block_scores(rows.astype(np.int32), read_model(path).trees)
    expected = booster.predict(rows, raw_score=True) * 1000
    assert np.abs(scores - expected).max() <= 12
    assert (
        model_json(lightgbm.train(settings, lightgbm.Dataset(rows, labels), 12)) == path.read_text()
    )
    assert json.loads(path.read_text())["features"]
