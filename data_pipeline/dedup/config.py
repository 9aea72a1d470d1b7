"""The section `dedup` of a data job's config."""

from typing import Annotated

from pydantic import Field, PositiveInt

from contracts.config import Config, Json, as_tree
from data_pipeline.dedup.boilerplate import BoilerplateConfig
from data_pipeline.dedup.minhash import MinHashConfig
from data_pipeline.dedup.signature import Signer

WITHOUT_INFLUENCE = frozenset({"memory_bytes", "keep_keys"})
"""Fields that change nothing in what is kept."""


class DedupConfig(Config):
    """How duplicates are found, within this job and against datasets made before."""

    exact: bool = True
    """Texts whose normalised forms are equal are duplicates."""
    url: bool = True
    """Of web pages with one address (normalised) only the one fetched last stays."""
    minhash: MinHashConfig | None = MinHashConfig()
    """Texts that share most of their word shingles are duplicates; None: off."""
    max_comparisons: PositiveInt = 16
    """Each document is compared with so many of the first ones of those that share a band."""
    against: Annotated[tuple[str, ...], Field(max_length=255)] = ()
    """Output folders of earlier data jobs, the earliest first; their documents win."""
    memory_bytes: Annotated[int, Field(ge=4 << 20)] = 512 << 20
    """Rows that one dedup task may hold; more documents make more tasks, not larger ones."""
    keep_keys: bool = True
    """Keep the sorted keys of what is kept, for later jobs that dedup against this one."""

    boilerplate: BoilerplateConfig | None = None
    """Lines that a host repeats are removed from its pages, after all duplicates; None: off."""

    def build(self) -> Signer:
        """What signs documents."""
        return Signer(self.minhash)

    def identity(self) -> dict[str, Json]:
        """The fields that decide what is kept."""
        tree = as_tree(self)
        return {name: value for name, value in tree.items() if name not in WITHOUT_INFLUENCE}
