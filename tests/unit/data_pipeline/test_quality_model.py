"""A quality model learns to tell two folders apart, is the same each time, and judges documents."""

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

from contracts.config import load_config
from contracts.errors import DataError
from data_pipeline.__main__ import main
from data_pipeline.filters import FilterChain, QualityModelConfig
from data_pipeline.filters.quality_model import QualityModel, features, read_model
from data_pipeline.quality_training import (
    QualityTrainingConfig,
    area_under_curve,
    train_quality,
)
from data_pipeline.records import Document, Origin

GOOD = "the theorem follows because each term of the series is bounded by its neighbour"
POOR = "buy cheap now click here best price free offer limited deal win prize today"
SHARED = "and of to in a is that it for on with as this by are or from at"


def text(rng: random.Random, own: str) -> str:
    return " ".join(rng.choice((own if rng.random() < 0.3 else SHARED).split()) for _ in range(60))


@pytest.fixture
def config(tmp_path: Path) -> QualityTrainingConfig:
    rng = random.Random(1)
    (tmp_path / "good").mkdir()
    (tmp_path / "poor" / "deep").mkdir(parents=True)
    for i in range(60):
        (tmp_path / "good" / f"{i:03}.txt").write_text(text(rng, GOOD))
    lines = "".join(json.dumps({"text": text(rng, POOR)}) + "\n" for _ in range(60))
    with gzip.open(tmp_path / "poor" / "deep" / "a.jsonl.gz", "wt") as stream:
        stream.write(lines)
    return QualityTrainingConfig(
        positive=str(tmp_path / "good"),
        negative=str(tmp_path / "poor"),
        output=str(tmp_path / "quality.safetensors"),
        bits=14,
        held_out=0.25,
    )


def score_of(path: str, words: str) -> float:
    document = Document("d", "web", "", words, Origin("f", 0))
    measures = FilterChain([QualityModelConfig(model_path=path)]).judge(document).measures
    return float(measures["quality_model.score"])


def test_training_tells_the_folders_apart_and_is_the_same_each_time(
    config: QualityTrainingConfig,
) -> None:
    report = train_quality(config)
    assert (report.num_positive, report.num_negative) == (60, 60)
    assert 15 <= report.num_held_out <= 45
    assert report.accuracy > 0.95
    assert report.auc > 0.99
    assert report.thresholds["50%"] <= report.thresholds["5%"]
    first = Path(config.output).read_bytes()
    train_quality(config)
    assert Path(config.output).read_bytes() == first
    assert score_of(config.output, GOOD) > 0.9
    assert score_of(config.output, POOR) < 0.1
    chain = FilterChain([QualityModelConfig(model_path=config.output)])
    verdict = chain.judge(Document("d", "web", "", POOR, Origin("f", 0))).verdict
    assert (verdict.stage, verdict.reason) == ("quality_model", "low_quality")
    assert 0.0 < score_of(config.output, "") < 1.0


def test_the_verb_prints_what_was_measured(
    config: QualityTrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(config.model_dump_json())
    assert load_config(QualityTrainingConfig, path) == config
    assert main(["train-quality", str(path), "max_texts=40"]) == 0
    printed = capsys.readouterr().out
    assert "texts: 40 positive, 40 negative" in printed
    assert "area under the curve" in printed
    assert f"model: {config.output}" in printed


def test_only_the_beginning_of_a_text_counts() -> None:
    weights = np.arange(1024, dtype=np.float32)
    words = np.array([5, 9, 1000], dtype=np.uint64)
    short = QualityModel(weights, 0.0, max_words=2)
    assert short.score(words) == short.score(words[:2])
    assert features(words[:1], 10).tolist() == [5]
    assert len(features(words, 10)) == 5
    assert len(features(words[:0], 10)) == 0


def test_area_under_curve() -> None:
    good = np.array([True, False, True, False])
    assert area_under_curve(np.array([0.9, 0.1, 0.8, 0.2]), good) == 1.0
    assert area_under_curve(np.array([0.1, 0.9, 0.2, 0.8]), good) == 0.0
    assert area_under_curve(np.array([0.5, 0.5, 0.5, 0.5]), good) == 0.5


def test_what_cannot_be_used(config: QualityTrainingConfig, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    tree = config.model_dump()
    with pytest.raises(DataError, match=r"holds no file that ends in \.txt, \.jsonl, \.parquet"):
        train_quality(QualityTrainingConfig(**{**tree, "positive": str(empty)}))
    (empty / "a.txt").write_text("one text")
    with pytest.raises(DataError, match=r"are there to (train on|hold out); each needs at least"):
        train_quality(QualityTrainingConfig(**{**tree, "positive": str(empty)}))
    (empty / "b.jsonl").write_text('{"body": "x"}\n')
    with pytest.raises(DataError, match="JSON lines with a field `text`"):
        train_quality(QualityTrainingConfig(**{**tree, "positive": str(empty)}))
    (tmp_path / "no.safetensors").write_bytes(b"no model at all")
    with pytest.raises(DataError, match="is not a quality model"):
        read_model(str(tmp_path / "no.safetensors"))
