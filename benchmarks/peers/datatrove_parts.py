"""Parts of datatrove alone, on one core: filters, MinHash signatures, reading, main text."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.readers import WarcReader

from benchmarks import measuring
from benchmarks.peers.datatrove_chain import filters, language_filter, url_filter

WARM_UP = 3
"""Documents before the clock starts: models and word splitters are loaded."""


def _documents(rows: list[measuring.Job]) -> Iterator[Document]:
    for row in rows:
        yield Document(text=row["text"], id=row["url"], metadata={"url": row["url"]})


def _through(steps: list[Any], rows: list[measuring.Job]) -> int:
    """Documents that pass all steps."""
    data = _documents(rows)
    for step in steps:
        data = step.run(data)
    return sum(1 for _ in data)


def filter_chain(job: measuring.Job) -> measuring.Figures:
    """Host, language, repetition, quality: documents a second."""
    rows = measuring.rows_of(job)
    steps = [url_filter(), language_filter(job["language_model"]), *filters(job["stop_words"])]
    _through(steps, rows[:WARM_UP])
    with measuring.Clock() as clock:
        kept = _through(steps, rows)
    return clock.figures(len(rows), kept=kept)


def signatures(job: measuring.Job) -> measuring.Figures:
    """112 values over shingles of 5 words."""
    rows = measuring.rows_of(job)
    with tempfile.TemporaryDirectory() as folder:
        step = MinhashDedupSignature(folder)
        for row in rows[:WARM_UP]:
            step.get_signature(step.get_shingles(row["text"]))
        with measuring.Clock() as clock:
            for row in rows:
                shingles = step.get_shingles(row["text"])
                if shingles.size:
                    step.get_signature(shingles)
    return clock.figures(len(rows))


def damaged(job: measuring.Job) -> measuring.Figures:
    """Pages that come out of a damaged file."""
    path = Path(job["file"])
    reader = WarcReader(str(path.parent), glob_pattern=path.name)
    urls = set()
    with measuring.Clock() as clock:
        try:
            for document in reader.run():
                urls.add(document.metadata["url"])
        except Exception as error:  # noqa: BLE001 - however it ends
            return clock.figures(len(urls), error=repr(error)[:200])
    return clock.figures(len(urls))


def main_text(job: measuring.Job) -> measuring.Figures:
    """Its extraction, in this process: without the child that limits a page's time."""
    rows = measuring.rows_of(job)
    extractor = Trafilatura()
    extractor.extract(rows[0]["html"])
    texts = {}
    with measuring.Clock() as clock:
        for row in rows:
            try:
                texts[row["url"]] = extractor.extract(row["html"]) or ""
            except Exception:  # noqa: BLE001 - its own chain goes on with the next page too
                texts[row["url"]] = ""
    return measuring.scored(job, texts, clock)


if __name__ == "__main__":
    measuring.main(
        {
            "filters": filter_chain,
            "signatures": signatures,
            "damaged": damaged,
            "main_text": main_text,
        }
    )
