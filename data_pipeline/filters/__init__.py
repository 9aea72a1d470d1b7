"""Filters: they measure each document and refuse those that break a rule. The registry."""

from typing import Annotated

from pydantic import Field

from data_pipeline.filters.c4 import C4Config
from data_pipeline.filters.chain import FilterChain, Judgement
from data_pipeline.filters.decontamination import DecontaminationConfig
from data_pipeline.filters.fasttext_model import FasttextModelConfig
from data_pipeline.filters.fineweb import FineWebConfig
from data_pipeline.filters.gopher_quality import GopherQualityConfig
from data_pipeline.filters.gopher_repetition import GopherRepetitionConfig
from data_pipeline.filters.identity import sections_identity
from data_pipeline.filters.language import LanguageConfig
from data_pipeline.filters.length import LengthConfig
from data_pipeline.filters.opt_out import OptOutConfig
from data_pipeline.filters.pii import PiiConfig
from data_pipeline.filters.protocol import DocumentFilter
from data_pipeline.filters.quality_model import QualityModelConfig
from data_pipeline.filters.text_view import TextView
from data_pipeline.filters.url import UrlConfig
from data_pipeline.filters.url_blocklist import BlocklistConfig, UrlBlocklistConfig
from data_pipeline.filters.word_list import TermFileConfig, WordListConfig

FilterConfig = Annotated[
    UrlConfig
    | LanguageConfig
    | LengthConfig
    | GopherRepetitionConfig
    | GopherQualityConfig
    | C4Config
    | FineWebConfig
    | UrlBlocklistConfig
    | WordListConfig
    | FasttextModelConfig
    | DecontaminationConfig
    | QualityModelConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "BlocklistConfig",
    "C4Config",
    "DecontaminationConfig",
    "DocumentFilter",
    "FasttextModelConfig",
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
    "QualityModelConfig",
    "TermFileConfig",
    "TextView",
    "UrlBlocklistConfig",
    "UrlConfig",
    "WordListConfig",
    "sections_identity",
]
