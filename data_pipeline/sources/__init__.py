"""Sources: where records come from. The registry."""

from typing import Annotated

from pydantic import Field

from data_pipeline.sources.bookcorpus import BookCorpusConfig
from data_pipeline.sources.common_crawl import CommonCrawlConfig, CrawlConfig
from data_pipeline.sources.jsonl import JsonlConfig
from data_pipeline.sources.parquet import ParquetConfig
from data_pipeline.sources.plain_text import PlainTextConfig
from data_pipeline.sources.protocol import READ, RECORD_TYPE, Source
from data_pipeline.sources.python_docs import PythonDocsConfig
from data_pipeline.sources.wikitext import WikitextConfig

SourceConfig = Annotated[
    CommonCrawlConfig
    | BookCorpusConfig
    | WikitextConfig
    | JsonlConfig
    | ParquetConfig
    | PlainTextConfig
    | PythonDocsConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "READ",
    "RECORD_TYPE",
    "BookCorpusConfig",
    "CommonCrawlConfig",
    "CrawlConfig",
    "JsonlConfig",
    "ParquetConfig",
    "PlainTextConfig",
    "PythonDocsConfig",
    "Source",
    "SourceConfig",
    "WikitextConfig",
]
