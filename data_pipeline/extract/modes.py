"""Three named points between quality and speed; `docs/numerics.md` has their curve.

Each stands for one setting of a library's extractor. Who wants another setting names the library:
`{kind: trafilatura, mode: recall}`.
"""

from typing import Literal

from data_pipeline.extract.protocol import PageConfig
from data_pipeline.extract.resiliparse import ResiliparseConfig
from data_pipeline.extract.trafilatura import TrafilaturaConfig

_PRECISE = TrafilaturaConfig(mode="precision")
_BALANCED = TrafilaturaConfig(mode="fast")
_FAST = ResiliparseConfig()


class PreciseConfig(PageConfig):
    """The fewest wrong lines: trafilatura in favour of precision."""

    kind: Literal["precise"] = "precise"

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        return _PRECISE.main_text(page)


class BalancedConfig(PageConfig):
    """Nearly as good, half as slow again as precise is: trafilatura's own rules, no fallbacks."""

    kind: Literal["balanced"] = "balanced"

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        return _BALANCED.main_text(page)


class FastConfig(PageConfig):
    """Several times as fast, with more left-over menus: resiliparse's main content."""

    kind: Literal["fast"] = "fast"

    def main_text(self, page: str) -> str:
        """The main text of a decoded page; empty where none was found."""
        return _FAST.main_text(page)
