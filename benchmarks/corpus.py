"""What the rows of single parts work on, made once from the crawl by our own reader.

`pages.jsonl`: decoded pages of the gold set; `documents.jsonl`: their main text; `tokenizer.model`
and its `tokenizer.json`: BPE, 32,000 pieces, trained on the crawl's text; `damaged.warc.gz`: 495
pages with damage at one third of the file.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.crawl import Crawl, shared_warcs
from data_pipeline.extract import TrafilaturaConfig, build_extractor
from data_pipeline.extract.charset import decoded
from data_pipeline.filters.language import LanguageConfig
from data_pipeline.records import Document, RawRecord
from data_pipeline.sources.common_crawl import CommonCrawlConfig
from data_pipeline.tokenization import SampledText, TrainTokenizerConfig, train_tokenizer
from pretrain.stock_tokenizer import inexact_reasons, tokenizer_json

VERSION = 2
"""Of the files below; another makes them anew."""
DAMAGED_PAGES = 495
DAMAGE_BYTES = 64
SAMPLE_BYTES = 16 << 20


@dataclass(frozen=True)
class Corpus:
    """The files."""

    folder: Path

    @property
    def pages(self) -> Path:
        """{url, html} by line."""
        return self.folder / "pages.jsonl"

    @property
    def documents(self) -> Path:
        """{url, language, text} by line."""
        return self.folder / "documents.jsonl"

    @property
    def texts(self) -> Path:
        """{text} by line: the documents, then text of other pages with all that stands in them."""
        return self.folder / "texts.jsonl"

    @property
    def tokenizer_model(self) -> Path:
        """For SentencePiece."""
        return self.folder / "tokenizer.model"

    @property
    def tokenizer_json(self) -> Path:
        """For `tokenizers`."""
        return self.folder / "tokenizer.json"

    @property
    def damaged(self) -> Path:
        """One WARC file."""
        return self.folder / "damaged.warc.gz"

    @property
    def damaged_page(self) -> dict[str, Any]:
        """The record that was hit: url, offset and length in the file."""
        found: dict[str, Any] = json.loads((self.folder / "damaged.json").read_text())
        return found


def made_corpus(cache: Path, crawl: Crawl, data: Path) -> Corpus:
    """The files for a crawl; made once."""
    found = Corpus(cache / f"corpus{VERSION}-{crawl.folder.name}")
    done = found.folder / "done"
    if done.exists():
        return found
    found.folder.mkdir(parents=True, exist_ok=True)
    gold = gold_urls(data)
    files = shared_warcs(data)
    num_files = len(list((crawl.folder / "warc").glob("shared-*")))
    _write_damaged(found, data, gold)
    records = [r for r in records_of(files[:num_files]) if r.uri in gold]
    _write_pages(found, records)
    _write_documents(found, records)
    _write_tokenizer(found, sorted((crawl.folder / "wet").iterdir()))
    done.touch()
    return found


def gold_urls(data: Path) -> frozenset[str]:
    """Addresses of the pages that are annotated."""
    lines = (data / "extraction-gold.jsonl").read_text().splitlines()
    return frozenset(json.loads(line)["url"] for line in lines)


def records_of(files: list[Path]) -> Iterator[RawRecord]:
    """The pages of WARC files, or the texts of WET files."""
    if not files:
        return
    source = CommonCrawlConfig(name="web", files=tuple(map(str, files))).build()
    for unit in source.plan():
        yield from (item for item in source.records(unit) if isinstance(item, RawRecord))


def _write_pages(corpus: Corpus, records: list[RawRecord]) -> None:
    with corpus.pages.open("w") as stream:
        for record in records:
            html = decoded(record.payload, record.charset)
            stream.write(json.dumps({"url": record.uri, "html": html}) + "\n")


def _write_documents(corpus: Corpus, records: list[RawRecord]) -> None:
    extractor = build_extractor(TrafilaturaConfig(mode="fast"))
    language = LanguageConfig().build()
    with corpus.documents.open("w") as stream:
        for record in records:
            document = extractor.extract(record)
            if isinstance(document, Document):
                row = {
                    "url": document.uri,
                    "language": language.identify(document.text).language,
                    "text": document.text,
                }
                stream.write(json.dumps(row) + "\n")


def _write_tokenizer(corpus: Corpus, wets: list[Path]) -> None:
    """Trained on the crawl's text, and where there is little of it on the documents."""
    texts = [json.loads(line)["text"] for line in corpus.documents.open()]
    size = sum(map(len, texts))
    for record in records_of(wets):
        if size > SAMPLE_BYTES:
            break
        texts.append(record.payload.decode("utf-8", "replace"))
        size += len(texts[-1])
    with corpus.texts.open("w") as stream:
        stream.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    sample = [SampledText(f"{n:032x}", str(n), text) for n, text in enumerate(texts)]
    model = train_tokenizer(sample, TrainTokenizerConfig(vocab_size=32_000))
    reasons = inexact_reasons(model)
    assert not reasons, reasons
    corpus.tokenizer_model.write_bytes(model)
    corpus.tokenizer_json.write_text(json.dumps(tokenizer_json(model)))


def _write_damaged(corpus: Corpus, data: Path, gold: frozenset[str]) -> None:
    """495 response records, each its gzip member as it stands; then the bytes at one third."""
    with gzip.open(data / "crawl" / "records.jsonl.gz", "rt") as stream:
        rows = [row for line in stream if (row := json.loads(line))["url"] in gold]
    content = bytearray()
    places: list[tuple[int, int, str]] = []
    for row in rows[:DAMAGED_PAGES]:
        with (data / "crawl" / row["warc"]).open("rb") as warc:
            warc.seek(row["offset"])
            member = warc.read(row["length"])
        places.append((len(content), len(member), row["url"]))
        content += member
    third = len(content) // 3
    offset, length, url = next(p for p in places if p[0] <= third < p[0] + p[1])
    middle = min(max(third, offset + 40), offset + length - DAMAGE_BYTES)  # in that page alone
    content[middle : middle + DAMAGE_BYTES] = bytes(
        255 - b for b in content[middle:][:DAMAGE_BYTES]
    )
    corpus.damaged.write_bytes(content)
    hit = {"url": url, "offset": offset, "length": length, "pages": len(places)}
    (corpus.folder / "damaged.json").write_text(json.dumps(hit))
