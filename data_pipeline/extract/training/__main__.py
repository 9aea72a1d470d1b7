"""Trains the model of the learned extractor: `... DATA [FOLDER ...] --out FOLDER`.

Writes learned_model.json, fitted to all pages, and fold-0.json to fold-4.json, each fitted without
the registered domains of its fold, for cross-validation (`python -m benchmarks extraction`).
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts.logs import configure_logging
from data_pipeline.extract.training.examples import examples_of
from data_pipeline.extract.training.pages import pages_of
from data_pipeline.extract.training.trees import fitted_model, fold_models, model_json

logger = logging.getLogger("data_pipeline.extract.training")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m data_pipeline.extract.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="folder of extraction-gold.jsonl and crawl/")
    parser.add_argument("folders", type=Path, nargs="*", help="folders of HTML without labels")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    configure_logging()
    examples = examples_of(pages_of(given.data, given.folders))
    given.out.mkdir(parents=True, exist_ok=True)
    for fold, booster in enumerate(fold_models(examples)):
        (given.out / f"fold-{fold}.json").write_text(model_json(booster), encoding="utf-8")
        logger.info("fold=%d of pages=%d", fold, len(examples))
    model = model_json(fitted_model(examples, None))
    (given.out / "learned_model.json").write_text(model, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
