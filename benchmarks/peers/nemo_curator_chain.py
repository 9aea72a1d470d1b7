"""NeMo Curator on Ray Data: WARC files to filtered text on disk, as far as it goes without a GPU.

Its own reader, extraction (language by CLD2, then the chosen library) and heuristic filters of
Gopher's kind. No signatures, no duplicates, no tokens: those need cudf or a hub.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from nemo_curator.backends.ray_data import RayDataExecutor
from nemo_curator.pipeline import Pipeline
from nemo_curator.stages.file_partitioning import FilePartitioningStage
from nemo_curator.stages.text.download.base.iterator import DocumentIterateExtractStage
from nemo_curator.stages.text.download.common_crawl.extract import CommonCrawlHTMLExtractor
from nemo_curator.stages.text.download.common_crawl.warc_iterator import CommonCrawlWarcIterator
from nemo_curator.stages.text.filters import ScoreFilter
from nemo_curator.stages.text.filters.heuristic import (
    BulletsFilter,
    EllipsisFilter,
    MeanWordLengthFilter,
    SymbolsToWordsFilter,
    WordCountFilter,
    WordsWithoutAlphabetsFilter,
)
from nemo_curator.stages.text.filters.heuristic.repetition import (
    RepeatedLinesByCharFilter,
    RepeatedLinesFilter,
    RepeatedParagraphsByCharFilter,
    RepeatedParagraphsFilter,
    RepeatingDuplicateNGramsFilter,
    RepeatingTopNGramsFilter,
)
from nemo_curator.stages.text.io.writer import JsonlWriter

from benchmarks import measuring

FIRST_RECORD = "first_record"
TOP_N_GRAMS = {2: 0.2, 3: 0.18, 4: 0.16}
DUPLICATE_N_GRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}


class MarkedIterator(CommonCrawlWarcIterator):  # type: ignore[misc]  # the peer has no types
    """Its reader; notes when the first file was opened."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def iterate(self, file_path: str) -> Iterator[dict[str, Any]]:
        """The records of a file."""
        mark = Path(self._folder, f"{FIRST_RECORD}.{Path(file_path).name}")
        mark.write_text(repr(time.time()))
        yield from super().iterate(file_path)


def filters() -> list[Any]:
    """Gopher's rules that do not depend on a language, at the paper's thresholds."""
    return [
        WordCountFilter(min_words=50, max_words=100_000),
        MeanWordLengthFilter(min_mean_word_length=3, max_mean_word_length=10),
        SymbolsToWordsFilter(max_symbol_to_word_ratio=0.1),
        BulletsFilter(max_bullet_lines_ratio=0.9),
        EllipsisFilter(max_num_lines_ending_with_ellipsis_ratio=0.3),
        WordsWithoutAlphabetsFilter(min_words_with_alphabets=0.8),
        RepeatedLinesFilter(),
        RepeatedParagraphsFilter(),
        RepeatedLinesByCharFilter(),
        RepeatedParagraphsByCharFilter(),
        *(RepeatingTopNGramsFilter(n, ratio) for n, ratio in TOP_N_GRAMS.items()),
        *(RepeatingDuplicateNGramsFilter(n, ratio) for n, ratio in DUPLICATE_N_GRAMS.items()),
    ]


def chain(job: measuring.Job) -> measuring.Figures:
    """WARC files to filtered text; times are of the wall."""
    out = Path(job["output_dir"])
    (out / "text").mkdir(parents=True)
    ray.init(num_cpus=job["workers"], include_dashboard=False, dashboard_host="127.0.0.1")
    extractor = CommonCrawlHTMLExtractor(algorithm=job["algorithm"])
    stages = [
        FilePartitioningStage(job["input_dir"], files_per_partition=1, file_extensions=[".gz"]),
        DocumentIterateExtractStage(MarkedIterator(str(out)), extractor),
        *(ScoreFilter(found, text_field="text") for found in filters()),
        JsonlWriter(str(out / "text")),
    ]
    Pipeline(name="web", stages=stages).run(RayDataExecutor())
    end = time.time()
    kept = 0
    for path in (out / "text").rglob("*.jsonl"):
        with path.open("rb") as stream:
            kept += sum(1 for _ in stream)
    first = min(float(path.read_text()) for path in out.glob(f"{FIRST_RECORD}.*"))
    return {"first_record": first, "end": end, "pages": job["pages"], "kept": kept}


if __name__ == "__main__":
    measuring.main({"chain": chain})
