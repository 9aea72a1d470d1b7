"""The section `dedup` of a data job's config."""

from contracts.config import Config
from data_pipeline.dedup.minhash import MinHashConfig
from data_pipeline.dedup.signature import Signer


class DedupConfig(Config):
    """How duplicates are found, within this job and against datasets made before."""

    exact: bool = True
    """Texts whose normalised forms are equal are duplicates."""
    minhash: MinHashConfig | None = MinHashConfig()
    """Texts that share most of their word shingles are duplicates; None: off."""
    against: tuple[str, ...] = ()
    """Output folders of earlier data jobs, the earliest first; their documents win."""

    def build(self) -> Signer:
        """What signs documents."""
        return Signer(self.minhash)
