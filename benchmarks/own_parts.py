"""Parts of ours alone, on one core, by the doors that the data job calls."""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from benchmarks import measuring
from contracts.config import load_config
from contracts.tokenizer import load_tokenizer
from data_pipeline.config import DataConfig
from data_pipeline.dedup import DedupConfig
from data_pipeline.extract import ExtractorConfig
from data_pipeline.filters import FilterChain
from data_pipeline.packing import pack
from data_pipeline.records import Document, Drop, Origin, RawRecord, TokenizedDocument
from data_pipeline.shard_writer import ShardsConfig, write_shards
from data_pipeline.sources.common_crawl import CommonCrawlConfig
from data_pipeline.sources.protocol import RECORD_TYPE

SOURCE = "web"
CHARACTERS_PER_TOKEN = 4


def _read(files: list[str]) -> tuple[list[RawRecord], list[Drop]]:
    """Pages, and losses; other records are no pages."""
    source = CommonCrawlConfig(name=SOURCE, files=tuple(files)).build()
    pages: list[RawRecord] = []
    losses: list[Drop] = []
    for unit in source.plan():
        for item in source.records(unit):
            if isinstance(item, RawRecord):
                pages.append(item)
            elif not item.reason.startswith(RECORD_TYPE):
                losses.append(item)
    return pages, losses


def read(job: measuring.Job) -> measuring.Figures:
    """WARC files to pages, with recovery at hand."""
    source = CommonCrawlConfig(name=SOURCE, files=tuple(job["files"])).build()
    pages = 0
    with measuring.Clock() as clock:
        for unit in source.plan():
            pages += sum(isinstance(item, RawRecord) for item in source.records(unit))
    size = sum(Path(path).stat().st_size for path in job["files"])
    return clock.figures(size / 1e6, pages=pages)


def damaged(job: measuring.Job) -> measuring.Figures:
    """Pages that come out of a damaged file, and where the others were lost."""
    with measuring.Clock() as clock:
        pages, losses = _read([job["file"]])
    places = [[loss.origin.offset if loss.origin else None, loss.reason] for loss in losses]
    return clock.figures(len({page.uri for page in pages}), losses=places)


def main_text(job: measuring.Job) -> measuring.Figures:
    """Decoded pages to their main text, in one of the modes."""
    rows = measuring.rows_of(job)
    extractor: Any = TypeAdapter(ExtractorConfig).validate_python({"kind": job["extractor"]})
    extractor.main_text(rows[0]["html"])
    texts = {}
    with measuring.Clock() as clock:
        for row in rows:
            texts[row["url"]] = extractor.main_text(row["html"])
    return measuring.scored(job, texts, clock)


def _documents(job: measuring.Job) -> list[Document]:
    return [
        Document(str(n), SOURCE, row["url"], row["text"], Origin("", n))
        for n, row in enumerate(measuring.rows_of(job))
    ]


def filter_chain(job: measuring.Job) -> measuring.Figures:
    """All filters of a config, every value measured."""
    chain = FilterChain(load_config(DataConfig, job["config"]).filters)
    documents = _documents(job)
    chain.judge(documents[0])
    kept = 0
    with measuring.Clock() as clock:
        for document in documents:
            kept += chain.judge(document).verdict.keep
    return clock.figures(len(documents), kept=kept)


def signatures(job: measuring.Job) -> measuring.Figures:
    """The exact digest and 112 MinHash values."""
    signer = DedupConfig().build()
    documents = _documents(job)
    signer.signature(documents[0])
    with measuring.Clock() as clock:
        for document in documents:
            signer.signature(document)
    return clock.figures(len(documents))


def tokenise(job: measuring.Job) -> measuring.Figures:
    """Texts to ids."""
    first, texts, megabytes = measuring.texts_of(job)
    tokenizer = load_tokenizer(job["tokenizer_model"])
    tokenizer.encode_batch(first)
    with measuring.Clock() as clock:
        rows = tokenizer.encode_batch(texts, num_threads=1)
    return clock.figures(megabytes, ids=measuring.ids_sha256(row.tolist() for row in rows))


def tar(job: measuring.Job) -> measuring.Figures:
    """Tokenised documents to committed shards."""
    generator = np.random.default_rng(0)
    rows = measuring.rows_of(job)
    documents = [
        TokenizedDocument(
            doc_id=f"{number:032x}",
            section=0,
            source=SOURCE,
            uri=row["url"],
            origin=Origin("made-0.warc.gz", number, 1),
            tokens=generator.integers(
                0, 32_000, 1 + len(row["text"]) // CHARACTERS_PER_TOKEN, dtype=np.uint16
            ),
            num_bytes=len(row["text"].encode()),
        )
        for number, row in enumerate(rows * job["repeat"])
    ]
    config = ShardsConfig()
    with measuring.Clock() as clock:
        packed = pack(documents, seq_len=config.seq_len, eot_id=2)
        infos = write_shards(packed, folder=job["output_dir"], prefix="web", config=config)
    return clock.figures(sum(info.size_bytes for info in infos) / 1e6)


if __name__ == "__main__":
    measuring.main(
        {
            "read": read,
            "damaged": damaged,
            "main_text": main_text,
            "filters": filter_chain,
            "signatures": signatures,
            "tokenise": tokenise,
            "tar": tar,
        }
    )
