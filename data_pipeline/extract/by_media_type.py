"""The extractor of a job: the configured one for web pages, the plain ones for what needs none."""

import logging
from typing import Annotated

from lxml import etree
from pydantic import BeforeValidator, Field

from data_pipeline.extract.book import book_text
from data_pipeline.extract.charset import decoded
from data_pipeline.extract.learned import LearnedConfig
from data_pipeline.extract.modes import BalancedConfig, FastConfig, PreciseConfig
from data_pipeline.extract.page_shape import PageTooDeepError, head_metadata, is_deeper_than
from data_pipeline.extract.protocol import Extractor, PageExtractor, document_of, drop_of
from data_pipeline.extract.resiliparse import ResiliparseConfig
from data_pipeline.extract.trafilatura import TrafilaturaConfig
from data_pipeline.records import Document, Drop, RawRecord

DETAIL_CHARACTERS = 200
logger = logging.getLogger(__name__)


def _spelled_out(section: object) -> object:
    """`extractor: fast` means `extractor: {kind: fast}`."""
    return {"kind": section} if isinstance(section, str) else section


ExtractorConfig = Annotated[
    Annotated[
        PreciseConfig
        | BalancedConfig
        | FastConfig
        | LearnedConfig
        | TrafilaturaConfig
        | ResiliparseConfig,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_spelled_out),
]


def build_extractor(config: PageExtractor) -> Extractor:
    """The extractor of a job."""
    return ByMediaType(config)


class ByMediaType:
    """Pages by the configured extractor, plain text and books as they are."""

    def __init__(self, config: PageExtractor) -> None:
        self._config = config

    def extract(self, record: RawRecord) -> Document | Drop:
        if record.media_type == "text/plain":
            return document_of(record, decoded(record.payload, record.charset))
        if record.media_type == "text/html":
            return self._page(record)
        if record.media_type == "application/xhtml+xml":
            return self._book(record)
        return drop_of(record, "media_type", record.media_type)

    @staticmethod
    def _book(record: RawRecord) -> Document | Drop:
        try:
            return document_of(record, book_text(record.payload))
        except etree.XMLSyntaxError as error:
            return drop_of(record, "parser_error", str(error)[:DETAIL_CHARACTERS])

    def _page(self, record: RawRecord) -> Document | Drop:
        config = self._config
        if len(record.payload) > config.max_page_bytes:
            return drop_of(record, "page_too_large", float(len(record.payload)))
        page = decoded(record.payload, record.charset)
        is_measured = not isinstance(config, LearnedConfig)  # which measures the parsed page itself
        if is_measured and is_deeper_than(page, config.max_depth):
            return drop_of(record, "page_too_deep", f"more than {config.max_depth}")
        try:
            text = config.main_text(page)
        except MemoryError:
            raise  # the task's business: it has the limit
        except PageTooDeepError:
            return drop_of(record, "page_too_deep", f"more than {config.max_depth}")
        except Exception as error:  # noqa: BLE001 - a parser may fail in any way; it is counted
            logger.debug("uri=%s parser_error=%r", record.uri, error)
            return drop_of(record, "parser_error", repr(error)[:DETAIL_CHARACTERS])
        return document_of(record, text, head_metadata(page))
