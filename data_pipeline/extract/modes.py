"""Three named points between quality and speed; `docs/numerics.md` has their curve.

Each stands for one setting of a library's extractor. Who wants another setting names the library:
`{kind: trafilatura, mode: recall}`.
"""

from typing import Literal

from pydantic import PositiveInt

from contracts.config import Config
from data_pipeline.extract.resiliparse import ResiliparseConfig
from data_pipeline.extract.trafilatura import TrafilaturaConfig

_PRECISE = TrafilaturaConfig(mode="precision")
_BALANCED = TrafilaturaConfig(mode="fast")
_FAST = ResiliparseConfig()


class PreciseConfig(Config):
    """The fewest wrong lines: trafilatura in favour of precision."""

    kind: Literal["precise"] = "precise"
    max_page_bytes: PositiveInt = 5 << 20
    """A longer page is dropped (`page_too_large`)."""
    max_depth: PositiveInt = 2000
    """A page whose tags nest deeper is dropped (`page_too_deep`)."""

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        return _PRECISE.main_text(page)


class BalancedConfig(Config):
    """Nearly as good, half as slow again as precise is: trafilatura's own rules, no fallbacks."""

    kind: Literal["balanced"] = "balanced"
    max_page_bytes: PositiveInt = 5 << 20
    """A longer page is dropped (`page_too_large`)."""
    max_depth: PositiveInt = 2000
    """A page whose tags nest deeper is dropped (`page_too_deep`)."""

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        return _BALANCED.main_text(page)


class FastConfig(Config):
    """Several times as fast, with more left-over menus: resiliparse's main content."""

    kind: Literal["fast"] = "fast"
    max_page_bytes: PositiveInt = 5 << 20
    """A longer page is dropped (`page_too_large`)."""
    max_depth: PositiveInt = 2000
    """A page whose tags nest deeper is dropped (`page_too_deep`)."""

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        return _FAST.main_text(page)
