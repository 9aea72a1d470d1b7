"""Datatrove's own recipe (its FineWeb example) from WARC files to token ids on disk, two workers.

Reader, filters and signatures; buckets; clusters; then the documents that stay are tokenised. Runs
in datatrove's environment; no network: language model and host lists are files of its packages.
"""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers.jsonl import JsonlWriter
from tldextract import TLDExtract

from benchmarks import measuring

FIRST_RECORD = "first_record"


def url_filter() -> URLFilter:
    """Its filter of hosts, with the list of public suffixes that tldextract ships."""
    found = URLFilter()
    found.tldextractor = TLDExtract(suffix_list_urls=())
    return found


def language_filter(model: str) -> LanguageFilter:
    """All languages from its default score on, by a model given as a file."""
    found = LanguageFilter()
    found.model.MODEL_URL = model
    return found


def filters(stop_words: list[str] | None) -> list[Any]:
    """Its chain; with stop words also the settings of its FineWeb example, else its defaults."""
    tuned = stop_words is not None
    c4 = C4QualityFilter(filter_no_terminal_punct=False) if tuned else C4QualityFilter()
    return [
        GopherRepetitionFilter(),
        GopherQualityFilter(stop_words=stop_words),
        c4,
        FineWebQualityFilter(),
    ]


def marked(
    data: Iterator[Any], rank: int = 0, world_size: int = 1, *, folder: str
) -> Iterator[Any]:
    """The same documents; notes when the first one came.

    Imports trafilatura in the worker: the child that extracts has one second in all to start, and
    would need most of it to import.
    """
    import trafilatura  # noqa: F401

    for index, document in enumerate(data):
        if index == 0:
            Path(folder, f"{FIRST_RECORD}.{rank}-{world_size}").write_text(repr(time.time()))
        yield document


def chain(job: measuring.Job) -> measuring.Figures:
    """WARC files to token ids; times are of the wall."""
    out, workers = Path(job["output_dir"]), int(job["workers"])
    out.mkdir(parents=True)
    url_filter().download_data()  # unpacks its lists of hosts where they are not: no part of a run
    config = MinhashConfig()
    run = partial(_run, out, workers)
    run(
        "read",
        workers,
        [
            WarcReader(job["input_dir"], glob_pattern="**/*.warc.gz"),
            partial(marked, folder=str(out)),
            url_filter(),
            Trafilatura(),
            language_filter(job["language_model"]),
            *filters(job["stop_words"]),
            JsonlWriter(str(out / "filtered")),
        ],
    )
    filtered = str(out / "filtered")
    run(
        "sign",
        workers,
        [JsonlReader(filtered), MinhashDedupSignature(str(out / "signatures"), config=config)],
    )
    run(
        "buckets",
        config.num_buckets,
        [MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"), config=config)],
    )
    run(
        "cluster",
        1,
        [MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), config=config)],
    )
    run(
        "tokens",
        workers,
        [
            JsonlReader(filtered),
            MinhashDedupFilter(str(out / "remove")),
            DocumentTokenizer(
                str(out / "tokens"),
                tokenizer_name_or_path=job["tokenizer_json"],
                eos_token=job["eos_token"],
                seed=1,
            ),
        ],
    )
    end = time.time()
    return _figures(out, end)


def _run(out: Path, workers: int, name: str, tasks: int, pipeline: list[Any]) -> None:
    LocalPipelineExecutor(
        pipeline=pipeline,
        tasks=tasks,
        workers=min(workers, tasks),
        logging_dir=str(out / "logs" / name),
    ).run()


def _figures(out: Path, end: float) -> measuring.Figures:
    first = min(float(path.read_text()) for path in out.glob(f"{FIRST_RECORD}.*"))
    tokens = sum(path.stat().st_size for path in (out / "tokens").glob("*.ds")) // 2
    read = json.loads((out / "logs" / "read" / "stats.json").read_text())
    last = json.loads((out / "logs" / "tokens" / "stats.json").read_text())
    return {
        "first_record": first,
        "end": end,
        "pages": _total(read[0]["stats"]["documents"]),
        "kept": _total(last[-1]["stats"]["tokens"], "n"),
        "tokens": tokens,
        "steps": {step["name"]: step["stats"] for step in read},
    }


def _total(value: Any, name: str = "total") -> int:
    return int(value[name] if isinstance(value, dict) else value)


if __name__ == "__main__":
    measuring.main({"chain": chain})
