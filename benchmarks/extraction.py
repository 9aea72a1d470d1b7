"""Extractors on the annotated pages: F1 against pages per CPU second, on one plot.

Every extractor gets the same decoded pages, on one core. The learned one is scored twice: by
models that have not seen any page of the scored page's registered domain (`models=FOLDER`, made by
`python -m data_pipeline.extract.training`), and by the shipped model, which has.

Options: data=FOLDER (extraction-gold.jsonl and crawl/), models=FOLDER, plot=FILE, pages=N, twin=yes
(adds the learned extractor without compiled helpers).
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from data_pipeline.extract import LearnedConfig, ResiliparseConfig, TrafilaturaConfig
from data_pipeline.extract.learned import MODEL_PATH, BlockExtractor, read_model
from data_pipeline.extract.training.pages import NUM_FOLDS, Page, pages_of

logger = logging.getLogger(__name__)
F1_BAR = 0.92
SPEED_BAR = 300.0
MAX_DEPTH = 2000
Extract = Callable[[Page], str]


@dataclass(frozen=True, slots=True)
class Point:
    """One extractor's figures; `hosts` says whether its model had seen the pages' hosts."""

    name: str
    pages_per_second: float
    precision: float
    recall: float
    f1: float


def run(options: Mapping[str, str]) -> int:
    """Print the table, draw the plot; 1 where the learned extractor misses its bars."""
    data = Path(options.get("data", "../shared/data"))
    pages = [page for page in pages_of(data, []) if page.gold is not None]
    pages = pages[: int(options.get("pages", len(pages)))]
    extractors = _extractors(options.get("models"), has_twin=options.get("twin") == "yes")
    points = [_point(name, extract, pages) for name, extract in extractors.items()]
    sys.stdout.write(_table(points))
    if "plot" in options:
        _plot(points, Path(options["plot"]))
    judged = next((point for point in points if "unseen" in point.name), None)
    if judged is None:
        sys.stdout.write("no models=FOLDER: the score on unseen hosts was not measured\n")
        return 1
    is_met = judged.f1 >= F1_BAR and judged.pages_per_second >= SPEED_BAR
    bar = f"F1 {judged.f1:.3f} (bar {F1_BAR}), {judged.pages_per_second:.0f} pages/s"
    sys.stdout.write(f"learned: {bar} (bar {SPEED_BAR:.0f}): {'met' if is_met else 'MISSED'}\n")
    return 0 if is_met else 1


def _extractors(models: str | None, *, has_twin: bool) -> dict[str, Extract]:
    found: dict[str, Extract] = {
        f"trafilatura {mode}": _by_config(TrafilaturaConfig(mode=mode))
        for mode in ("precision", "default", "fast")
    }
    found["resiliparse"] = _by_config(ResiliparseConfig())
    found["learned, hosts seen in training"] = _by_config(LearnedConfig())
    if models is not None:
        folds = [
            BlockExtractor(read_model(Path(models) / f"fold-{fold}.json"))
            for fold in range(NUM_FOLDS)
        ]
        found["learned, unseen hosts"] = lambda page: folds[page.fold].main_text(
            page.html, MAX_DEPTH
        )
    if has_twin:
        twin = BlockExtractor(read_model(MODEL_PATH), is_native=False)
        found["learned, Python only"] = lambda page: twin.main_text(page.html, MAX_DEPTH)
    return found


def _by_config(config: TrafilaturaConfig | ResiliparseConfig | LearnedConfig) -> Extract:
    return lambda page: config.main_text(page.html)


def _point(name: str, extract: Extract, pages: Sequence[Page]) -> Point:
    extract(pages[0])
    seconds, counts = 0.0, [0, 0, 0]
    for page in pages:
        start = time.process_time()
        text = extract(page)
        seconds += time.process_time() - start
        counts = [a + b for a, b in zip(counts, _found(page, text), strict=True)]
    found, missed, wrong = counts
    precision, recall = found / max(found + wrong, 1), found / max(found + missed, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    logger.info("extractor=%s f1=%.4f", name, f1)
    return Point(name, len(pages) / seconds, precision, recall, f1)


def _found(page: Page, text: str) -> tuple[int, int, int]:
    """Wanted segments found and missed, unwanted ones found, as score_gold.py counts them."""
    gold = page.gold or {}
    folded = " ".join(text.split())
    wanted = [" ".join(segment.split()) in folded for segment in gold["with"]]
    unwanted = [" ".join(segment.split()) in folded for segment in gold["without"]]
    return sum(wanted), len(wanted) - sum(wanted), sum(unwanted)


def _table(points: Sequence[Point]) -> str:
    lines = ["| extractor | pages/s (CPU) | precision | recall | F1 |", "|---|---|---|---|---|"]
    lines += [
        f"| {point.name} | {point.pages_per_second:.0f} | {point.precision:.3f} | "
        f"{point.recall:.3f} | {point.f1:.3f} |"
        for point in points
    ]
    return "\n".join(lines) + "\n"


def _plot(points: Sequence[Point], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for point in points:
        is_ours = point.name.startswith("learned")
        axes.scatter(point.pages_per_second, point.f1, s=55 if is_ours else 35, zorder=3)
        axes.annotate(
            point.name,
            (point.pages_per_second, point.f1),
            xytext=(6, -11 if "fast" in point.name else 5),
            textcoords="offset points",
            ha="right" if point.pages_per_second > SPEED_BAR else "left",
            fontsize=8,
        )
    axes.axhline(F1_BAR, linestyle=":", linewidth=1, color="grey")
    axes.axvline(SPEED_BAR, linestyle=":", linewidth=1, color="grey")
    axes.set(xscale="log", xlabel="pages per CPU second, one core", ylabel="F1 on annotated pages")
    axes.grid(visible=True, which="both", alpha=0.25)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
