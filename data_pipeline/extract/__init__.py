"""Extract: the text of a record. The registry."""

from data_pipeline.extract.by_media_type import ExtractorConfig, build_extractor
from data_pipeline.extract.learned import LearnedConfig
from data_pipeline.extract.modes import BalancedConfig, FastConfig, PreciseConfig
from data_pipeline.extract.protocol import EXTRACT, Extractor
from data_pipeline.extract.resiliparse import ResiliparseConfig
from data_pipeline.extract.trafilatura import TrafilaturaConfig

__all__ = [
    "EXTRACT",
    "BalancedConfig",
    "Extractor",
    "ExtractorConfig",
    "FastConfig",
    "LearnedConfig",
    "PreciseConfig",
    "ResiliparseConfig",
    "TrafilaturaConfig",
    "build_extractor",
]
