"""Sources: where records come from. The registry."""

from typing import Annotated

from pydantic import Field

from data_pipeline.sources.common_crawl import CommonCrawlConfig, CrawlConfig
from data_pipeline.sources.protocol import READ, RECORD_TYPE, Source

SourceConfig = Annotated[CommonCrawlConfig, Field(discriminator="kind")]

__all__ = ["READ", "RECORD_TYPE", "CommonCrawlConfig", "CrawlConfig", "Source", "SourceConfig"]
