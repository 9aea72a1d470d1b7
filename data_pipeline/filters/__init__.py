"""Filters: they measure each document and refuse those that break a rule. The registry."""

from typing import Annotated

from pydantic import Field

from data_pipeline.filters.c4 import C4Config
from data_pipeline.filters.chain import FilterChain, Judgement
from data_pipeline.filters.fineweb import FineWebConfig
from data_pipeline.filters.gopher_quality import GopherQualityConfig
from data_pipeline.filters.gopher_repetition import GopherRepetitionConfig
from data_pipeline.filters.identity import sections_identity
from data_pipeline.filters.language import LanguageConfig
from data_pipeline.filters.length import LengthConfig
from data_pipeline.filters.opt_out import OptOutConfig
from data_pipeline.filters.pii import PiiConfig
from data_pipeline.filters.protocol import DocumentFilter
from data_pipeline.filters.text_view import TextView
from data_pipeline.filters.url import UrlConfig

FilterConfig = Annotated[
    UrlConfig
    | LanguageConfig
    | LengthConfig
    | GopherRepetitionConfig
    | GopherQualityConfig
    | C4Config
    | FineWebConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "C4Config",
    "DocumentFilter",
    "FilterChain",
    "FilterConfig",
    "FineWebConfig",
    "GopherQualityConfig",
    "GopherRepetitionConfig",
    "Judgement",
    "LanguageConfig",
    "LengthConfig",
    "OptOutConfig",
    "PiiConfig",
    "TextView",
    "UrlConfig",
    "sections_identity",
]
